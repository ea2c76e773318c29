"""The end of a stack's time: when it comes, what follows, and what keeps it from that."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from reconciler.core.conditions import assess
from reconciler.core.ends import ends_at
from reconciler.core.keeping import StackLock
from reconciler.core.planning import QueueRun, Supersede, Wait, decide, on_schedule
from reconciler.core.runs import RunEvent, RunKind, RunStatus
from reconciler.core.standing import is_current
from reconciler.core.state import ConditionType, StackState, Sync, Waits
from reconciler.core.transition import take_step
from tests.factories import NOW, a_desired, a_fingerprint, a_run, a_stack, a_stack_id, an_applied, an_outcome, later

GONE = QueueRun(needs_confirmation=False, kind=RunKind.DESTROY, scheduled=True)
HOUR = 3600


def an_ending(ttl: int | None = HOUR, desired: dict[str, Any] | None = None, **changes: Any) -> StackState:
    """Give a stack in sync whose hour is over at 13:00."""
    values = {"desired": a_desired(ttl=ttl, **(desired or {})), "applied": an_applied(first=NOW), "sync": Sync.SYNCED}
    return a_stack(**(values | changes))


def test_a_ttl_counts_from_the_first_apply_and_anew_after_a_destruction() -> None:
    state = a_stack(desired=a_desired(ttl=HOUR))
    for at in (NOW, later(600)):
        run = a_run(status=RunStatus.APPLYING)
        state = take_step(state, run, RunEvent.SUCCEED, at).stack
        assert ends_at(state) == later(HOUR)
    destroyed = take_step(state, a_run(kind=RunKind.DESTROY, status=RunStatus.APPLYING), RunEvent.SUCCEED, later(HOUR))
    assert (ends_at(destroyed.stack), destroyed.stack.paused) == (None, True)
    assert ends_at(an_ending(applied=an_applied(at=later(5)))) == later(HOUR + 5), "applied by an earlier version"


def test_the_loop_looks_at_the_stack_when_its_time_is_over_and_destroys_it_then() -> None:
    before = assess(an_ending(), None, (), NOW)
    assert (before.due_at, decide(before, None, later(HOUR - 1))) == (later(HOUR), Wait())
    over = assess(before, None, (), later(HOUR))
    assert (over.due_at, decide(over, None, later(HOUR))) == (later(HOUR), GONE)
    assert over.conditions[ConditionType.EXPIRED].message == (
        "its time was over at 2026-03-01 13:00 UTC; what it made is to be destroyed"
    )


@pytest.mark.parametrize(
    ("changes", "seconds"),
    [
        pytest.param({"desired": {"autodeploy": False}}, HOUR, id="no autodeploy"),
        pytest.param({"interrupted": True}, HOUR, id="interrupted"),
        pytest.param({}, 86400, id="a stop or a jump of the clock by a day"),
    ],
)
def test_a_person_is_asked_first(changes: dict[str, Any], seconds: int) -> None:
    found = decide(an_ending(**changes), None, later(seconds))
    assert found == QueueRun(needs_confirmation=True, kind=RunKind.DESTROY, scheduled=True)


@pytest.mark.parametrize(
    ("state", "waits", "reason"),
    [
        pytest.param(an_ending(desired={"protected": True}), None, "Protected", id="protected"),
        pytest.param(an_ending(), Waits(a_stack_id("root/child"), "is applied"), "HasDependents", id="dependents"),
        pytest.param(an_ending(lock=StackLock("ada", "x", NOW)), None, "Expired", id="locked"),
        pytest.param(an_ending(paused=True), None, "Expired", id="suspended"),
        pytest.param(
            an_ending(last=an_outcome(kind="destroy", status="discarded")), None, "Expired", id="somebody discarded it"
        ),
    ],
)
def test_what_keeps_a_stack_is_shown(state: StackState, waits: Waits | None, reason: str) -> None:
    now = later(HOUR)
    assert decide(state, None, now, waits) == Wait()
    shown = assess(state, None, (), now, waits)
    assert shown.conditions[ConditionType.EXPIRED].reason == reason
    assert shown.due_at in {None, now + timedelta(minutes=1)}
    assert "root/child" not in shown.conditions[ConditionType.EXPIRED].message


def test_a_protected_stack_is_applied_as_before() -> None:
    changed = a_fingerprint(spec={"env A": "other"})
    state = an_ending(sync=Sync.OUT_OF_SYNC, desired={"protected": True, "fingerprint": changed})
    assert decide(state, None, later(HOUR)) == QueueRun(needs_confirmation=False)


def test_nothing_is_made_of_a_stack_whose_end_has_passed() -> None:
    state = assess(a_stack(desired=a_desired(destroy_at=NOW)), None, (), NOW)
    assert (state.reason, state.due_at, decide(state, None, NOW)) == ("Expired", None, Wait())
    assert (
        state.conditions[ConditionType.READY].message
        == "its time was over at 2026-03-01 12:00 UTC, and nothing is applied"
    )
    assert on_schedule(state, None, NOW, None) is None


def test_other_runs_make_way_and_a_run_at_work_goes_on() -> None:
    state = an_ending()
    waiting = a_run(status=RunStatus.UNCONFIRMED)
    assert decide(state, waiting, later(HOUR)) == Supersede(waiting)
    assert assess(state, waiting, (), NOW).due_at == later(HOUR)
    assert decide(state, a_run(status=RunStatus.APPLYING), later(HOUR)) == Wait()


def test_who_puts_the_end_off_takes_the_destruction_back() -> None:
    run = a_run(kind=RunKind.DESTROY, scheduled=True, status=RunStatus.UNCONFIRMED, created_at=later(HOUR))
    assert is_current(an_ending(), run)
    for changes in ({"ttl": 2 * HOUR}, {"ttl": None}, {"desired": {"protected": True}}):
        assert not is_current(an_ending(**changes), run)
    asked_for = a_run(kind=RunKind.DESTROY, status=RunStatus.UNCONFIRMED)
    assert is_current(an_ending(ttl=None), asked_for)
