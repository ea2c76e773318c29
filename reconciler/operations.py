"""The requests of persons: each is one transaction that happens whole, or is refused with one sentence.

The API calls these once it knows that the caller may ask. A request about a run becomes an event; what follows from it
is the business of `runs.transition`. Nothing here starts or stops a process: the loop of the service that holds the run
does that.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import datetime

from rbac.admission.held import HeldChange
from reconciler.core.freezing import Frozen, frozen, holds_up
from reconciler.core.identifiers import run_id
from reconciler.core.reasons import Reason
from reconciler.core.runs import Run, RunEvent, RunId, RunKind, RunStatus
from reconciler.core.standing import is_current
from reconciler.core.state import StackState
from reconciler.core.verdicts import Review
from reconciler.queueing import find_run, may_run, not_locked, not_suspended, queue, told
from reconciler.refusals import OperationRefused, Refusal, in_force
from reconciler.runs.audit import Asked, Audited, about_request
from reconciler.runs.checks import cannot_be_checked, queue_check
from reconciler.runs.transition import advance, find_stack
from reconciler.store.protocol import Store
from reconciler.store.stored import StoredApproval
from reconciler.tools.registry import tool
from spaces.model.tools import TOOLS
from spaces.names import StackId

REPEATABLE = frozenset({RunStatus.FAILED, RunStatus.INTERRUPTED, RunStatus.CANCELED, RunStatus.DISCARDED})
"""The statuses of a run that can be retried."""


def confirm(store: Store, run: RunId, person: str, now: datetime, because: str = "") -> Run:
    """Confirm a run that waits. The loop of the service that planned it starts the apply, if nothing changed."""
    with store.writing() as transaction:
        found = find_run(transaction, run)
        if found.status is not RunStatus.UNCONFIRMED:
            raise OperationRefused(
                Refusal.NOT_WAITING, f"run {run} is {found.status}: it does not wait for confirmation"
            )
        stack, desired = in_force(transaction, found.stack)
        not_locked(stack, now)
        if not found.destroys:
            may_run(stack, desired, now)
        elif found.heeds_suspension:
            not_suspended(stack, desired)
        if not is_current(stack, found):
            raise OperationRefused(
                Refusal.OUTDATED,
                f"run {run} is outdated: the configuration of {found.stack} has changed since it was planned, and "
                "a newer run takes its place",
            )
        if found.confirmed_by is not None:
            return found
        if found.awaits_approval:
            raise OperationRefused(Refusal.NOT_APPROVED, f"run {run} is not approved yet: {found.message}")
        window = holds_up(stack, found, now)
        if found.frozen and window is not None:
            message = f"run {run} needs no confirmation: it goes on by itself; {window}. See station run through"
            raise OperationRefused(Refusal.FROZEN, message)
        return advance(
            transaction,
            stack,
            found,
            RunEvent.CONFIRM,
            now,
            Asked(person, because),
            confirmed_by=person,
            message=f"confirmed by {person}" + (f"; {window}" if window is not None else ""),
            reason=Reason.FROZEN if window is not None else found.reason,
            to_judge=found.to_judge or found.is_guarded,
        )


def let_through(store: Store, run: RunId, person: str, now: datetime, basis: Callable[[Frozen], str]) -> Run:
    """Let a run go on to apply although freeze windows are open. It still waits for everything else.

    `basis` returns what the person's right rests on, or raises OperationRefused.
    """
    with store.writing() as transaction:
        found = find_run(transaction, run)
        stack, _ = in_force(transaction, found.stack)
        window = frozen(stack, now)
        if window is None:
            raise OperationRefused(Refusal.NOT_FROZEN, f"no freeze window is open over {found.stack}")
        if not found.is_active or found.status is RunStatus.APPLYING or not found.is_writing:
            raise OperationRefused(Refusal.NOT_WAITING, f"run {run} is {found.status}: no freeze window holds it up")
        because = basis(window)
        if found.through is not None:
            return found
        details = {"until": window.until.isoformat(), "windows": [each.space for each in window.windows]}
        asked, message = Asked(person, because, details), f"let through the freeze window by {person}"
        return advance(
            transaction,
            find_stack(transaction, found.stack),
            found,
            RunEvent.LET_THROUGH,
            now,
            asked,
            through=person,
            message=message,
        )


def review(store: Store, run: RunId, review: Review, because: str = "") -> Run:
    """Keep a person's review of a run that waits. The loop then asks the policies over the run again."""
    with store.writing() as transaction:
        found = find_run(transaction, run)
        if found.status is not RunStatus.UNCONFIRMED:
            raise OperationRefused(
                Refusal.NOT_WAITING, f"run {run} is {found.status}: only a waiting run can be reviewed"
            )
        transaction.put_review(run, review)
        word = {"review": "approve" if review.approves else "reject", "note": review.note}
        asked = Asked(review.person, because, word)
        stack = find_stack(transaction, found.stack)
        to_judge = found.to_judge or found.is_guarded
        return advance(transaction, stack, found, RunEvent.REVIEW, review.at, asked, to_judge=to_judge)


