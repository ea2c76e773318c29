from __future__ import annotations

from typing import Any

import pytest

from reconciler.cli.reconcile import _print

HELD = {"id": "h1", "verb": "update", "kind": "Stack", "space": "root", "name": "a", "person": "user:bob"}


@pytest.mark.parametrize(
    ("held", "line"),
    [
        (
            {"missing": {"action": "stack:update", "space": "root"}, "message": "no role gives it"},
            "held h1: update Stack root/a by user:bob, who lacks stack:update in root: no role gives it",
        ),
        (
            {"missing": None, "message": "spec.tool is missing"},
            "held h1: update Stack root/a by user:bob: spec.tool is missing",
        ),
    ],
    ids=["without the right", "broken"],
)
def test_what_is_held_and_what_ends_a_halt_are_printed(
    held: dict[str, Any], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    result = {"stacks": [], "runs": [], "diagnostics": [], "held": [{**HELD, **held}], "admittedRevision": None}
    _print({**result, "halted": {"reason": "BranchNotFound", "message": "it is gone"}}, "table")
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == line
    assert printed[1].startswith("halted: BranchNotFound: it is gone (push the branch again")
