"""What the word of push policies means for what is done next, and for what is said of a stack."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.core.conditions import assess
from reconciler.core.planning import AskPush, QueueRun, StopRun, Supersede, Wait, decide
from reconciler.core.runs import Run, RunKind, RunStatus
from reconciler.core.state import ConditionType, Heading, Push, StackState, Sync, Waits
from tests.factories import NOW, a_desired, a_fingerprint, a_run, a_stack, a_stack_id, an_applied, an_outcome, later

OTHER = a_fingerprint(spec={"env A": "other"})
COVERED = a_desired(push_policies="p1")
TRACKED, PROPOSED = QueueRun(needs_confirmation=False), QueueRun(needs_confirmation=False, kind=RunKind.PROPOSED)
WAITS = Waits(a_stack_id("root/base"), "is out of sync")


def said(heading: Heading, **changes: Any) -> Push:
    values = {"digest": COVERED.digest, "policies": "p1", "message": "policy root/p says so"}
    return Push(heading=heading, **(values | changes))


def a_proposal(status: str = "finished", **changes: Any) -> Any:
    return an_outcome(kind="proposed", status=status, **changes)


def out_of_sync(**changes: Any) -> StackState:
    return a_stack(**({"desired": COVERED, "sync": Sync.OUT_OF_SYNC} | changes))


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        pytest.param(out_of_sync(), AskPush(), id="not asked yet"),
        pytest.param(out_of_sync(sync=Sync.SYNCED), Wait(), id="in sync"),
        pytest.param(out_of_sync(paused=True), Wait(), id="suspended"),
        pytest.param(out_of_sync(push=said(Heading.TRACK)), TRACKED, id="tracked"),
        pytest.param(out_of_sync(push=said(Heading.IGNORE)), Wait(), id="ignored"),
        pytest.param(out_of_sync(push=said(Heading.FAILED)), Wait(), id="could not be evaluated"),
        pytest.param(out_of_sync(push=said(Heading.PROPOSE)), PROPOSED, id="proposed"),
        pytest.param(out_of_sync(push=said(Heading.PROPOSE), last=a_proposal()), Wait(), id="proposed, and planned"),
        pytest.param(
            out_of_sync(push=said(Heading.PROPOSE), last=a_proposal("superseded")), PROPOSED, id="plan superseded"
        ),
        pytest.param(out_of_sync(push=said(Heading.PROPOSE), last=a_proposal("failed")), Wait(), id="plan failed"),
        pytest.param(
            out_of_sync(push=said(Heading.PROPOSE), last=a_proposal("failed"), retry_at=NOW), PROPOSED, id="tried again"
        ),
        pytest.param(
            out_of_sync(push=said(Heading.PROPOSE), last=a_proposal(digest=OTHER.digest)), PROPOSED, id="older proposal"
        ),
        pytest.param(out_of_sync(push=said(Heading.TRACK), last=a_proposal()), TRACKED, id="was proposed before"),
        pytest.param(
            out_of_sync(push=said(Heading.IGNORE), last=an_outcome(status="failed"), retry_at=NOW),
            Wait(),
            id="ignored now, and to be retried",
        ),
        pytest.param(out_of_sync(push=said(Heading.IGNORE, digest=OTHER.digest)), AskPush(), id="changed since"),
        pytest.param(out_of_sync(push=said(Heading.IGNORE, policies="p0")), AskPush(), id="other policies since"),
        pytest.param(out_of_sync(desired=a_desired(), push=said(Heading.IGNORE)), TRACKED, id="no policies any more"),
        pytest.param(
            out_of_sync(desired=a_desired(push_policies="p1", autodeploy=False), push=said(Heading.PROPOSE)),
            PROPOSED,
            id="a proposal waits for nobody",
        ),
    ],
)
def test_what_is_done_next(state: StackState, expected: object) -> None:
    assert decide(state, None, NOW) == expected
    assert decide(state, None, NOW, WAITS) == Wait()


@pytest.mark.parametrize(
    ("run", "state", "expected"),
    [
        pytest.param(a_run(kind=RunKind.PROPOSED), out_of_sync(push=said(Heading.PROPOSE)), Wait, id="queued"),
        pytest.param(a_run(kind=RunKind.PROPOSED), out_of_sync(desired=a_desired(OTHER)), Supersede, id="outdated"),
        pytest.param(
            a_run(kind=RunKind.PROPOSED, status=RunStatus.PLANNING),
            out_of_sync(desired=a_desired(OTHER)),
            StopRun,
            id="plans what is outdated",
        ),
    ],
)
def test_a_proposal_is_led_like_any_run(run: Run, state: StackState, expected: type) -> None:
    assert isinstance(decide(state, run, NOW), expected)


@pytest.mark.parametrize(
    ("state", "reason", "stalled", "due"),
    [
        pytest.param(out_of_sync(), "New", "False", NOW, id="not asked yet"),
        pytest.param(out_of_sync(push=said(Heading.TRACK)), "New", "False", NOW, id="tracked"),
        pytest.param(out_of_sync(push=said(Heading.IGNORE)), "IgnoredByPolicy", "False", None, id="ignored"),
        pytest.param(out_of_sync(push=said(Heading.FAILED)), "PolicyFailed", "True", None, id="not evaluated"),
        pytest.param(out_of_sync(push=said(Heading.PROPOSE)), "New", "False", NOW, id="to be proposed"),
        pytest.param(
            out_of_sync(push=said(Heading.PROPOSE), last=a_proposal()), "ProposedByPolicy", "False", None, id="proposed"
        ),
        pytest.param(
            out_of_sync(push=said(Heading.PROPOSE), last=a_proposal("failed", reason="ToolFailed")),
            "ToolFailed",
            "True",
            None,
            id="proposal failed",
        ),
        pytest.param(
            out_of_sync(push=said(Heading.TRACK), last=an_outcome(status="failed", reason="X"), retry_at=later(9)),
            "X",
            "False",
            later(9),
            id="tracked, retried later",
        ),
        pytest.param(
            out_of_sync(push=said(Heading.IGNORE), last=an_outcome(status="failed", reason="X"), retry_at=later(9)),
            "X",
            "True",
            None,
            id="ignored since, not retried",
        ),
        pytest.param(
            out_of_sync(push=said(Heading.IGNORE), applied=an_applied()), "UpToDate", "False", None, id="put back"
        ),
    ],
)
def test_what_is_said(state: StackState, reason: str, stalled: str, due: Any) -> None:
    found = assess(state, None, (), NOW)
    ready = found.conditions[ConditionType.READY]
    assert (ready.reason, found.conditions[ConditionType.STALLED].status, found.due_at) == (reason, stalled, due)
    if reason in {"IgnoredByPolicy", "ProposedByPolicy", "PolicyFailed"}:
        assert ready.message == "policy root/p says so"
        assert found.conditions[ConditionType.RECONCILING].reason == reason


def test_a_stack_that_waits_says_so_first() -> None:
    found = assess(out_of_sync(push=said(Heading.IGNORE)), None, (), NOW, WAITS)
    assert found.reason == "WaitsForDependency"
