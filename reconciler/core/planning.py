"""What to do about a stack that is due: pure, a closed set of actions."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from reconciler.core.conditions import held_back, is_suspended, pushed, stands_still, to_be_pushed
from reconciler.core.runs import Run, RunKind, RunStatus
from reconciler.core.state import Heading, StackState, Sync, Waits


@dataclass(frozen=True, slots=True)
class QueueRun:
    """Queue a run for what is desired now: a tracked one, or one that is only proposed."""

    needs_confirmation: bool
    kind: RunKind = RunKind.TRACKED


@dataclass(frozen=True, slots=True)
class AskPush:
    """Ask the push policies over the stack what is to become of the change."""


@dataclass(frozen=True, slots=True)
class Supersede:
    """End a run that has no process: what it was meant to bring about is no longer desired."""

    run: Run


@dataclass(frozen=True, slots=True)
class Stop:
    """Ask the run's process to stop; its end is recorded when it comes."""

    run: Run


@dataclass(frozen=True, slots=True)
class Proceed:
    """Go on to apply a plan that somebody confirmed."""

    run: Run


@dataclass(frozen=True, slots=True)
class Judge:
    """Ask the policies over a run that waits: go on, wait further, or end it, as they say."""

    run: Run


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing to do until something changes."""


Action = QueueRun | AskPush | Supersede | Stop | Proceed | Judge | Wait


def decide(  # noqa: PLR0911
    state: StackState, active: Run | None, now: datetime, waits: Waits | None = None
) -> Action:
    """Say what to do next about one stack; after a `Supersede` it is asked again at once.

    `waits`: a stack that it depends on is not settled, so that nothing of it may run or be applied.
    """
    if active is not None:
        return _about(state, active, waits)
    if waits is not None:
        return Wait()
    desired = state.desired
    if desired is None or desired.problem is not None or state.sync is not Sync.OUT_OF_SYNC or is_suspended(state):
        return Wait()
    if to_be_pushed(state):
        return AskPush()
    if held_back(state) is not None:
        return Wait()
    if stands_still(state) is not None and (state.retry_at is None or state.retry_at > now):
        return Wait()
    push = pushed(state)
    if push is not None and push.heading is Heading.PROPOSE:
        return QueueRun(needs_confirmation=False, kind=RunKind.PROPOSED)
    return QueueRun(needs_confirmation=state.interrupted or not desired.autodeploy)


def _about(state: StackState, active: Run, waits: Waits | None) -> Action:
    outdated = state.desired is None or state.desired.digest != active.digest
    match active.status:
        case RunStatus.QUEUED | RunStatus.UNCONFIRMED if outdated:
            return Supersede(active)
        case RunStatus.QUEUED if waits is not None:
            return Supersede(active)
        case RunStatus.PLANNING if outdated or active.cancel_requested:
            return Stop(active)
        case RunStatus.APPLYING if active.cancel_requested:
            return Stop(active)
        case RunStatus.UNCONFIRMED if waits is None:
            return _about_waiting(active)
        case _:
            return Wait()


def _about_waiting(run: Run) -> Action:
    confirmed = run.confirmed_by is not None
    if run.to_judge or (run.is_guarded and confirmed):
        return Judge(run)
    return Proceed(run) if confirmed else Wait()
