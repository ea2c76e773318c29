"""One step of a run, and what it means for the stack: pure.

`reconciler.runs.transition` writes such steps to the store; the loop, the operations of persons and the recording of a
new generation all go through it. A step is worked out from the run, its stack, and an event. Nothing here knows who
caused the event, and nothing here decides which event it is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from reconciler.core.phases import Phase
from reconciler.core.reasons import Reason
from reconciler.core.retries import is_retryable, pause_before_retry, retry_delay
from reconciler.core.runs import Run, RunEvent, RunId, RunKind, RunStatus, status_after
from reconciler.core.state import AppliedState, Desired, NewestRun, Observed, StackState, Sync

REASONS = {
    RunEvent.QUEUE: Reason.QUEUED,
    RunEvent.PREPARE: Reason.PLANNING,
    RunEvent.FOUND_NOTHING: Reason.NOTHING_TO_DO,
    RunEvent.PROPOSE: Reason.PROPOSED,
    RunEvent.OBSERVE: Reason.NO_DRIFT,
    RunEvent.AWAIT: Reason.WAITS_FOR_CONFIRMATION,
    RunEvent.PROCEED: Reason.APPLYING,
    RunEvent.DISCARD: Reason.DISCARDED,
    RunEvent.CANCEL: Reason.CANCELED,
    RunEvent.SUPERSEDE: Reason.SUPERSEDED,
    RunEvent.SUCCEED: Reason.APPLIED,
    RunEvent.INTERRUPT: Reason.INTERRUPTED,
}
"""The reason of a run after an event, where the caller names no other. A failure always needs one of its own."""

_PHASES = {RunEvent.PREPARE: Phase.PREPARE, RunEvent.PROCEED: Phase.APPLY}

_CHANGES_APPLIED = frozenset({RunEvent.FOUND_NOTHING, RunEvent.SUCCEED, RunEvent.FAIL, RunEvent.INTERRUPT})


@dataclass(frozen=True, slots=True)
class Transition:
    """A run and its stack after an event. The conditions of the stack are still to be assessed."""

    event: RunEvent
    before: RunStatus | None
    """The status before the event; None: the run is new."""
    run: Run
    stack: StackState
    was_out_of_sync: bool
    """Whether the stack was out of sync before the event."""

    @property
    def is_news(self) -> bool:
        """Whether somebody may want a notice: the run ended, or began to wait for a person."""
        if self.run.checks and self.run.status is not RunStatus.FAILED and self.run.reason != Reason.DRIFTED:
            return False
        if self.run.frozen and self.run.is_active:
            # It waits for a time, and for nobody.
            return False
        return self.before is not self.run.status and (
            not self.run.is_active or self.run.status is RunStatus.UNCONFIRMED
        )

    @property
    def changes_applied(self) -> bool:
        """Whether the outputs of the stack, or its sync, may be others now."""
        return (self.run.refreshes or not self.run.keeps_applied) and self.event in _CHANGES_APPLIED

    @property
    def wakes_dependents(self) -> bool:
        """Whether the stacks below have to be looked at. Those below one that is out of sync already wait for it."""
        if not self.run.leads:
            return False
        if self.event is RunEvent.QUEUE:
            return not self.was_out_of_sync
        return self.event is not RunEvent.PREPARE


def take_step(state: StackState, run: Run, event: RunEvent, now: datetime, **changes: Any) -> Transition:
    """Return what an event makes of a run and its stack. `changes` are fields of the run that the event brings."""
    before = None if event is RunEvent.QUEUE else run.status
    status = status_after(before, event)
    changes.setdefault("reason", str(REASONS.get(event, run.reason)))
    changes.setdefault("phase", _PHASES.get(event, run.phase))
    after = run.evolve(status=status, **changes)
    if event is not RunEvent.AWAIT and status is not RunStatus.UNCONFIRMED:
        after = after.evolve(frozen=False)
    if not after.is_active:
        after = after.evolve(finished_at=now, lease_until=None)
    return Transition(
        event, before, after, _stack_after(state, after, event, before, now), state.sync is Sync.OUT_OF_SYNC
    )


def new_run(state: StackState, desired: Desired, run: RunId, now: datetime, **changes: Any) -> Run:
    """Return a run for the desired digest of a stack; `RunEvent.QUEUE` queues it."""
    values: dict[str, Any] = {"kind": RunKind.TRACKED, "person": desired.person}
    return Run(
        id=run,
        stack=state.id,
        status=RunStatus.QUEUED,
        revision=desired.revision,
        digest=desired.digest,
        fingerprint=desired.fingerprint,
        created_at=now,
        why=state.why,
        source=desired.source,
        pool=desired.pool,
        **(values | changes),
    )


def _stack_after(state: StackState, run: Run, event: RunEvent, before: RunStatus | None, now: datetime) -> StackState:
    if run.checks:
        return _after_check(state, run, event, now)
    if run.keeps_applied:
        return _after_task(state, run, event)
    failures = _failures(state, run)
    retry_at, retry = None, 0
    match event:
        case RunEvent.SUCCEED | RunEvent.FOUND_NOTHING if run.destroys:
            # Where its document is in Git, the loop would make everything anew at once: that is right only where it
            # came back while the destruction was under way.
            gone = state.desired is None or state.desired.leaving
            desired, paused = (None if gone else state.desired, not (gone or run.leaving))
            state = state.evolve(
                desired=desired, applied=None, observed=None, interrupted=False, failed=None, paused=paused
            )
            failures = 0
        case RunEvent.SUCCEED | RunEvent.FOUND_NOTHING:
            before_it = state.applied
            first = now if before_it is None else before_it.first or before_it.at
            changed = run.id if event is RunEvent.SUCCEED else before_it.changed if before_it is not None else None
            applied = AppliedState(run.digest, run.fingerprint, run.revision, run.id, now, run.source, first, changed)
            failures = 0
            if run.targets:
                # What was wrong with the rest is still wrong, and nobody has looked at it.
                state = state.evolve(applied=replace(applied, partly=True), why=())
            else:
                observed = Observed(run.id, now, run.digest)
                state = state.evolve(applied=applied, observed=observed, interrupted=False, failed=None, why=())
        case RunEvent.INTERRUPT:
            state = state.evolve(interrupted=True)
        case RunEvent.FAIL:
            failures += is_retryable(run.reason)
            retry_at, retry = _again(state, run, failures, now, applying=before is RunStatus.APPLYING)
        case _:
            pass
    last = NewestRun(run.id, run.kind, run.status, run.reason, run.message, run.digest, now, failures, retry=retry)
    if event is RunEvent.FAIL:
        state = state.evolve(failed=_failure(state, last, applying=before is RunStatus.APPLYING))
    if state.last is not None and state.last.run > run.id:
        # The next decision is read from the newest run, and this one is older.
        return state
    return state.evolve(last=last, retry_at=retry_at)


def _again(state: StackState, run: Run, failures: int, now: datetime, *, applying: bool) -> tuple[datetime | None, int]:
    """Return when a failed run is tried again by itself, and which retry that is; None: it is not."""
    if is_retryable(run.reason):
        return now + retry_delay(failures), run.retry
    pause = pause_before_retry(state, run, applying=applying)
    return (None, 0) if pause is None else (now + pause, run.retry + 1)


def _after_task(state: StackState, run: Run, event: RunEvent) -> StackState:
    if run.refreshes and event is RunEvent.SUCCEED:
        # What differed counts as known now. Whether the configuration wants something else, the next look tells.
        return state.evolve(observed=None)
    # One that died may have left anything behind.
    return state.evolve(interrupted=True) if event is RunEvent.INTERRUPT else state


def _after_check(state: StackState, run: Run, event: RunEvent, now: datetime) -> StackState:
    """Return the stack after an event of a drift check, which is never its newest run; what it found comes with it."""
    if event is not RunEvent.FAIL:
        return state
    before = state.observed or Observed(run.id, now, run.digest)
    return state.evolve(observed=replace(before, failed=f"run {run.id}: {run.message}"))


def _failures(state: StackState, run: Run) -> int:
    """Return how many retryable failures of this digest came in a row so far."""
    last = state.last
    return last.failures if last is not None and last.digest == run.digest else 0


def _failure(state: StackState, last: NewestRun, *, applying: bool) -> NewestRun:
    """Return the failure that counts now: a plan that fails after a failed apply does not undo that one."""
    before, applied = state.failed, state.applied
    if before is None or not before.applying:
        return replace(last, applying=applying)
    puts_right = applied is not None and applied.digest == last.digest
    another = before.digest != last.digest or (before.kind == RunKind.DESTROY and last.kind != RunKind.DESTROY)
    if another and (puts_right or not applying):
        # The half-finished changes of the other apply are still there.
        return before
    return replace(last, applying=True)
