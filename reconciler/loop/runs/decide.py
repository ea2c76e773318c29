"""Decides about the stacks that are due, and records the decisions in one transaction.

The loop calls `decide_due` again and again. It reads what `core.planning` says of each stack, lets runs take the steps
that need no process, and returns what this service has to do about processes and policies.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Self, assert_never

from reconciler.core.conditions import assess
from reconciler.core.identifiers import next_run_id
from reconciler.core.planning import (
    AskPolicies,
    AskPush,
    Proceed,
    QueueRun,
    StopRun,
    Supersede,
    Wait,
    decide,
    may_wait_for_turn,
)
from reconciler.core.rollouts import WAITS
from reconciler.core.runs import Run, RunEvent, leading
from reconciler.core.standing import is_current, is_outdated, without_ended_lock
from reconciler.core.state import StackState, Waits
from reconciler.core.transition import Transition, new_run, take_step
from reconciler.loop.runs.next_step import set_going
from reconciler.loop.runs.rollouts import Turns
from reconciler.runs.audit import log_run
from reconciler.runs.outputs import relink
from reconciler.runs.transition import record
from reconciler.store.protocol import Store
from reconciler.store.waiting import waiting
from spaces.names import StackId

BATCH = 1000
"""How many stacks are decided about in one transaction."""

_LOOK_AGAIN = timedelta(seconds=5)
"""How soon to look again at a stack whose next move is somebody else's."""


@dataclass(frozen=True, slots=True)
class ToStop:
    """A run of this service whose process is to stop."""

    run: Run


@dataclass(frozen=True, slots=True)
class ToApply:
    """A confirmed run of this service whose plan is to be applied."""

    run: Run


@dataclass(frozen=True, slots=True)
class ToJudge:
    """A run of this service that waits, and whose policies are to be asked again."""

    run: Run


@dataclass(frozen=True, slots=True)
class Ended:
    """A run that ended without a process: its directory can go."""

    run: Run


@dataclass(frozen=True, slots=True)
class ToPush:
    """A stack whose push policies are to be asked about a change."""

    stack: StackId


Followup = ToStop | ToApply | ToJudge | ToPush | Ended


def decide_due(store: Store, holder: str, now: datetime) -> tuple[int, list[Followup]]:
    """Decide about the stacks that are due. Returns their number, and what this service has to do about processes."""
    with store.reading() as reading:
        due = reading.due_stacks(now, BATCH)
    if not due:
        return 0, []
    wanted = [state.id for state in due]
    with store.writing() as transaction:
        states = relink(transaction, transaction.stacks(wanted))
        waits = waiting(transaction, states, now)
        active = leading(transaction.active_runs(wanted))
        rollouts = Turns(transaction)
        decisions = [
            _decide(without_ended_lock(state, now), active.get(stack), waits.get(stack), holder, now, rollouts)
            for stack, state in states.items()
            if state.due_at is not None and state.due_at <= now
        ]
        steps = [step for decision in decisions for step in decision.steps]
        # A stack that was given a run by another transaction is decided about next time.
        left_out = record(transaction, steps, [decision.state for decision in decisions], now)
    for step in steps:
        if step.event is RunEvent.QUEUE and step.run.stack not in left_out:
            log_run(step.run)
    return len(decisions), [followup for decision in decisions for followup in decision.followups]


@dataclass(slots=True)
class _Decision:
    """A stack as it is decided about: its state, its active run, and what is to be done."""

    state: StackState
    active: Run | None
    now: datetime
    steps: list[Transition] = field(default_factory=list)
    followups: list[Followup] = field(default_factory=list)

    def step(self, run: Run, event: RunEvent, **changes: Any) -> Run:
        step = take_step(self.state, run, event, self.now, **changes)
        self.steps.append(step)
        self.state, self.active = step.stack, step.run if step.run.is_active else None
        return step.run

    def settle(self, waits: Waits | None = None) -> Self:
        self.state = assess(self.state, self.active, self.state.why, self.now, waits)
        return self

    def look_again(self) -> Self:
        """Leave the next move to somebody else: another service, a policy, or a process that stops."""
        self.settle()
        self.state = self.state.evolve(due_at=self.now + _LOOK_AGAIN)
        return self


def _decide(  # noqa: C901, PLR0911, PLR0917
    state: StackState, active: Run | None, waits: Waits | None, holder: str, now: datetime, rollouts: Turns
) -> _Decision:
    """Decide about one stack, until there is nothing more to decide."""
    decision = _Decision(state.evolve(turn=None), active, now)
    while True:
        action = decide(decision.state, decision.active, now, waits)
        match action:
            case Wait():
                return decision.settle(waits)
            case AskPush():
                # Any service may ask: the first answer counts.
                decision.followups.append(ToPush(state.id))
                return decision.look_again()
            case QueueRun():
                held = rollouts.hold(decision.state) if may_wait_for_turn(decision.state, action) else None
                if held is not None:
                    decision.state = decision.state.evolve(turn=WAITS)
                    return decision.settle(waits)
                decision.step(run_for(decision.state, action, now), RunEvent.QUEUE)
                return decision.settle()
            case Supersede(run):
                ended = decision.step(run, RunEvent.SUPERSEDE, message=_superseded_by(state, run, now))
                decision.followups.append(Ended(ended))
            case StopRun(run) | AskPolicies(run):
                if run.holder == holder:
                    decision.followups.append(ToStop(run) if isinstance(action, StopRun) else ToJudge(run))
                return decision.look_again()
            case Proceed(run):
                if run.holder != holder:
                    return decision.look_again()
                message = set_going(run)
                decision.followups.append(ToApply(decision.step(run, RunEvent.PROCEED, message=message)))
                return decision.settle()
            case _:
                assert_never(action)


def _superseded_by(state: StackState, run: Run, now: datetime) -> str:
    if not is_current(state, run):
        return "the desired configuration has changed"
    if is_outdated(state, run, now):
        return "the time of its stack is over"
    return "a stack that it depends on is out of sync"


def run_for(state: StackState, queue: QueueRun, now: datetime) -> Run:
    """Return the run that a decision about a stack in Git asks for; `RunEvent.QUEUE` queues it."""
    desired = state.desired
    assert desired is not None  # noqa: S101 - nothing is queued for a stack that left Git
    run = next_run_id(state, now, secrets.token_bytes(10))
    return new_run(
        state,
        desired,
        run,
        now,
        kind=queue.kind,
        needs_confirmation=queue.needs_confirmation,
        repairs=queue.repairs,
        gentle=queue.gentle,
        leaving=desired.leaving,
        scheduled=queue.scheduled,
        retry=queue.retry,
        command=queue.command,
    )
