"""Where a stack and its runs stand: the first rule that applies to it, and what its facts say about a run.

`conditions.assess` puts it into words, `planning.decide` acts on it, and whoever asks for a run is answered by it. All
of it is pure, and says nothing about when the loop looks again.
"""

from __future__ import annotations

from datetime import datetime
from enum import Enum, auto

from reconciler.core.drift import awaits_repair
from reconciler.core.ends import is_over, is_to_go, still_ends
from reconciler.core.freezing import frozen
from reconciler.core.pushes import held_back, to_be_pushed
from reconciler.core.runs import Run, RunKind, RunStatus
from reconciler.core.state import NewestRun, StackState, Sync, Waits

_UNSUCCESSFUL = frozenset(
    {RunStatus.FAILED, RunStatus.CANCELED, RunStatus.DISCARDED, RunStatus.INTERRUPTED},
)


class Standing(Enum):
    """The first rule that applies to a stack without an active run; all but the last two keep it from getting one."""

    LEFT_GIT = auto()
    HAS_PROBLEM = auto()
    IN_SYNC = auto()
    """Nothing differs, or what drifted stays as it is."""
    OVER = auto()
    """Its time is over, and nothing is applied."""
    LOCKED = auto()
    """Somebody keeps it to themselves."""
    SUSPENDED = auto()
    WAITS = auto()
    """A stack that it depends on is not settled."""
    FROZEN = auto()
    """A freeze window is open, and what is due has no plan that could be made meanwhile."""
    TO_BE_PUSHED = auto()
    """Its push policies have to be asked first."""
    HELD_BACK = auto()
    """Its push policies let nothing run."""
    PARTLY = auto()
    """Somebody had only some of it applied: the rest comes when somebody asks, or with the next change."""
    ENDED_BADLY = auto()
    """The last run for what is desired did not succeed: the next one comes at `retry_at`, or when somebody asks."""
    FREE = auto()
    """A run is due."""


def standing(  # noqa: C901, PLR0911, PLR0912
    state: StackState, sync: Sync, waits: Waits | None, now: datetime
) -> Standing:
    """Return the first rule that applies to a stack without an active run, in the order of `Standing`."""
    desired = state.desired
    if desired is None:
        return Standing.LEFT_GIT
    if desired.problem is not None:
        return Standing.HAS_PROBLEM
    repair = awaits_repair(state, sync)
    over = is_over(state, now)
    if over and state.applied is None:
        return Standing.OVER
    over = over and is_to_go(state, now)
    if sync is not Sync.OUT_OF_SYNC and not repair and not over:
        return Standing.IN_SYNC
    if state.lock is not None:
        return Standing.LOCKED
    if is_suspended(state):
        return Standing.SUSPENDED
    if waits is not None:
        return Standing.WAITS
    if (over or repair or desired.leaving) and frozen(state, now) is not None:
        # What is planned anew after the window is better than a plan that waited through it.
        return Standing.FROZEN
    if over:
        last = stands_still(state)
        return Standing.ENDED_BADLY if last is not None and last.kind == RunKind.DESTROY else Standing.FREE
    if repair:
        # What is desired stands since it was applied: no push policy has a say, and no earlier run.
        return Standing.FREE
    if to_be_pushed(state):
        return Standing.TO_BE_PUSHED
    if held_back(state) is not None:
        return Standing.HELD_BACK
    if is_partly_applied(state) and stands_still(state) is None:
        return Standing.PARTLY
    return Standing.ENDED_BADLY if stands_still(state) is not None else Standing.FREE


def is_partly_applied(state: StackState) -> bool:
    """Whether only some of what is desired was applied, as somebody asked for."""
    desired, applied = state.desired, state.applied
    return applied is not None and desired is not None and applied.partly and applied.digest == desired.digest


def is_current(state: StackState, run: Run) -> bool:
    """Whether a run is still for what is desired of its stack."""
    desired = state.desired
    if run.proposes is not None:
        # It is for what nobody has merged, perhaps a new stack. Whether that is still the same, its start finds out.
        return desired is None or not desired.leaving
    if run.destroys and run.scheduled and not still_ends(state, run):
        return False
    # A queued run follows its stack into another pool. One that was planned does not, and its old pool, which may not
    # be given to the stack any more, gets nothing more of it.
    wanted = None if desired is None else (desired.digest, desired.leaving, desired.pool)
    return wanted == (run.digest, run.leaving, run.pool)


def is_outdated(state: StackState, run: Run, now: datetime) -> bool:
    """Whether a run is no more for what is desired, or has to make way for the destruction of what is over."""
    to_go = state.applied is not None and is_to_go(state, now)
    return not is_current(state, run) or (to_go and not run.destroys)


def is_suspended(state: StackState) -> bool:
    """Whether the document or an operator suspended the stack."""
    return state.paused or (state.desired is not None and state.desired.suspended)


def rests(state: StackState, run: Run) -> bool:
    """Whether a run waits for a person, because its stack is locked, or suspended and the run heeds that."""
    return state.lock is not None or (is_suspended(state) and run.heeds_suspension)


def without_ended_lock(state: StackState, now: datetime) -> StackState:
    """Return the stack without its lock, if that has ended by itself."""
    return state.evolve(lock=None) if state.lock is not None and state.lock.ended(now) else state


def stands_still(state: StackState) -> NewestRun | None:
    """Return the outcome of the last run, where it was for the digest that is desired now and did not succeed."""
    last, desired = state.last, state.desired
    if last is None or desired is None or last.digest != desired.digest or last.status not in _UNSUCCESSFUL:
        return None
    # What failed before its document left says nothing about how its destruction goes.
    return None if desired.leaving and last.kind != RunKind.DESTROY else last


def unmended(state: StackState) -> NewestRun | None:
    """Return the failure since which no run has succeeded, where it leaves in doubt what is applied.

    A failed apply counts whatever its digest was; a failed plan counts only for the digest that is desired now.
    """
    failed, desired = state.failed, state.desired
    if failed is None or desired is None or not (failed.applying or failed.digest == desired.digest):
        return None
    return failed


def can_proceed(state: StackState) -> bool:
    """Whether a run that waits may go on. While the stack has a problem it would only fail, and its plan be lost."""
    return state.desired is not None and state.desired.problem is None and state.lock is None
