"""The exit code of `station reconcile`, from what came of the pass."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.cli.reconcile import _exit_code


def a_result(sync: str = "Synced", reason: str = "UpToDate", **changes: Any) -> dict[str, Any]:
    ready = {"status": str(reason == "UpToDate"), "reason": reason}
    stack = {"sync": sync, "suspended": False, "conditions": {"Ready": ready}}
    return {"halted": None, "diagnostics": [], "runs": [], "stacks": [stack | changes.pop("stack", {})]} | changes


@pytest.mark.parametrize(
    ("result", "plain", "detailed"),
    [
        pytest.param(a_result(), 0, 0, id="in sync"),
        pytest.param(a_result(runs=[{"status": "finished"}]), 0, 2, id="something ran"),
        pytest.param(a_result("OutOfSync", "ToolFailed"), 3, 3, id="out of sync"),
        pytest.param(a_result("Synced", "ToolFailed"), 3, 3, id="in sync, and a run failed since"),
        pytest.param(a_result("OutOfSync", "Suspended", stack={"suspended": True}), 0, 0, id="suspended"),
        pytest.param(a_result("OutOfSync", "IgnoredByPolicy"), 0, 2, id="ignored"),
        pytest.param(a_result("OutOfSync", "ProposedByPolicy"), 0, 2, id="proposed"),
        pytest.param(a_result("OutOfSync", "PolicyFailed"), 3, 3, id="a policy that cannot be evaluated"),
        pytest.param(a_result("OutOfSync", "WaitsForDependency"), 3, 3, id="waits for one that is held back"),
        pytest.param(a_result(diagnostics=[{"severity": "error"}]), 1, 1, id="bad configuration"),
    ],
)
def test_it_says_how_the_pass_went(result: dict[str, Any], plain: int, detailed: int) -> None:
    assert _exit_code(result, detailed=False) == plain
    assert _exit_code(result, detailed=True) == detailed
