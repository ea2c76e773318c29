"""Freeze windows: what waits for their end, what goes on, and when somebody looks again."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from reconciler.core.conditions import assess
from reconciler.core.freezing import holds_up
from reconciler.core.phases import Leg, Phase
from reconciler.core.planning import AskPolicies, Proceed, QueueRun, Wait, decide
from reconciler.core.results import Planned
from reconciler.core.runs import Run, RunEvent, RunKind, RunStatus
from reconciler.core.state import Component, ConditionType, Observed, StackLock, StackState, Sync
from reconciler.core.verdicts import Judgement
from reconciler.engine.base import Ending, LegReport
from reconciler.loop.runs.next_step import after_leg
from spaces.effective.windows import Freeze
from spaces.model.drift import Drift, Repair
from spaces.names import SpaceName
from tests.factories import NOW, a_desired, a_fingerprint, a_run, a_stack, an_applied, later

# It is open from 11:00 to 13:00, and now it is 12:00.
OPEN = Freeze(SpaceName("root"), "0 11 * * *", "UTC", 7200, "admin")
ENDS = NOW + timedelta(hours=1)


def frozen(**changes: Any) -> StackState:
    desired = changes.pop("desired", {})
    return a_stack(**({"sync": Sync.OUT_OF_SYNC, "desired": a_desired(freezes=(OPEN,), **desired)} | changes))


def waiting(**changes: Any) -> Run:
    return a_run(status=RunStatus.UNCONFIRMED, **changes)


DRIFTED = Observed("0", NOW, a_fingerprint().digest, drifted=1)
REPAIRS = Drift.model_construct(schedules=("0 * * * *",), timezone="UTC", reconcile=Repair.ALWAYS, ignore=())
GUARDED = a_fingerprint(spec={"a": "1"}, policies={"p": "2"})


@pytest.mark.parametrize(
    ("state", "run", "during", "after"),
    [
        pytest.param(
            frozen(),
            None,
            QueueRun(needs_confirmation=False),
            QueueRun(needs_confirmation=False),
            id="a change is planned",
        ),
        pytest.param(
            frozen(sync=Sync.SYNCED, applied=an_applied(), observed=DRIFTED, desired={"drift": REPAIRS}),
            None,
            Wait(),
            QueueRun(needs_confirmation=False, repairs="0"),
            id="a repair waits",
        ),
        pytest.param(
            frozen(desired={"leaving": True}, applied=an_applied()),
            None,
            Wait(),
            QueueRun(needs_confirmation=False, kind=RunKind.DESTROY),
            id="a destruction waits",
        ),
        pytest.param(frozen(), waiting(frozen=True), Wait(), Proceed, id="a plan goes on by itself"),
        pytest.param(frozen(), waiting(confirmed_by="ada"), Wait(), Proceed, id="a confirmed plan goes on"),
        pytest.param(frozen(), waiting(frozen=True, through="ada"), Proceed, Proceed, id="a run is let through"),
        pytest.param(frozen(), waiting(needs_confirmation=True), Wait(), Wait(), id="a plan still needs a person"),
        pytest.param(frozen(paused=True), waiting(frozen=True), Wait(), Wait(), id="the stack is suspended"),
        pytest.param(
            a_stack(sync=Sync.OUT_OF_SYNC, desired=a_desired(GUARDED, freezes=(OPEN,))),
            waiting(fingerprint=GUARDED, digest=GUARDED.digest, confirmed_by="ada"),
            Wait(),
            AskPolicies,
            id="policies are asked after it",
        ),
        pytest.param(frozen(), a_run(status=RunStatus.APPLYING), Wait(), Wait(), id="what is applying goes on"),
    ],
)
def test_what_waits_for_the_end_is_due_then_and_not_before(
    state: StackState, run: Run | None, during: object, after: object
) -> None:
    for when, expected in ((NOW, during), (ENDS, after)):
        found = decide(state, run, when)
        assert (type(found) if isinstance(expected, type) else found) == expected
    waits = during == Wait() and after != Wait()
    assert (assess(state, run, (), NOW).due_at == ENDS) == waits


def test_conditions_say_until_when() -> None:
    held_up = assess(frozen(), waiting(frozen=True), (), NOW)
    assert held_up.reason == "Frozen"
    assert "a freeze window is open until 2026-03-01 13:00 UTC" in held_up.conditions[ConditionType.READY].message
    assert held_up.conditions[ConditionType.RECONCILING].reason == "Frozen"
    locked = assess(frozen(lock=StackLock("ada", "by hand", NOW)), None, (), NOW)
    assert locked.reason == "Locked"


def planned(run: Run, state: StackState, when: Any = NOW, judgement: Judgement | None = None) -> tuple[RunEvent, str]:
    report = LegReport(
        run.id,
        1,
        Leg.PLAN,
        Ending.SUCCEEDED,
        "Planned",
        "there are changes",
        Phase.PLAN,
        planned=Planned(has_changes=True),
    )
    event, changes = after_leg(run, report, judgement, None, holds_up(state, run, when), current=True, suspended=False)
    return event, str(changes.get("reason", ""))


def test_a_plan_that_needs_nobody_waits_for_the_end_of_the_window() -> None:
    run = a_run(status=RunStatus.PLANNING)
    assert planned(run, frozen()) == (RunEvent.AWAIT, "Frozen")
    assert planned(run, frozen(), later(3600)) == (RunEvent.PROCEED, "")
    assert planned(run.evolve(through="ada"), frozen()) == (RunEvent.PROCEED, "")
    assert planned(run.evolve(needs_confirmation=True), frozen()) == (RunEvent.AWAIT, "")
    assert planned(run.evolve(kind=RunKind.TASK, command="ls"), frozen()) == (RunEvent.AWAIT, "Frozen")
    assert Component.POLICIES in GUARDED.components