def discard(store: Store, run: RunId, person: str, now: datetime, because: str = "") -> Run:
    """Discard a run that waits for confirmation."""
    with store.writing() as transaction:
        found = find_run(transaction, run)
        if found.status is not RunStatus.UNCONFIRMED:
            raise OperationRefused(
                Refusal.NOT_WAITING, f"run {run} is {found.status}: only a waiting run can be discarded"
            )
        stack, message = find_stack(transaction, found.stack), f"discarded by {person}"
        ended = advance(transaction, stack, found, RunEvent.DISCARD, now, Asked(person, because), message=message)
    return told(ended)


def cancel(store: Store, run: RunId, person: str, now: datetime, because: str = "") -> Run:
    """Stop a run: at once while it is queued; one at work is asked to stop by the loop of the service that holds it."""
    with store.writing() as transaction:
        found = find_run(transaction, run)
        stack, asked = find_stack(transaction, found.stack), Asked(person, because)
        match found.status:
            case RunStatus.QUEUED:
                message = f"canceled by {person}"
                ended = advance(transaction, stack, found, RunEvent.CANCEL, now, asked, message=message)
            case RunStatus.PLANNING | RunStatus.APPLYING:
                if found.cancel_requested:
                    return found
                message = f"{person} requested its cancellation"
                return advance(
                    transaction, stack, found, RunEvent.STOP, now, asked, cancel_requested=True, message=message
                )
            case RunStatus.UNCONFIRMED:
                raise OperationRefused(
                    Refusal.WAITS_FOR_CONFIRMATION, f"run {run} waits for confirmation: discard it instead"
                )
            case _:
                raise OperationRefused(Refusal.ALREADY_ENDED, f"run {run} is already {found.status}")
    return told(ended)


def prioritize(store: Store, run: RunId, person: str, now: datetime, because: str = "") -> Run:
    """Let a queued run start before all others, of whatever kind and space."""
    with store.writing() as transaction:
        found = find_run(transaction, run)
        if found.status is not RunStatus.QUEUED:
            raise OperationRefused(
                Refusal.NOT_QUEUED, f"run {run} is {found.status}: only a queued run can start earlier"
            )
        if found.prioritized:
            return found
        stack, asked = find_stack(transaction, found.stack), Asked(person, because)
        message = f"{found.message}; put first by {person}" if found.message else f"put first by {person}"
        return advance(transaction, stack, found, RunEvent.PRIORITIZE, now, asked, prioritized=True, message=message)


def retry(store: Store, run: RunId, person: str, now: datetime, because: str = "") -> Run:
    """Queue a new run in the place of one that failed, was canceled or discarded, with the current configuration."""
    with store.writing() as transaction:
        found = find_run(transaction, run)
        if found.is_active:
            raise OperationRefused(
                Refusal.STILL_ACTIVE, f"run {run} is {found.status}: cancel it, or wait until it ends"
            )
        if found.status not in REPEATABLE or found.kind is not RunKind.TRACKED:
            raise OperationRefused(
                Refusal.NOT_REPEATABLE,
                f"run {run} is a {found.kind} run that is {found.status}: start a new run with station stack run",
            )
        queued = queue(transaction, found.stack, Asked(person, because), now, f"retry of run {run}")
    return told(queued)


def request_run(store: Store, stack: StackId, person: str, now: datetime, because: str = "") -> Run:
    """Queue a tracked run of a stack, also when it is Synced."""
    with store.writing() as transaction:
        queued = queue(transaction, stack, Asked(person, because), now, "requested")
    return told(queued)


def request_destroy(  # noqa: PLR0917
    store: Store, stack: StackId, person: str, now: datetime, because: str = "", lacks: str | None = None
) -> Run:
    """Queue a run that removes what a stack made, and waits for a person; the stack is suspended once it is done.

    Refused for a stack that is protected, for one whose tool cannot remove anything, or not without a setting that it
    `lacks`, and while stacks that depend on it still have something applied.
    """
    with store.writing() as transaction:
        _, desired = in_force(transaction, stack)
        if desired.protected:
            raise OperationRefused(
                Refusal.PROTECTED, f"{stack} is protected by its document: change spec.protected in Git first"
            )
        if not TOOLS[desired.tool].destroys:
            raise OperationRefused(
                Refusal.TOOL_CANNOT_DESTROY,
                f"{stack} cannot be destroyed: {desired.tool} keeps no record of what it made",
            )
        if lacks is not None:
            message = f"{stack} cannot be destroyed: its document says nothing of {lacks}, by which that is done"
            raise OperationRefused(Refusal.TOOL_CANNOT_DESTROY, message)
        children = transaction.stacks(transaction.children([stack]).get(stack, ()))
        standing = sum(child.applied is not None for child in children.values())
        if standing:
            whom = "a stack that depends on it is" if standing == 1 else f"{standing} stacks that depend on it are"
            raise OperationRefused(Refusal.HAS_DEPENDENTS, f"{stack} cannot be destroyed: {whom} still applied")
        asked = Asked(person, because)
        queued = queue(transaction, stack, asked, now, "destruction requested", RunKind.DESTROY)
    return told(queued)


