"""What one step of a run means for its stack."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.core.conditions import assess
from reconciler.core.runs import ACTIVE, TRANSITIONS, RunEvent, RunKind, RunStatus, TransitionRefused
from reconciler.core.state import StackState, Sync
from reconciler.core.transition import new_run, take_step
from tests.factories import NOW, a_desired, a_fingerprint, a_run, a_run_id, a_stack, an_applied, an_outcome, later

OTHER = a_fingerprint(spec={"env A": "other"})


APPLYING, PLANNING = RunStatus.APPLYING, RunStatus.PLANNING


def after(
    state: StackState, event: RunEvent, status: RunStatus = APPLYING, reason: str = "ToolFailed", **run: Any
) -> StackState:
    step = take_step(state, a_run(id="r", status=status, **run), event, NOW, reason=reason)
    return assess(step.stack, step.run if step.run.is_active else None, step.stack.why, NOW)


def test_an_apply_counts_for_what_it_was_planned_for() -> None:
    state = after(a_stack(), RunEvent.SUCCEED, fingerprint=OTHER)
    assert state.applied is not None
    assert state.applied.digest == OTHER.digest
    assert (state.sync, state.due_at) == ("OutOfSync", NOW), "what is desired by now is still to come"


def test_a_success_ends_what_an_interruption_began() -> None:
    assert after(a_stack(interrupted=True), RunEvent.SUCCEED).interrupted is False
    assert after(a_stack(), RunEvent.INTERRUPT).interrupted is True


@pytest.mark.parametrize(
    ("failures", "reason", "retry_at"),
    [(0, "DiskFull", later(10)), (1, "RunnerDied", later(20)), (0, "ToolFailed", None), (3, "HookFailed", None)],
)
def test_only_failures_of_the_surroundings_are_tried_again(failures: int, reason: str, retry_at: Any) -> None:
    state = a_stack(last=an_outcome(run="r", status="planning", failures=failures))
    state = after(state, RunEvent.FAIL, reason=reason)
    assert (state.retry_at, state.due_at) == (retry_at, retry_at)


def test_a_failure_leaves_what_was_applied() -> None:
    applied = an_applied(OTHER)
    for event in (RunEvent.FAIL, RunEvent.CANCEL, RunEvent.SUPERSEDE):
        assert after(a_stack(applied=applied), event, PLANNING).applied == applied


@pytest.mark.parametrize("status", [PLANNING, APPLYING])
@pytest.mark.parametrize(("reason", "due_at"), [("PrepareFailed", later(10)), ("ToolFailed", None)])
def test_a_run_that_was_to_put_right_what_a_failed_apply_left_has_not_when_it_fails(
    *, status: RunStatus, reason: str, due_at: Any
) -> None:
    halfway = an_outcome(run="other", status="failed", digest=OTHER.digest, applying=True)
    state = after(a_stack(applied=an_applied(), failed=halfway), RunEvent.FAIL, status, reason)
    assert (state.sync, state.due_at, state.failed) == ("OutOfSync", due_at, halfway)
    assert after(state, RunEvent.FOUND_NOTHING, PLANNING).sync == "Synced"


def test_a_plan_of_a_third_that_fails_leaves_what_a_failed_apply_left() -> None:
    halfway = an_outcome(run="other", status="failed", digest=OTHER.digest, applying=True)
    third = a_fingerprint(spec={"env A": "third"})
    state = after(
        a_stack(applied=an_applied(), failed=halfway),
        RunEvent.FAIL,
        PLANNING,
        fingerprint=third,
    )
    assert state.failed == halfway, "it is the one that failed while it applied"
    later_apply = after(
        a_stack(applied=an_applied(), failed=halfway),
        RunEvent.FAIL,
        fingerprint=third,
    )
    assert later_apply.failed is not None
    assert (later_apply.failed.digest, later_apply.failed.applying) == (third.digest, True)


def test_a_failure_while_it_applied_is_remembered_as_such() -> None:
    assert [after(a_stack(), RunEvent.FAIL, status).failed.applying for status in (PLANNING, APPLYING)] == [False, True]


def test_a_document_that_is_back_before_its_destruction_has_ended_is_made_anew() -> None:
    back = after(a_stack(applied=an_applied()), RunEvent.SUCCEED, kind=RunKind.DESTROY, leaving=True)
    assert (back.sync, back.reason, back.paused, back.due_at) == ("OutOfSync", "New", False, NOW)
    gone = after(a_stack(desired=a_desired(leaving=True), applied=an_applied()), RunEvent.SUCCEED, kind=RunKind.DESTROY)
    assert (gone.desired, gone.paused, gone.reason) == (None, False, "Destroyed"), "a person had asked for it before"


def test_what_a_failed_destruction_left_is_not_in_sync_whatever_fails_after_it() -> None:
    half = after(a_stack(applied=an_applied()), RunEvent.FAIL, kind=RunKind.DESTROY)
    assert (half.sync, half.due_at) == ("OutOfSync", None), "a person decides what comes next"
    assert [after(half, RunEvent.FAIL, status).sync for status in (PLANNING, APPLYING)] == ["OutOfSync"] * 2
    assert after(half, RunEvent.SUCCEED).sync == "Synced"


def test_whoever_cancels_a_retry_in_the_queue_ends_the_retries() -> None:
    state = a_stack(last=an_outcome(run="r", status="failed", failures=1), retry_at=NOW)
    state = after(state, RunEvent.CANCEL, RunStatus.QUEUED, "Canceled")
    assert (state.retry_at, state.due_at) == (None, None)


@pytest.mark.parametrize("event", [RunEvent.QUEUE, RunEvent.PREPARE, RunEvent.AWAIT, RunEvent.PROCEED])
def test_the_count_of_failures_goes_along_with_what_is_desired(event: RunEvent) -> None:
    status = RunStatus.QUEUED if event is RunEvent.QUEUE else PLANNING
    counted = a_stack(last=an_outcome(run="q", failures=2))
    assert after(counted, event, status).last.failures == 2
    other = a_stack(last=an_outcome(run="q", failures=2, digest=OTHER.digest))
    assert after(other, event, status).last.failures == 0


def test_an_older_run_does_not_speak_for_the_stack_and_yet_leaves_what_it_applied() -> None:
    newest = an_outcome(run="s", status="queued")
    state = after(a_stack(last=newest), RunEvent.SUCCEED)
    assert (state.last, state.applied is None) == (newest, False)


STEPS = [
    pytest.param(status, event, id=f"{status or 'new'}-{event}") for status, event in TRANSITIONS if status is not None
]


@pytest.mark.parametrize(("status", "event"), STEPS)
def test_every_step_says_when_a_run_is_over_and_who_may_want_to_know(status: RunStatus, event: RunEvent) -> None:
    run = a_run(status=status, lease_until=later(60))
    step = take_step(a_stack(), run, event, NOW, reason="ToolFailed")
    over = step.run.status not in ACTIVE
    assert (step.run.finished_at, step.run.lease_until) == ((NOW, None) if over else (None, run.lease_until))
    begins_to_wait = (status, step.run.status) == (PLANNING, RunStatus.UNCONFIRMED)
    assert step.is_news is (over or begins_to_wait)
    assert step.stack.last.status == step.run.status


def test_a_step_that_the_table_does_not_name_is_refused() -> None:
    with pytest.raises(TransitionRefused, match=r"^a run that is applying cannot be discarded$"):
        take_step(a_stack(), a_run(status=APPLYING), RunEvent.DISCARD, NOW)


@pytest.mark.parametrize(
    ("event", "sync", "wakes"),
    [
        pytest.param(RunEvent.QUEUE, Sync.OUT_OF_SYNC, False, id="queued, and those below wait already"),
        pytest.param(RunEvent.QUEUE, Sync.SYNCED, True, id="queued by a person while in sync"),
        pytest.param(RunEvent.SUCCEED, Sync.OUT_OF_SYNC, True, id="applied"),
        pytest.param(RunEvent.AWAIT, Sync.OUT_OF_SYNC, True, id="waits for a person"),
        pytest.param(RunEvent.PREPARE, Sync.OUT_OF_SYNC, False, id="prepared"),
    ],
)
def test_who_is_woken(event: RunEvent, sync: Sync, *, wakes: bool) -> None:
    status = {RunEvent.QUEUE: RunStatus.QUEUED, RunEvent.SUCCEED: APPLYING}.get(event, PLANNING)
    assert take_step(a_stack(sync=sync), a_run(status=status), event, NOW).wakes_dependents is wakes


def test_a_new_run_is_for_what_is_desired() -> None:
    desired = a_desired(person="ada")
    run = new_run(a_stack(desired=desired), desired, a_run_id(), NOW)
    assert (run.kind, run.status, run.person) == (RunKind.TRACKED, RunStatus.QUEUED, "ada")
    assert (run.digest, run.fingerprint, run.revision) == (desired.digest, desired.fingerprint, desired.revision)
