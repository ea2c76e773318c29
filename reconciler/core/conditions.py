"""What the facts about a stack mean: its sync, reason and conditions, and when the loop has to look at it again.

Whoever changes a fact about a stack calls `assess` before writing it. Loop, API, page and metrics show the result and
decide nothing of it again. The rules apply in this order: `_sync` first, then `standing`, which `planning.decide` and
`_due` both follow, then the words: `_ready`, `_reconciling`, `_stalled`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import assert_never

from reconciler.core.ends import ends_at, is_over, is_to_go
from reconciler.core.freezing import Frozen, frozen, holds_up
from reconciler.core.keeping import StackLock
from reconciler.core.pushes import held_back
from reconciler.core.reasons import Reason
from reconciler.core.runs import AT_WORK, Run, RunKind, RunStatus
from reconciler.core.standing import (
    Standing,
    can_proceed,
    is_current,
    is_outdated,
    is_suspended,
    rests,
    standing,
    stands_still,
    unmended,
    without_ended_lock,
)
from reconciler.core.state import (
    AppliedState,
    Condition,
    ConditionStatus,
    ConditionType,
    Desired,
    Heading,
    NewestRun,
    Observed,
    StackState,
    Sync,
    Waits,
    Why,
)

_LOOK_AGAIN = timedelta(minutes=1)

HELD = {
    Heading.IGNORE: Reason.IGNORED_BY_POLICY,
    Heading.PROPOSE: Reason.PROPOSED_BY_POLICY,
    Heading.FAILED: Reason.POLICY_FAILED,
}
"""The reason of a stack that push policies hold back."""


def assess(  # noqa: C901
    state: StackState, active: Run | None, why: tuple[Why, ...], now: datetime, waits: Waits | None = None
) -> StackState:
    """Return the stack with sync, reason, conditions and due time as its facts say. `why`: what differs from applied.

    Only the loop knows `waits` when it decides. Everybody else leaves it out, and the loop looks at the stack soon.
    """
    state = without_ended_lock(state, now)
    sync, reason, message = _sync(state)
    if sync is Sync.OUT_OF_SYNC and active is None and stands_still(state) is None:
        # A run that ended badly is named first: somebody can do something about it.
        held = held_back(state)
        if waits is not None:
            reason, message = Reason.WAITS_FOR_DEPENDENCY, str(waits)
        elif state.turn is not None:
            reason, message = Reason.WAITS_FOR_ROLLOUT, state.turn
        elif held is not None:
            reason, message = HELD[held.heading], held.message
    if is_over(state, now) and state.applied is None and reason == Reason.NEW:
        reason, message = Reason.EXPIRED, _expired(state, waits)[2]
    still = frozen(state, now) if active is None and standing(state, sync, waits, now) is Standing.FROZEN else None
    if still is not None and sync is Sync.OUT_OF_SYNC:
        reason, message = Reason.FROZEN, f"{message}; {still}"
    due = _due(state, active, sync, now, waits)
    ends = (due, state.lock.until if state.lock is not None else None, ends_at(state))
    # What has ended already needs no look by itself: `due` knows what comes of it.
    looked_at = min((time for time in ends if time is not None and (time is due or time > now)), default=None)
    state = state.evolve(sync=sync, reason=reason, why=why if sync is Sync.OUT_OF_SYNC else (), due_at=looked_at)
    window = _held_up(state, active, now)
    ready = _ready(state, active, message, window)
    fresh = {
        ConditionType.READY: ready,
        ConditionType.RECONCILING: _reconciling(state.lock, active, due, reason, message, window or still),
        ConditionType.STALLED: _stalled(state, active, due),
    }
    if state.desired is not None and state.desired.pin is not None:
        fresh[ConditionType.PINNED] = ConditionStatus.TRUE, Reason.PINNED, str(state.desired.pin)
    if state.desired is not None and state.desired.refused is not None:
        unverified = ConditionStatus.FALSE, Reason.SOURCE_UNVERIFIED, state.desired.refused
        fresh[ConditionType.SOURCE_VERIFIED] = unverified
    if is_over(state, now):
        fresh[ConditionType.EXPIRED] = _expired(state, waits)
    if state.observed is not None and state.desired is not None and state.applied is not None:
        fresh[ConditionType.DRIFTED] = _drifted(state.observed)
    # The stack and its condition Ready give the same reason.
    state = state.evolve(reason=str(ready[1]))
    return state.evolve(conditions=_since(state.conditions, fresh, now))


def _sync(state: StackState) -> tuple[Sync, str, str]:
    desired, applied = state.desired, state.applied
    if desired is None or desired.leaving:
        return _without_document(state)
    if desired.problem is not None:
        return Sync.UNKNOWN, desired.problem.reason, desired.problem.message
    if state.interrupted:
        message = state.last.message if state.last else ""
        return Sync.OUT_OF_SYNC, Reason.INTERRUPTED, message or "its last apply was interrupted"
    if applied is None:
        return Sync.OUT_OF_SYNC, Reason.NEW, "nothing has been applied yet"
    return _against(applied, desired, state.failed)


def _without_document(state: StackState) -> tuple[Sync, str, str]:
    if state.desired is not None:
        return Sync.OUT_OF_SYNC, Reason.LEAVING, "its document left Git; what was applied is to be destroyed"
    if state.applied is None and state.failed is not None and state.failed.applying:
        message = f"its document left Git; what run {state.failed.run} made before it failed is retained"
        return Sync.UNKNOWN, Reason.RETAINED, message
    if state.applied is None:
        return Sync.UNKNOWN, Reason.DESTROYED, "its document left Git, and nothing is applied"
    return Sync.UNKNOWN, Reason.RETAINED, "its document left Git; what was applied is retained"


def _against(applied: AppliedState, desired: Desired, failed: NewestRun | None) -> tuple[Sync, str, str]:
    if applied.digest != desired.digest:
        return Sync.OUT_OF_SYNC, Reason.CHANGED, "the desired configuration differs from what was applied"
    destroyed = failed is not None and failed.kind == RunKind.DESTROY
    if failed is not None and failed.applying and (destroyed or failed.digest != desired.digest):
        # What was applied is not all there any more, though it is desired again.
        what = "destroyed what was applied" if destroyed else "applied another configuration"
        return Sync.OUT_OF_SYNC, Reason.HALF_APPLIED, f"run {failed.run} failed while it {what}"
    if applied.partly:
        message = f"run {applied.run} applied only what it was asked for, and the rest waits for a person"
        return Sync.OUT_OF_SYNC, Reason.PARTLY_APPLIED, message
    if desired.pin is not None:
        return Sync.SYNCED, Reason.PINNED, str(desired.pin)
    return Sync.SYNCED, Reason.UP_TO_DATE, f"applied at revision {applied.revision[:12]}"


def _due(  # noqa: PLR0911
    state: StackState, active: Run | None, sync: Sync, now: datetime, waits: Waits | None
) -> datetime | None:
    if active is not None:
        return now if _needs_attention(state, active, waits, now) else _thaws(state, active, now)
    match standing(state, sync, waits, now):
        case Standing.FREE if state.turn is not None and sync is Sync.OUT_OF_SYNC and not is_to_go(state, now):
            # `loop.runs.rollouts` wakes it when its turn comes.
            return None
        case Standing.TO_BE_PUSHED | Standing.FREE:
            return now
        case Standing.ENDED_BADLY:
            return state.retry_at
        case Standing.FROZEN:
            window = frozen(state, now)
            return window.until if window is not None else now
        case (
            Standing.LEFT_GIT
            | Standing.HAS_PROBLEM
            | Standing.IN_SYNC
            | Standing.OVER
            | Standing.LOCKED
            | Standing.SUSPENDED
            | Standing.HELD_BACK
            | Standing.PARTLY
        ):
            return None
        case Standing.WAITS:
            # Those below it wake it when they are gone, but not where another service holds it just then.
            waits_below = is_to_go(state, now) or (state.desired is not None and state.desired.leaving)
            return now + _LOOK_AGAIN if waits_below else None
        case unknown:
            assert_never(unknown)


def _needs_attention(state: StackState, active: Run, waits: Waits | None, now: datetime) -> bool:
    """Whether the loop has something to do about an active run, by the rules of `planning`."""
    outdated = is_outdated(state, active, now)
    by_itself = active.frozen and not rests(state, active)
    released = (active.confirmed_by is not None or by_itself) and holds_up(state, active, now) is None
    goes_on = active.status is RunStatus.UNCONFIRMED and (released or active.to_judge)
    asked = active.cancel_requested or (goes_on and waits is None and can_proceed(state))
    stoppable = active.status is not RunStatus.APPLYING
    return (outdated and stoppable) or asked


def _thaws(state: StackState, active: Run, now: datetime) -> datetime | None:
    """Return when the window ends that alone keeps a run from going on; None: something else does, or nothing."""
    window = _held_up(state, active, now)
    rested = rests(state, active) and active.confirmed_by is None
    return window.until if window is not None and not rested else None


def _held_up(state: StackState, active: Run | None, now: datetime) -> Frozen | None:
    """Return the windows that alone keep a run from going on to apply."""
    if active is None or active.status is not RunStatus.UNCONFIRMED:
        return None
    return holds_up(state, active, now) if active.frozen or active.confirmed_by is not None else None


def _ready(  # noqa: PLR0911
    state: StackState, active: Run | None, message: str, window: Frozen | None
) -> tuple[ConditionStatus, str, str]:
    if state.desired is None:
        return ConditionStatus.UNKNOWN, state.reason, message
    if state.desired.problem is not None:
        return ConditionStatus.FALSE, state.reason, message
    synced = state.sync is Sync.SYNCED
    broken = _stuck(state)
    status = ConditionStatus.TRUE if synced and broken is None else ConditionStatus.FALSE
    word = _word(active, state) if active is not None else None
    if active is not None and window is not None and not rests(state, active):
        return status, Reason.FROZEN, f"{message}; run {active.id} waits: {window}"
    if active is not None and word is not None:
        waits = " waits for confirmation" if _waits(active) else ""
        return status, word, f"{message}; run {active.id}{waits}"
    if broken is not None:
        return status, broken.reason, broken.message
    if not synced and (state.lock is not None or is_suspended(state)):
        return status, *_at_rest(state.lock)
    return status, state.reason, message


def _at_rest(lock: StackLock | None) -> tuple[str, str]:
    return (Reason.LOCKED, str(lock)) if lock is not None else (Reason.SUSPENDED, "runs are suspended")


def _stuck(state: StackState) -> NewestRun | None:
    match state.sync:
        case Sync.SYNCED:
            return unmended(state)
        case Sync.OUT_OF_SYNC:
            return stands_still(state)
        case Sync.UNKNOWN:
            return None


def _word(active: Run, state: StackState) -> Reason | None:
    """Return the reason that an active run gives its stack; None: the run will not go on as things are."""
    if active.status in AT_WORK:
        return _PROGRESS[active.status]
    if rests(state, active) or not is_current(state, active):
        return None
    if active.status is RunStatus.UNCONFIRMED:
        return _waits_for(active) if _waits(active) else None
    return _PROGRESS[active.status]


_PROGRESS = {
    RunStatus.QUEUED: Reason.QUEUED,
    RunStatus.PLANNING: Reason.PLANNING,
    RunStatus.APPLYING: Reason.APPLYING,
}


def _waits(run: Run) -> bool:
    return run.status is RunStatus.UNCONFIRMED and run.confirmed_by is None and not run.to_judge


def _waits_for(run: Run) -> Reason:
    return Reason.WAITS_FOR_APPROVAL if run.awaits_approval else Reason.WAITS_FOR_CONFIRMATION


def _reconciling(  # noqa: PLR0917
    lock: StackLock | None,
    active: Run | None,
    due: datetime | None,
    reason: str,
    message: str,
    window: Frozen | None,
) -> tuple[ConditionStatus, str, str]:
    if window is not None and lock is None:
        return ConditionStatus.FALSE if active is None else ConditionStatus.TRUE, Reason.FROZEN, str(window)
    if active is None:
        if lock is not None:
            return ConditionStatus.FALSE, *_at_rest(lock)
        if due is None and reason in _WAITING:
            return ConditionStatus.FALSE, reason, message
        if due is None:
            return ConditionStatus.FALSE, Reason.NOTHING_TO_DO, ""
        return ConditionStatus.TRUE, Reason.DUE, f"a run is due at {due.isoformat(timespec='seconds')}"
    word = _waits_for(active) if active.status is RunStatus.UNCONFIRMED else _PROGRESS[active.status]
    return ConditionStatus.TRUE, word, f"run {active.id}"


def _expired(state: StackState, waits: Waits | None) -> tuple[ConditionStatus, str, str]:
    end = ends_at(state)
    over = f"its time was over at {end:%Y-%m-%d %H:%M} UTC"
    if state.applied is None:
        return ConditionStatus.TRUE, Reason.EXPIRED, f"{over}, and nothing is applied"
    if state.desired is not None and state.desired.protected:
        return ConditionStatus.TRUE, Reason.PROTECTED, f"{over}; it is protected, so that nothing is destroyed"
    if waits is not None:
        kept = "nothing is destroyed while a stack that depends on it is applied"
        return ConditionStatus.TRUE, Reason.HAS_DEPENDENTS, f"{over}; {kept}"
    return ConditionStatus.TRUE, Reason.EXPIRED, f"{over}; what it made is to be destroyed"


def _drifted(observed: Observed) -> tuple[ConditionStatus, str, str]:
    if observed.drifted:
        message = f"{observed.many} from what was applied, as run {observed.run} found"
        return ConditionStatus.TRUE, Reason.DRIFTED, message
    if observed.failed is not None:
        return ConditionStatus.UNKNOWN, Reason.CHECK_FAILED, observed.failed
    return ConditionStatus.FALSE, Reason.NO_DRIFT, f"as of run {observed.run}"


_WAITING = frozenset({Reason.WAITS_FOR_DEPENDENCY, Reason.WAITS_FOR_ROLLOUT, Reason.PARTLY_APPLIED, *HELD.values()})


def _stalled(state: StackState, active: Run | None, due: datetime | None) -> tuple[ConditionStatus, str, str]:
    stuck = _stuck(state)
    if state.interrupted:
        message = "its last apply was interrupted; the next run waits for confirmation"
        return ConditionStatus.TRUE, Reason.INTERRUPTED, message
    if active is None and due is None and stuck is not None:
        return ConditionStatus.TRUE, stuck.reason, f"{stuck.message}; retry the run, or change the configuration"
    if state.reason == Reason.POLICY_FAILED:
        message = "a push policy could not be evaluated; repair it, or run station stack run"
        return ConditionStatus.TRUE, Reason.POLICY_FAILED, message
    if state.desired is not None and state.desired.problem is not None:
        return ConditionStatus.TRUE, state.desired.problem.reason, state.desired.problem.message
    return ConditionStatus.FALSE, Reason.NOTHING_TO_DO, ""


def _since(
    before: Mapping[ConditionType, Condition],
    fresh: Mapping[ConditionType, tuple[ConditionStatus, str, str]],
    now: datetime,
) -> dict[ConditionType, Condition]:
    """Return the conditions; one whose status and reason stay keeps its time."""
    result = {}
    for kind, (status, reason, message) in fresh.items():
        old = before.get(kind)
        same = old is not None and old.status is status and old.reason == reason
        result[kind] = Condition(status, str(reason), message, old.since if old is not None and same else now)
    return result
