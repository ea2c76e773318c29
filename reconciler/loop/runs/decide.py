"""Looks at the stacks that are due, decides, and records the decision: all of it in one transaction."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import assert_never

from reconciler.core.conditions import assess
from reconciler.core.identifiers import run_id
from reconciler.core.phases import Phase
from reconciler.core.planning import AskPush, Judge, Proceed, QueueRun, Stop, Supersede, Wait, decide
from reconciler.core.reasons import Reason
from reconciler.core.runs import Run, RunEvent, RunStatus
from reconciler.core.state import Outcome, StackState, Waits
from reconciler.loop.audit import APPLYING, QUEUED, about_run
from reconciler.loop.desired.record import relink
from reconciler.store.protocol import Store, Transaction
from reconciler.store.waiting import waiting
from spaces.names import StackId

BATCH = 1000
"""How many stacks are decided about in one transaction."""

_LOOK_AGAIN = timedelta(seconds=5)
"""When to look again at a run that another service, or a process that is stopping, has to bring to its end."""


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
    """A run of this service that waits, and about which its policies are to be asked."""

    run: Run


@dataclass(frozen=True, slots=True)
class Ended:
    """A run that ended without its process saying so: its directory can go."""

    run: Run


@dataclass(frozen=True, slots=True)
class ToPush:
    """A stack whose push policies are to be asked what is to become of a change."""

    stack: StackId


Followup = ToStop | ToApply | ToJudge | ToPush | Ended


def outcome(run: Run, now: datetime, failures: int = 0) -> Outcome:
    """Sum up how a run stands, for the stack."""
    return Outcome(run.id, run.kind, run.status, run.reason, run.message, run.digest, now, failures)


def decide_due(store: Store, holder: str, now: datetime) -> tuple[int, list[Followup]]:
    """Decide about the stacks that are due: how many there were, and what this service has to do about processes."""
    with store.reading() as reading:
        due = reading.due_stacks(now, BATCH)
    if not due:
        return 0, []
    followups: list[Followup] = []
    wanted = [state.id for state in due]
    with store.writing() as transaction:
        states = relink(transaction, transaction.stacks(wanted))
        waits = waiting(transaction, states)
        active = {run.stack: run for run in transaction.active_runs(wanted) if run.leads}
        queued: list[Run] = []
        settled = []
        for stack, state in states.items():
            if state.due_at is None or state.due_at > now:
                continue
            decided, run = _decide(transaction, state, active.get(stack), waits.get(stack), holder, now, followups)
            if run is not None and run.status is RunStatus.QUEUED and run is not active.get(stack):
                queued.append(run)
            settled.append(decided)
        added = set(transaction.add_runs(queued))
        left_out = {run.stack for run in queued if run.id not in added}
        # A run that somebody else has just queued for the stack is looked at next time.
        transaction.put_stacks([s.evolve(due_at=now + _LOOK_AGAIN) if s.id in left_out else s for s in settled])
        events = [about_run(QUEUED, run, now) for run in queued if run.id in added]
        events += [about_run(APPLYING, each.run, now) for each in followups if isinstance(each, ToApply)]
        # Where a run was taken back the stack may be in sync.
        transaction.wake_dependents([each.run.stack for each in followups if isinstance(each, Ended)], now)
        if events:
            transaction.append_audit(events)
    return len(settled), followups


def _decide(  # noqa: PLR0917
    transaction: Transaction,
    state: StackState,
    active: Run | None,
    waits: Waits | None,
    holder: str,
    now: datetime,
    followups: list[Followup],
) -> tuple[StackState, Run | None]:
    """Decide about one stack until there is nothing more to decide; gives it and the run that is then on its way."""
    while True:
        action = decide(state, active, now, waits)
        match action:
            case Wait():
                return assess(state, active, state.why, now, waits), active
            case AskPush():
                # Any service may ask: the first answer counts.
                followups.append(ToPush(state.id))
                return assess(state, active, state.why, now).evolve(due_at=now + _LOOK_AGAIN), active
            case QueueRun():
                run = _new_run(state, action, now)
                state = state.evolve(last=outcome(run, now, _failures(state)))
                return assess(state, run, state.why, now), run
            case Supersede(run):
                ended = run.advance(
                    RunEvent.SUPERSEDE,
                    reason=Reason.SUPERSEDED,
                    message=_superseded_by(state, run),
                    finished_at=now,
                )
                transaction.put_run(ended)
                followups.append(Ended(ended))
                state, active = state.evolve(last=outcome(ended, now)), None
            case Stop(run) | Judge(run):
                if run.holder == holder:
                    followups.append(ToStop(run) if isinstance(action, Stop) else ToJudge(run))
                return assess(state, active, state.why, now).evolve(due_at=now + _LOOK_AGAIN), active
            case Proceed(run):
                if run.holder != holder:
                    return assess(state, active, state.why, now).evolve(due_at=now + _LOOK_AGAIN), active
                applying = run.advance(
                    RunEvent.CONFIRM,
                    phase=Phase.APPLY,
                    reason=Reason.APPLYING,
                    message=f"confirmed by {run.confirmed_by}",
                )
                transaction.put_run(applying)
                followups.append(ToApply(applying))
                state = state.evolve(last=outcome(applying, now))
                return assess(state, applying, state.why, now), applying
            case _:
                assert_never(action)


def _superseded_by(state: StackState, run: Run) -> str:
    if state.desired is None or state.desired.digest != run.digest:
        return "something newer is desired"
    return "a stack that it depends on is out of sync"


def _failures(state: StackState) -> int:
    """Count on where the last run was for what is desired now."""
    last, desired = state.last, state.desired
    return last.failures if last is not None and desired is not None and last.digest == desired.digest else 0


def _new_run(state: StackState, queue: QueueRun, now: datetime) -> Run:
    desired = state.desired
    assert desired is not None  # noqa: S101 - nothing is decided about a stack that left Git
    return Run(
        id=run_id(now, secrets.token_bytes(10)),
        stack=state.id,
        kind=queue.kind,
        status=RunStatus.QUEUED,
        revision=desired.revision,
        digest=desired.digest,
        fingerprint=desired.fingerprint,
        created_at=now,
        why=state.why,
        person=desired.person,
        needs_confirmation=queue.needs_confirmation,
    )
