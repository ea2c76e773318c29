from __future__ import annotations

from typing import Any

import pytest

from reconciler.core.conditions import assess
from reconciler.core.planning import Proceed, QueueRun, Supersede, Wait, decide
from reconciler.core.runs import RunStatus
from reconciler.core.state import ConditionType, Heading, Push, StackProblem, Sync, Waits
from reconciler.core.waiting import Hindrance, hindrance, waits_for
from tests.factories import NOW, a_desired, a_fingerprint, a_run, a_stack, a_stack_id, an_applied, an_outcome

FAILED = an_outcome(status="failed", reason="ToolFailed")
BASE = a_stack_id("platform/base")


@pytest.mark.parametrize(
    ("changes", "run", "words"),
    [
        pytest.param({"applied": an_applied(), "sync": Sync.SYNCED}, None, None, id="in sync"),
        pytest.param({"applied": an_applied(), "sync": Sync.SYNCED, "paused": True}, None, None, id="in sync and suspended"),
        pytest.param({"applied": an_applied(), "sync": Sync.SYNCED}, a_run(), "has an active run (queued)", id="in sync, about to run"),
        pytest.param({"applied": an_applied(), "sync": Sync.SYNCED, "last": FAILED}, None, "failed: ToolFailed", id="in sync, but its last run failed"),
        pytest.param({"applied": an_applied(), "sync": Sync.SYNCED, "failed": FAILED}, None, "failed: ToolFailed", id="in sync, and nothing succeeded since a failure"),
        pytest.param({"applied": an_applied(), "sync": Sync.SYNCED, "last": an_outcome(status="discarded")}, None, None, id="in sync, and a run was discarded"),
        pytest.param({"sync": Sync.OUT_OF_SYNC}, None, "is out of sync", id="out of sync"),
        pytest.param({"sync": Sync.OUT_OF_SYNC, "paused": True}, None, "is suspended while out of sync", id="suspended"),
        pytest.param({"sync": Sync.OUT_OF_SYNC, "last": FAILED}, None, "failed: ToolFailed", id="failed"),
        pytest.param({"sync": Sync.OUT_OF_SYNC, "last": an_outcome(status="failed", digest="older")}, None, "is out of sync", id="failed before"),
        pytest.param({"sync": Sync.OUT_OF_SYNC, "last": an_outcome(status="discarded")}, None, "is out of sync, and its run was discarded", id="discarded"),
        pytest.param({"sync": Sync.OUT_OF_SYNC}, a_run(status=RunStatus.UNCONFIRMED), "waits for confirmation", id="unconfirmed"),
        pytest.param({"sync": Sync.OUT_OF_SYNC, "interrupted": True, "last": an_outcome(status="interrupted", reason="Interrupted")}, None, "failed: Interrupted", id="interrupted"),
        pytest.param({"desired": a_desired(problem=StackProblem("SourceNotFound", "m")), "sync": Sync.UNKNOWN}, None, "has a problem: SourceNotFound", id="a problem"),
        pytest.param({"desired": a_desired(push_policies="p"), "push": Push(a_fingerprint().digest, "p", Heading.IGNORE), "sync": Sync.OUT_OF_SYNC}, None, "is out of sync: IgnoredByPolicy", id="held back"),
        pytest.param({"desired": None, "sync": Sync.UNKNOWN}, None, "was not applied yet", id="not in Git"),
    ],
)  # fmt: skip
def test_what_hinders(changes: dict[str, Any], run: Any, words: str | None) -> None:
    found = hindrance(a_stack(**changes), run)
    assert (found.words if found else None) == words


def test_a_stack_that_nobody_knows_hinders() -> None:
    assert hindrance(None, None) == Hindrance("was not applied yet", lasting=False)


PARENTS = {"app": "ml", "mid": "b", "low": "b", "base": ""}
OUT, BAD = Hindrance("is out of sync", lasting=False), Hindrance("failed: X", lasting=True)


@pytest.mark.parametrize(
    ("hindrances", "expected"),
    [
        pytest.param({}, None, id="nothing"),
        pytest.param({"app": BAD}, None, id="itself"),
        pytest.param({"mid": OUT}, "root/mid is out of sync", id="a parent"),
        pytest.param({"base": OUT}, "root/base is out of sync", id="a grandparent alone"),
        pytest.param({"low": OUT, "base": OUT}, "root/low is out of sync", id="the nearest"),
        pytest.param({"mid": OUT, "base": BAD}, "root/base failed: X", id="what does not pass by itself goes first"),
        pytest.param({"low": BAD, "base": BAD}, "root/low failed: X", id="the nearest of those"),
    ],
)
def test_what_a_stack_waits_for(hindrances: dict[str, Hindrance], expected: str | None) -> None:
    ids = {name: a_stack_id(f"root/{name}") for name in PARENTS}
    parents = {ids["app"]: [ids["mid"], ids["low"]], ids["mid"]: [ids["base"]], ids["low"]: [ids["base"]]}
    found = waits_for(ids["app"], parents, {ids[name]: each for name, each in hindrances.items()})
    assert (str(found) if found else None) == expected


WAITS = Waits(BASE, "failed: ToolFailed")


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        pytest.param(None, Wait, id="nothing is queued"),
        pytest.param(a_run(), Supersede, id="what is queued is taken back"),
        pytest.param(a_run(status=RunStatus.PLANNING), Wait, id="what plans goes on"),
        pytest.param(a_run(status=RunStatus.APPLYING), Wait, id="what applies goes on"),
        pytest.param(a_run(status=RunStatus.UNCONFIRMED), Wait, id="what waits goes on waiting"),
        pytest.param(a_run(status=RunStatus.UNCONFIRMED, confirmed_by="ada"), Wait, id="what is confirmed is not applied"),
    ],
)  # fmt: skip
def test_nothing_runs_while_it_waits(run: Any, expected: type) -> None:
    state = a_stack(sync=Sync.OUT_OF_SYNC)
    assert isinstance(decide(state, run, NOW, WAITS), expected)
    if run is None or run.confirmed_by:
        assert isinstance(decide(state, run, NOW), QueueRun if run is None else Proceed)


def test_what_is_said_of_one_that_waits() -> None:
    found = assess(a_stack(), None, (), NOW, WAITS)
    assert (found.sync, found.reason, found.due_at) == (Sync.OUT_OF_SYNC, "WaitsForDependency", None)
    for condition in (ConditionType.READY, ConditionType.RECONCILING):
        assert found.conditions[condition].reason == "WaitsForDependency"
        assert found.conditions[condition].message == "platform/base failed: ToolFailed"
    assert assess(a_stack(applied=an_applied()), None, (), NOW, WAITS).reason == "UpToDate"
    assert assess(a_stack(last=FAILED), None, (), NOW, WAITS).conditions[ConditionType.READY].reason == "ToolFailed"
    assert assess(a_stack(), None, (), NOW).due_at == NOW