def request_plan(store: Store, stack: StackId, person: str, now: datetime, because: str = "") -> Run:
    """Queue a run that plans what is desired of a stack and applies nothing; refused where another run is active."""
    with store.writing() as transaction:
        queued = queue(transaction, stack, Asked(person, because), now, "plan requested", RunKind.PROPOSED)
    return told(queued)


def request_task(  # noqa: PLR0917
    store: Store, stack: StackId, command: str, person: str, now: datetime, because: str = ""
) -> Run:
    """Queue a shell command in a stack's directory and environment, in the same queue as its other runs."""
    with store.writing() as transaction:
        asked = Asked(person, because, {"command": command})
        queued = queue(transaction, stack, asked, now, "task requested", RunKind.TASK, command=command)
    return told(queued)


def request_refresh(store: Store, stack: StackId, person: str, now: datetime, because: str = "") -> Run:
    """Queue a run by which the tool takes over into its tfstate what the real world has, by a saved plan.

    Nothing else changes. Without autodeploy it waits for a person.
    """
    with store.writing() as transaction:
        state, desired = in_force(transaction, stack)
        if not tool(desired.tool).abilities.refreshes:
            why = f"{stack} cannot be refreshed: {desired.tool} has no refresh of its own that could be planned first"
            raise OperationRefused(Refusal.TOOL_CANNOT_REFRESH, why)
        if state.applied is None:
            raise OperationRefused(Refusal.NOTHING_APPLIED, f"{stack} cannot be refreshed: nothing of it is applied")
        asks = state.interrupted or not desired.autodeploy
        asked = Asked(person, because, {"refresh": True})
        more = {"refreshes": True, "needs_confirmation": asks}
        return queue(transaction, stack, asked, now, "refresh requested", RunKind.TASK, **more)


def request_check(store: Store, stack: StackId, person: str, now: datetime, because: str = "") -> Run:
    """Queue a drift check of a stack; refused where it is not Synced, is suspended, or has an active run."""
    with store.writing() as transaction:
        in_force(transaction, stack)
        state = find_stack(transaction, stack)
        reason = cannot_be_checked(transaction, state, now)
        if reason is not None:
            raise OperationRefused(Refusal.NOT_CHECKABLE, f"{stack} {reason}")
        queued = queue_check(transaction, state, now, Asked(person, because))
    return told(queued)


def forget(store: Store, stack: StackId, person: str, now: datetime, because: str = "") -> StackState:
    """Forget a stack that left Git: what it made stays where it is, and a new stack of its name starts from nothing.

    Returns it as it was. Refused while its document is in Git, and while it is to be destroyed.
    """
    with store.writing() as transaction:
        found = transaction.stack(stack)
        if found is None:
            raise OperationRefused(Refusal.NOT_FOUND, f"there is no stack {stack}")
        if found.desired is not None:
            what = "it is to be destroyed" if found.desired.leaving else "its document is in Git"
            raise OperationRefused(Refusal.STILL_DESIRED, f"{stack} cannot be forgotten: {what}")
        for run in transaction.active_runs([stack]):
            raise OperationRefused(Refusal.STILL_ACTIVE, f"{stack} has run {run.id}, which is {run.status}")
        # No document can have this name.
        name = f"{stack.name}~{run_id(now, secrets.token_bytes(10))}"
        transaction.wake_parents([stack], now)
        transaction.forget_stack(stack, name)
        about = {"stack": str(stack), "as": name}
        transaction.append_audit([about_request(Audited.STACK_FORGOTTEN, Asked(person, because), now, **about)])
        return found


def approve(store: Store, held: HeldChange, subject: str, now: datetime, because: str) -> None:
    """Keep a person's approval of a held change; admission judges it and carries it out."""
    with store.writing() as transaction:
        if all(each.id != held.id for each in transaction.held_changes()):
            raise OperationRefused(Refusal.NOT_FOUND, f"there is no held change {held.id}")
        transaction.add_approval(StoredApproval(held.id, subject, because, now))
        about = {"held": held.id, "document": str(held.ref), "revision": held.revision}
        transaction.append_audit([about_request(Audited.HELD_APPROVED, Asked(subject, because), now, **about)])
