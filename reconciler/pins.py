"""Pins of stacks, for people on call: a stack stays at, or goes back to, an earlier revision of itself.

The API calls these once it knows that the caller may ask. Each is one transaction with its row in the audit. What a
pin means for what is desired is worked out in `loop.desired.pinning`, which takes it in with the next pass.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from reconciler.core.keeping import StackPin
from reconciler.core.pins import mark_of
from reconciler.core.runs import Run
from reconciler.refusals import OperationRefused, Refusal
from reconciler.runs.audit import Asked, Audited, about_request
from reconciler.store.protocol import Store
from reconciler.store.queries import Reading
from spaces.names import StackId


def pin(  # noqa: PLR0917
    store: Store,
    stack: StackId,
    run: Run | str,
    note: str,
    duration: timedelta | None,
    person: str,
    now: datetime,
    because: str = "",
) -> StackPin:
    """Let a stack stay at what a run was for until somebody unpins it, the time is over, or a commit changes the stack.

    `run` is a sentence where there is no such run: the request is refused with it. A new pin takes the place of an
    older one.
    """
    with store.writing() as transaction:
        _in_git(transaction, stack)
        if isinstance(run, str):
            raise OperationRefused(Refusal.NO_SUCH_REVISION, run)
        until = now + duration if duration is not None else None
        made = StackPin(run.revision, mark_of(run.fingerprint), run.source, run.person, person, note, now, until)
        transaction.put_pin(stack, made)
        about = {"stack": str(stack), "revision": run.revision, "run": run.id, "note": note}
        about["until"] = until.isoformat() if until is not None else ""
        transaction.append_audit([about_request(Audited.STACK_PINNED, Asked(person, because), now, **about)])
        return made


def unpin(store: Store, stack: StackId, person: str, now: datetime, because: str = "") -> StackPin:
    """End the pin of a stack: what the branch says of it is desired again."""
    with store.writing() as transaction:
        _in_git(transaction, stack)
        found = transaction.pins().get(stack)
        if found is None:
            raise OperationRefused(Refusal.NOT_PINNED, f"{stack} is not pinned")
        transaction.remove_pin(stack, found)
        about = {"stack": str(stack), "revision": found.revision, "pinnedBy": found.person, "note": found.note}
        transaction.append_audit([about_request(Audited.STACK_UNPINNED, Asked(person, because), now, **about)])
        return found


def _in_git(reading: Reading, stack: StackId) -> None:
    found = reading.stack(stack)
    if found is None:
        raise OperationRefused(Refusal.NOT_FOUND, f"there is no stack {stack}")
    if found.desired is None or found.desired.leaving:
        raise OperationRefused(Refusal.NOT_IN_FORCE, f"{stack} is no longer in Git: there is nothing to pin")
