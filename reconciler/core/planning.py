"""The next action for a stack that is due: pure, a closed set of actions.

`loop.runs.decide` calls `decide` until it says to wait, and carries the actions out. A stack without an active run
follows `standing.standing`, by which `conditions.assess` has set its due time as well.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import assert_never

from reconciler.core.dependencies import may_go_ahead
from reconciler.core.drift import awaits_repair, repairs_gently
from reconciler.core.ends import is_late, is_over, is_to_go
from reconciler.core.freezing import Frozen, holds_up
from reconciler.core.pushes import held_back, pushed, to_be_pushed
from reconciler.core.runs import Run, RunKind, RunStatus
from reconciler.core.standing import (
    Standing,
    can_proceed,
    is_outdated,
    is_suspended,
    rests,
    standing,
    without_ended_lock,
)
from reconciler.core.state import Heading, StackState, Sync, Waits


@dataclass(frozen=True, slots=True)
class QueueRun:
    """Queue a tracked or a proposed run for what is desired now."""

    needs_confirmation: bool
    kind: RunKind = RunKind.TRACKED
    repairs: str | None = None
    """The drift check whose findings it puts right."""
    gentle: bool = False
    """It waits for a person where its plan deletes or replaces something."""
    scheduled: bool = False
    """A schedule asks for it."""
    command: str | None = None
    """The command of a task."""
    retry: int = 0
    """Which retry by itself it is, from 1; 0: none."""


@dataclass(frozen=True, slots=True)
class AskPush:
    """Ask the push policies over the stack what becomes of the change."""


@dataclass(frozen=True, slots=True)
class Supersede:
    """End a run that has no process, because it is outdated or has to wait for another stack."""

    run: Run


@dataclass(frozen=True, slots=True)
class StopRun:
    """Ask the run's process to stop. Its end is recorded when it comes."""

    run: Run


@dataclass(frozen=True, slots=True)
class Proceed:
    """Apply a plan that somebody confirmed."""

    run: Run


@dataclass(frozen=True, slots=True)
class AskPolicies:
    """Ask the policies over a run that waits, and do what they say."""

    run: Run


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing to do until something changes."""


Action = QueueRun | AskPush | Supersede | StopRun | Proceed | AskPolicies | Wait


def decide(state: StackState, active: Run | None, now: datetime, waits: Waits | None = None) -> Action:
    """Return the next action for one stack. After a `Supersede` the caller asks again at once.

    `waits`: a stack that this one depends on is not settled, so that no run of this one may begin or apply.
    """
    if active is not None:
        return _about(state, active, waits, now)
    match standing(state, state.sync, waits, now):
        case Standing.TO_BE_PUSHED:
            return AskPush()
        case Standing.ENDED_BADLY:
            if state.retry_at is None or state.retry_at > now:
                return Wait()
            return replace(_queue(state, now), retry=state.last.retry if state.last is not None else 0)
        case Standing.FREE:
            return _queue(state, now)
        case (
            Standing.LEFT_GIT
            | Standing.HAS_PROBLEM
            | Standing.IN_SYNC
            | Standing.OVER
            | Standing.LOCKED
            | Standing.SUSPENDED
            | Standing.WAITS
            | Standing.FROZEN
            | Standing.HELD_BACK
            | Standing.PARTLY
        ):
            return Wait()
        case unknown:
            assert_never(unknown)


def on_schedule(state: StackState, active: Run | None, now: datetime, waits: Waits | None) -> QueueRun | None:
    """Return the run that a schedule starts, also where nothing differs; None: nothing may start now, or one is active.

    `waits` as for `decide`.
    """
    state, desired = without_ended_lock(state, now), state.desired
    if desired is None or desired.leaving or desired.problem is not None or active is not None or waits is not None:
        return None
    if state.lock is not None or is_suspended(state) or is_over(state, now):
        return None
    if state.sync is not Sync.SYNCED and (to_be_pushed(state) or held_back(state) is not None):
        return None
    return QueueRun(needs_confirmation=state.interrupted or not desired.autodeploy, scheduled=True)


def task_on_schedule(state: StackState, command: str, now: datetime, waits: Waits | None) -> QueueRun | None:
    """Return the task that a schedule starts for a stack without an active run; None: nothing may start now.

    `waits` as for `decide`. There is nothing to reach into before something was applied.
    """
    state, desired = without_ended_lock(state, now), state.desired
    if desired is None or desired.leaving or desired.problem is not None or waits is not None or state.applied is None:
        return None
    if state.lock is not None or is_suspended(state) or is_over(state, now):
        return None
    return QueueRun(needs_confirmation=False, kind=RunKind.TASK, scheduled=True, command=command)


def _queue(state: StackState, now: datetime) -> QueueRun:
    if is_to_go(state, now):
        asks = state.interrupted or is_late(state, now) or not (state.desired is not None and state.desired.autodeploy)
        return QueueRun(needs_confirmation=asks, kind=RunKind.DESTROY, scheduled=True)
    if state.observed is not None and awaits_repair(state, state.sync):
        confirmed = state.desired is not None and state.desired.autodeploy
        return QueueRun(not confirmed, repairs=state.observed.run, gentle=repairs_gently(state))
    push, desired = pushed(state), state.desired
    if desired is not None and desired.leaving:
        return QueueRun(needs_confirmation=state.interrupted or not desired.autodeploy, kind=RunKind.DESTROY)
    if push is not None and push.heading is Heading.PROPOSE:
        return QueueRun(needs_confirmation=False, kind=RunKind.PROPOSED)
    return QueueRun(needs_confirmation=state.interrupted or not (desired is not None and desired.autodeploy))


def _about(state: StackState, active: Run, waits: Waits | None, now: datetime) -> Action:
    outdated = is_outdated(state, active, now)
    match active.status:
        case RunStatus.QUEUED | RunStatus.UNCONFIRMED if outdated:
            return Supersede(active)
        case RunStatus.QUEUED if waits is not None and not may_go_ahead(active, state):
            return Supersede(active)
        case RunStatus.PLANNING if outdated or active.cancel_requested:
            return StopRun(active)
        case RunStatus.APPLYING if active.cancel_requested:
            return StopRun(active)
        case RunStatus.UNCONFIRMED if waits is None and can_proceed(state):
            return _about_waiting(active, holds_up(state, active, now), resting=rests(state, active))
        case _:
            return Wait()


def may_wait_for_turn(state: StackState, queue: QueueRun) -> bool:
    """Whether a run waits for others of its rollout: only one for a change, and not one that is tried again."""
    plain = queue.kind is RunKind.TRACKED and queue.repairs is None and not queue.retry
    return plain and state.desired is not None and state.desired.rollout is not None


def _about_waiting(run: Run, window: Frozen | None, *, resting: bool) -> Action:
    goes_on = (run.confirmed_by is not None or (run.frozen and not resting)) and window is None
    if run.to_judge or (run.is_guarded and goes_on):
        return AskPolicies(run)
    return Proceed(run) if goes_on else Wait()
