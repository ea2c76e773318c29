"""What the end of a leg means for its run: the table over leg, ending and how things stand."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from reconciler.core.phases import Leg, Phase
from reconciler.core.results import Planned
from reconciler.core.runs import TRANSITIONS, RunEvent, RunKind, RunStatus
from reconciler.core.state import StackState
from reconciler.engine.base import Ending, LegReport
from reconciler.loop.runs.record import _event, _stack_after
from tests.factories import NOW, a_fingerprint, a_run, a_stack, an_applied, an_outcome, later

CHANGES, NOTHING = Planned(has_changes=True), Planned(has_changes=False)


def report(leg: Leg, ending: Ending, **changes: Any) -> LegReport:
    phase = Phase.PLAN if leg is Leg.PLAN else Phase.APPLY
    return LegReport("r", 1, leg, ending, changes.pop("reason", "Some"), "words", phase, **changes)


PLANNED = report(Leg.PLAN, Ending.SUCCEEDED, planned=CHANGES)


@pytest.mark.parametrize(
    ("ended", "run", "current", "suspended", "expected"),
    [
        pytest.param(PLANNED, {}, True, False, RunEvent.PROCEED, id="planned"),
        pytest.param(PLANNED, {"needs_confirmation": True}, True, False, RunEvent.AWAIT, id="needs a person"),
        pytest.param(PLANNED, {}, True, True, RunEvent.AWAIT, id="suspended meanwhile"),
        pytest.param(PLANNED, {}, False, False, RunEvent.SUPERSEDE, id="outdated meanwhile"),
        pytest.param(
            PLANNED, {"needs_confirmation": True}, False, False, RunEvent.SUPERSEDE, id="outdated, unconfirmed"
        ),
        pytest.param(PLANNED, {"cancel_requested": True}, True, False, RunEvent.CANCEL, id="canceled too late to stop"),
        pytest.param(
            report(Leg.PLAN, Ending.SUCCEEDED, planned=NOTHING),
            {"needs_confirmation": True},
            True,
            False,
            RunEvent.FOUND_NOTHING,
            id="nothing to do",
        ),
        *(
            pytest.param(
                report(Leg.PLAN, Ending.SUCCEEDED, planned=planned),
                {"kind": RunKind.PROPOSED},
                current,
                False,
                expected,
                id=f"a proposal {words}",
            )
            for planned, current, expected, words in (
                (CHANGES, True, RunEvent.PROPOSE, "with changes"),
                (NOTHING, True, RunEvent.PROPOSE, "without changes"),
                (CHANGES, False, RunEvent.SUPERSEDE, "outdated meanwhile"),
            )
        ),
        pytest.param(
            PLANNED,
            {"kind": RunKind.PROPOSED, "fingerprint": a_fingerprint(policies={"root/p": "1f"})},
            True,
            False,
            RunEvent.FAIL,
            id="a proposal that nobody judged",
        ),
        pytest.param(report(Leg.PLAN, Ending.FAILED), {}, True, False, RunEvent.FAIL, id="plan failed"),
        pytest.param(report(Leg.PLAN, Ending.LOST), {}, True, False, RunEvent.FAIL, id="plan lost"),
        pytest.param(
            report(Leg.PLAN, Ending.INTERRUPTED), {}, True, False, RunEvent.FAIL, id="plan died: nothing was touched"
        ),
        pytest.param(report(Leg.PLAN, Ending.CANCELED), {}, False, False, RunEvent.SUPERSEDE, id="stopped as outdated"),
        pytest.param(
            report(Leg.PLAN, Ending.CANCELED),
            {"cancel_requested": True},
            False,
            False,
            RunEvent.CANCEL,
            id="stopped by a person",
        ),
        pytest.param(
            report(Leg.PLAN, Ending.FAILED, reason="PlanOutdated"),
            {},
            False,
            False,
            RunEvent.SUPERSEDE,
            id="never began: outdated",
        ),
        pytest.param(report(Leg.APPLY, Ending.SUCCEEDED), {}, True, False, RunEvent.SUCCEED, id="applied"),
        pytest.param(
            report(Leg.APPLY, Ending.SUCCEEDED),
            {},
            False,
            False,
            RunEvent.SUCCEED,
            id="applied what is outdated by now",
        ),
        pytest.param(
            report(Leg.APPLY, Ending.SUCCEEDED),
            {"cancel_requested": True},
            True,
            False,
            RunEvent.SUCCEED,
            id="applied all the same",
        ),
        pytest.param(report(Leg.APPLY, Ending.FAILED), {}, True, False, RunEvent.FAIL, id="apply failed"),
        pytest.param(
            report(Leg.APPLY, Ending.CANCELED),
            {"cancel_requested": True},
            True,
            False,
            RunEvent.FAIL,
            id="apply stopped",
        ),
        pytest.param(report(Leg.APPLY, Ending.LOST), {}, True, False, RunEvent.FAIL, id="apply never began"),
        pytest.param(report(Leg.APPLY, Ending.INTERRUPTED), {}, True, False, RunEvent.INTERRUPT, id="apply died"),
    ],
)
def test_what_an_end_means(
    *, ended: LegReport, run: dict[str, Any], current: bool, suspended: bool, expected: RunEvent
) -> None:
    assert _event(a_run(**run), ended, current=current, suspended=suspended) is expected


def test_no_end_breaks_the_table_of_transitions() -> None:
    ends = itertools.product(Leg, Ending, [False, True], [False, True], [None, CHANGES, NOTHING])
    for leg, ending, current, canceled, planned in ends:
        status = RunStatus.PLANNING if leg is Leg.PLAN else RunStatus.APPLYING
        ended = report(leg, ending, planned=planned)
        event = _event(a_run(cancel_requested=canceled), ended, current=current, suspended=False)
        assert (status, event) in TRANSITIONS, (ended, current, canceled)


OTHER = a_fingerprint(spec={"env A": "other"})


def after(state: StackState, event: RunEvent, leg: Leg = Leg.APPLY, **run: Any) -> StackState:
    return _stack_after(state, a_run(id="r", **run), event, leg, NOW)


def test_an_apply_counts_for_what_it_was_planned_for() -> None:
    state = after(a_stack(), RunEvent.SUCCEED, status=RunStatus.FINISHED, fingerprint=OTHER)
    assert state.applied is not None
    assert state.applied.digest == OTHER.digest
    assert (state.sync, state.due_at) == ("OutOfSync", NOW), "what is desired by now is still to come"


def test_a_success_ends_what_an_interruption_began() -> None:
    assert after(a_stack(interrupted=True), RunEvent.SUCCEED, status=RunStatus.FINISHED).interrupted is False
    assert after(a_stack(), RunEvent.INTERRUPT, status=RunStatus.INTERRUPTED).interrupted is True


@pytest.mark.parametrize(
    ("failures", "reason", "retry_at"),
    [(0, "DiskFull", later(10)), (1, "RunnerDied", later(20)), (0, "ToolFailed", None), (3, "HookFailed", None)],
)
def test_only_failures_of_the_surroundings_are_tried_again(failures: int, reason: str, retry_at: Any) -> None:
    state = a_stack(last=an_outcome(run="r", status="planning", failures=failures))
    state = after(state, RunEvent.FAIL, status=RunStatus.FAILED, reason=reason)
    assert (state.retry_at, state.due_at) == (retry_at, retry_at)


def test_a_failure_leaves_what_was_applied() -> None:
    applied = an_applied(OTHER)
    for event, status in ((RunEvent.FAIL, "failed"), (RunEvent.CANCEL, "canceled"), (RunEvent.SUPERSEDE, "superseded")):
        assert after(a_stack(applied=applied), event, status=RunStatus(status)).applied == applied


@pytest.mark.parametrize("leg", Leg)
@pytest.mark.parametrize(("reason", "due_at"), [("PrepareFailed", later(10)), ("ToolFailed", None)])
def test_a_run_that_was_to_put_right_what_a_failed_apply_left_has_not_when_it_fails(
    *, leg: Leg, reason: str, due_at: Any
) -> None:
    halfway = an_outcome(run="other", status="failed", digest=OTHER.digest, applying=True)
    state = after(
        a_stack(applied=an_applied(), failed=halfway), RunEvent.FAIL, leg, status=RunStatus.FAILED, reason=reason
    )
    assert (state.sync, state.due_at, state.failed) == ("OutOfSync", due_at, halfway)
    assert after(state, RunEvent.FOUND_NOTHING, Leg.PLAN, status=RunStatus.FINISHED).sync == "Synced"


def test_a_plan_of_a_third_that_fails_leaves_what_a_failed_apply_left() -> None:
    halfway = an_outcome(run="other", status="failed", digest=OTHER.digest, applying=True)
    third = a_fingerprint(spec={"env A": "third"})
    state = after(
        a_stack(applied=an_applied(), failed=halfway),
        RunEvent.FAIL,
        Leg.PLAN,
        status=RunStatus.FAILED,
        reason="ToolFailed",
        fingerprint=third,
    )
    assert state.failed == halfway, "it is the one that failed while it applied"
    later_apply = after(
        a_stack(applied=an_applied(), failed=halfway),
        RunEvent.FAIL,
        status=RunStatus.FAILED,
        reason="ToolFailed",
        fingerprint=third,
    )
    assert later_apply.failed is not None
    assert (later_apply.failed.digest, later_apply.failed.applying) == (third.digest, True)
