"""Locks of stacks, for people on call: while somebody keeps a stack to themselves, nothing starts for it.

The API calls these once it knows that the caller may ask. Each is one transaction with its row in the audit. What a
lock means is decided in `core.conditions`.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from reconciler.core.conditions import without_ended_lock
from reconciler.core.reasons import Reason
from reconciler.core.state import StackLock, StackState
from reconciler.operations import OperationRefused, Refusal, put_stack, take_back
from reconciler.runs.audit import Asked, Audited
from reconciler.runs.transition import find_stack
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


def _find(transaction: Transaction, stack: StackId, now: datetime) -> StackState:
    if transaction.stack(stack) is None:
        raise OperationRefused(Refusal.NOT_FOUND, f"there is no stack {stack}")
    return without_ended_lock(find_stack(transaction, stack), now)
