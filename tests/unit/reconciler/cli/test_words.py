"""What the command line refuses before it asks anybody, and what it shows of a stack."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.cli.columns import STACKS
from reconciler.cli.errors import CliError
from reconciler.cli.options import split_labels


@pytest.mark.parametrize("written", ["bad==", "=a", "bad", "a=b=c"])
def test_a_selector_that_can_match_nothing_is_refused_by_its_flag(written: str) -> None:
    with pytest.raises(CliError, match=r"^-l "):
        split_labels((written,))
    assert split_labels(("a=b,c=",)) == ["a=b", "c="]


@pytest.mark.parametrize(
    ("reason", "suspended", "shown"),
    [("UpToDate", True, "UpToDate (suspended)"), ("UpToDate", False, "UpToDate"), ("Suspended", True, "Suspended")],
)
def test_a_stack_that_is_suspended_shows_it_whatever_else_is_said(reason: str, shown: str, *, suspended: bool) -> None:
    row: dict[str, Any] = {"reason": reason, "suspended": suspended}
    (column,) = [each for each in STACKS if each.title == "REASON"]
    assert column.show(row) == shown
