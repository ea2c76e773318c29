"""What keeps a stack from starting anything: somebody keeps it to themselves, or has suspended it.

The API calls these once it knows that the caller may ask. Each is one transaction with its row in the audit. What a
lock means is decided in `core.standing`.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from reconciler.core.conditions import assess
from reconciler.core.keeping import StackLock
from reconciler.core.reasons import Reason
from reconciler.core.runs import RunEvent, RunStatus, leading
from reconciler.core.standing import without_ended_lock
from reconciler.core.state import StackState
from reconciler.refusals import OperationRefused, Refusal, in_force
from reconciler.runs.audit import Asked, Audited, about_request
from reconciler.runs.transition import advance, find_stack
from reconciler.store.protocol import Store, Transaction
from spaces.names import StackId


def lock(  # noqa: PLR0917
    store: Store,
    stack: StackId,
    note: str,
    duration: timedelta | None,
    person: str,
    now: datetime,
    because: str = "",
) -> StackState:
    """Start nothing more for a stack until somebody unlocks it, or the time is over.

    A queued run is taken back, one at work goes on. Whoever has locked it can change note and time by locking it again;
    refused while it is locked by somebody else.
    """
    until = now + duration if duration is not None else None
    with store.writing() as transaction:
        found = _find(transaction, stack, now)
        if found.desired is None:
            raise OperationRefused(
                Refusal.NOT_IN_FORCE, f"{stack} is no longer in Git: nothing runs, so there is nothing to lock"
            )
        if found.lock is not None and found.lock.person != person:
            raise OperationRefused(Refusal.LOCKED, f"{stack} is {found.lock}")
        since = found.lock.since if found.lock is not None else now
        found = found.evolve(lock=StackLock(person, note, since, until))
        found = take_back(transaction, found, Reason.LOCKED, f"{person} locked the stack", now)
        details = {"note": note, "until": until.isoformat() if until is not None else None}
        return put_stack(transaction, found, Audited.STACK_LOCKED, Asked(person, because, details), now)


def unlock(
    store: Store, stack: StackId, person: str, now: datetime, because: str = "", *, breaks: bool = False
) -> StackState:
    """End the lock of a stack. `breaks`: the person may end also what somebody else has locked."""
    with store.writing() as transaction:
        found = _find(transaction, stack, now)
        held = found.lock
        if held is None:
            raise OperationRefused(Refusal.NOT_LOCKED, f"{stack} is not locked")
        if held.person != person and not breaks:
            raise OperationRefused(
                Refusal.LOCKED, f"{stack} is {held}; only {held.person} or somebody with stack:unlock can end that"
            )
        details = {"lockedBy": held.person, "note": held.note}
        asked = Asked(person, because, details)
        return put_stack(transaction, found.evolve(lock=None), Audited.STACK_UNLOCKED, asked, now)


def suspend(store: Store, stack: StackId, person: str, now: datetime, because: str = "") -> StackState:
    """Start no more runs of a stack; a queued one is taken back, one at work goes on to its end."""
    with store.writing() as transaction:
        found, _ = in_force(transaction, stack)
        if found.paused:
            return found
        found = found.evolve(paused=True)
        found = take_back(transaction, found, Reason.SUSPENDED, f"{person} suspended the stack", now)
        return put_stack(transaction, found, Audited.STACK_SUSPENDED, Asked(person, because), now)


def resume(store: Store, stack: StackId, person: str, now: datetime, because: str = "") -> StackState:
    """Let a suspended stack run again; refused where its document in Git says that it is suspended."""
    with store.writing() as transaction:
        found, desired = in_force(transaction, stack)
        if found.paused:
            found = found.evolve(paused=False)
            return put_stack(transaction, found, Audited.STACK_RESUMED, Asked(person, because), now)
        if desired.suspended:
            raise OperationRefused(
                Refusal.SUSPENDED_IN_GIT, f"{stack} is suspended by its document: change spec.suspended in Git"
            )
        return found


def take_back(transaction: Transaction, stack: StackState, reason: Reason, message: str, now: datetime) -> StackState:
    """Take back the queued runs of a stack of which nothing is to start now, and return the stack after that."""
    for run in transaction.active_runs([stack.id]):
        if run.status is RunStatus.QUEUED:
            # Superseded, not canceled: a canceled run would keep the stack standing still once it may go on.
            advance(transaction, stack, run, RunEvent.SUPERSEDE, now, reason=reason, message=message)
            stack = find_stack(transaction, stack.id)
    return stack


def put_stack(transaction: Transaction, stack: StackState, event: Audited, asked: Asked, now: datetime) -> StackState:
    """Write a stack that a person changed, and have the loop look at it at once."""
    active = leading(transaction.active_runs([stack.id])).get(stack.id)
    stack = assess(stack, active, stack.why, now).evolve(due_at=now)
    transaction.put_stacks([stack])
    transaction.wake_dependents([stack.id], now)
    transaction.append_audit([about_request(event, asked, now, stack=str(stack.id), **asked.details)])
    return stack


def _find(transaction: Transaction, stack: StackId, now: datetime) -> StackState:
    if transaction.stack(stack) is None:
        raise OperationRefused(Refusal.NOT_FOUND, f"there is no stack {stack}")
    return without_ended_lock(find_stack(transaction, stack), now)
