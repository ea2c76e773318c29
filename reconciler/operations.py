"""What persons may ask for: each request is one transaction that either happens whole or is refused with a sentence."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import replace
from datetime import datetime
from enum import StrEnum

from rbac.admission.held import HeldChange
from reconciler.core.conditions import assess
from reconciler.core.identifiers import run_id
from reconciler.core.reasons import Reason
from reconciler.core.runs import Run, RunEvent, RunId, RunKind, RunStatus
from reconciler.core.state import Desired, Heading, Outcome, Push, StackState
from reconciler.core.verdicts import Review
from reconciler.store.protocol import AuditEvent, Reading, Store, StoredApproval, Transaction
from reconciler.store.waiting import waiting
from spaces.names import StackId


class Refusal(StrEnum):
    """Why something that was asked for is not done."""

    NOT_FOUND = "NotFound"
    NOT_IN_FORCE = "NotInForce"
    SUSPENDED = "Suspended"
    SUSPENDED_IN_GIT = "SuspendedInGit"
    ALREADY_RUNNING = "AlreadyRunning"
    NOT_WAITING = "NotWaiting"
    WAITS_FOR_CONFIRMATION = "WaitsForConfirmation"
    ALREADY_ENDED = "AlreadyEnded"
    STILL_ACTIVE = "StillActive"
    NOT_REPEATABLE = "NotRepeatable"
    OUTDATED = "Outdated"
    PROBLEM = "Problem"
    WAITS_FOR_DEPENDENCY = "WaitsForDependency"
    NOT_APPROVED = "NotApproved"


class OperationRefused(Exception):
    """Nothing was changed; the message is one clear sentence for a person."""

    def __init__(self, reason: Refusal, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


class Audited(StrEnum):
    """What the audit keeps of what persons ask for."""

    RUN_REQUESTED = "run-requested"
    RUN_CONFIRMED = "run-confirmed"
    RUN_DISCARDED = "run-discarded"
    RUN_CANCELED = "run-canceled"
    RUN_REVIEWED = "run-reviewed"
    STACK_SUSPENDED = "stack-suspended"
    STACK_RESUMED = "stack-resumed"
    HELD_APPROVED = "approval-given"
    TOKEN_CREATED = "token-created"  # noqa: S105 - an event, no secret
    TOKEN_REVOKED = "token-revoked"  # noqa: S105


REPEATABLE = frozenset({RunStatus.FAILED, RunStatus.INTERRUPTED, RunStatus.CANCELED, RunStatus.DISCARDED})
"""Statuses of a run that did not bring about what it was meant to."""


def token_hash(token: str) -> str:
    """Give what is stored of a token. Tokens are 32 random bytes, so a plain hash cannot be searched."""
    return hashlib.sha256(token.encode()).hexdigest()


def mint_token(transaction: Transaction, stack: StackId, run: RunId) -> str:
    """Make a token that opens this stack's tfstate while the run is active; only its hash is stored."""
    token = secrets.token_urlsafe(32)
    transaction.put_token(token_hash(token), stack, run)
    return token


def confirm(store: Store, run: RunId, person: str, now: datetime, because: str = "") -> Run:
    """Say yes to a run that waits. The loop of the service that planned it starts the apply, if nothing changed."""
    with store.writing() as transaction:
        found = _run(transaction, run)
        if found.status is not RunStatus.UNCONFIRMED:
            raise OperationRefused(Refusal.NOT_WAITING, f"run {run} is {found.status}: it waits for no confirmation")
        stack, desired = _in_force(transaction, found.stack)
        _not_suspended(stack, desired)
        if desired.digest != found.digest:
            raise OperationRefused(
                Refusal.OUTDATED,
                f"run {run} was planned for something else than what {found.stack} is now meant to be: "
                "a newer run takes its place",
            )
        if found.confirmed_by is not None:
            return found
        if found.awaits_approval:
            raise OperationRefused(Refusal.NOT_APPROVED, f"run {run} is not approved yet: {found.message}")
        confirmed = found.evolve(
            confirmed_by=person, message=f"confirmed by {person}", to_judge=found.to_judge or found.is_guarded
        )
        _record(transaction, stack, confirmed, now)
        transaction.append_audit([_about(Audited.RUN_CONFIRMED, confirmed, person, now, because)])
        return confirmed


def review(store: Store, run: RunId, review: Review, because: str = "") -> Run:
    """Note what somebody thinks of a run that waits. The loop then asks the policies over it what that changes."""
    with store.writing() as transaction:
        found = _run(transaction, run)
        if found.status is not RunStatus.UNCONFIRMED:
            raise OperationRefused(Refusal.NOT_WAITING, f"run {run} is {found.status}: there is nothing to review")
        transaction.put_review(run, review)
        reviewed = found.evolve(to_judge=found.to_judge or found.is_guarded)
        _record(transaction, transaction.stack(found.stack), reviewed, review.at)
        event = _about(Audited.RUN_REVIEWED, reviewed, review.person, review.at, because)
        word = {"review": "approve" if review.approves else "reject", "note": review.note}
        transaction.append_audit([replace(event, details={**event.details, **word})])
        return reviewed


def discard(store: Store, run: RunId, person: str, now: datetime, because: str = "") -> Run:
    """Say no to a run that waits for confirmation."""
    with store.writing() as transaction:
        found = _run(transaction, run)
        if found.status is not RunStatus.UNCONFIRMED:
            raise OperationRefused(Refusal.NOT_WAITING, f"run {run} is {found.status}: there is nothing to discard")
        discarded = found.advance(
            RunEvent.DISCARD, reason=Reason.DISCARDED, message=f"discarded by {person}", finished_at=now
        )
        _record(transaction, transaction.stack(found.stack), discarded, now)
        transaction.append_audit([_about(Audited.RUN_DISCARDED, discarded, person, now, because)])
        return discarded


def cancel(store: Store, run: RunId, person: str, now: datetime, because: str = "") -> Run:
    """Stop a run: at once while it is queued; one at work is asked to stop by the loop of the service that holds it."""
    with store.writing() as transaction:
        found = _run(transaction, run)
        match found.status:
            case RunStatus.QUEUED:
                canceled = found.advance(
                    RunEvent.CANCEL, reason=Reason.CANCELED, message=f"canceled by {person}", finished_at=now
                )
            case RunStatus.PLANNING | RunStatus.APPLYING:
                if found.cancel_requested:
                    return found
                canceled = found.evolve(cancel_requested=True, message=f"{person} asked to cancel it")
            case RunStatus.UNCONFIRMED:
                raise OperationRefused(
                    Refusal.WAITS_FOR_CONFIRMATION, f"run {run} waits for confirmation: discard it instead"
                )
            case _:
                raise OperationRefused(Refusal.ALREADY_ENDED, f"run {run} is already {found.status}")
        _record(transaction, transaction.stack(found.stack), canceled, now)
        transaction.append_audit([_about(Audited.RUN_CANCELED, canceled, person, now, because)])
        return canceled


def retry(store: Store, run: RunId, person: str, now: datetime, because: str = "") -> Run:
    """Queue a new run in the place of one that came to nothing, for what is desired of its stack now."""
    with store.writing() as transaction:
        found = _run(transaction, run)
        if found.is_active:
            raise OperationRefused(Refusal.STILL_ACTIVE, f"run {run} is {found.status}: it has not ended yet")
        if found.status not in REPEATABLE or found.kind is not RunKind.TRACKED:
            raise OperationRefused(
                Refusal.NOT_REPEATABLE, f"run {run} is a {found.kind} run that is {found.status}: ask for a new run"
            )
        queued = _queue(transaction, found.stack, person, now, f"retry of run {run}")
        transaction.append_audit([_about(Audited.RUN_REQUESTED, queued, person, now, because)])
        return queued


def request_run(store: Store, stack: StackId, person: str, now: datetime, because: str = "") -> Run:
    """Queue a tracked run of a stack, also when it is Synced."""
    with store.writing() as transaction:
        queued = _queue(transaction, stack, person, now, "requested")
        transaction.append_audit([_about(Audited.RUN_REQUESTED, queued, person, now, because)])
        return queued


def suspend(store: Store, stack: StackId, person: str, now: datetime, because: str = "") -> StackState:
    """Start no more runs of a stack; a queued one is taken back, one at work goes on to its end."""
    with store.writing() as transaction:
        found, _ = _in_force(transaction, stack)
        if found.paused:
            return found
        for run in transaction.active_runs([stack]):
            if run.status is RunStatus.QUEUED:
                # Superseded, not canceled: a canceled run would keep the stack standing still once it is resumed.
                message = f"{person} suspended the stack"
                ended = run.advance(RunEvent.SUPERSEDE, reason=Reason.SUSPENDED, message=message, finished_at=now)
                transaction.put_run(ended)
                found = found.evolve(last=_outcome(found, ended, now))
        settled = _settle(transaction, found.evolve(paused=True), now)
        details = {"stack": str(stack), "because": because}
        transaction.append_audit([AuditEvent(Audited.STACK_SUSPENDED, now, person, details)])
        return settled


def resume(store: Store, stack: StackId, person: str, now: datetime, because: str = "") -> StackState:
    """Let a suspended stack run again; refused where its document in Git says that it is suspended."""
    with store.writing() as transaction:
        found, desired = _in_force(transaction, stack)
        if found.paused:
            settled = _settle(transaction, found.evolve(paused=False), now)
            details = {"stack": str(stack), "because": because}
            transaction.append_audit([AuditEvent(Audited.STACK_RESUMED, now, person, details)])
            return settled
        if desired.suspended:
            raise OperationRefused(
                Refusal.SUSPENDED_IN_GIT, f"{stack} is suspended by its document: change spec.suspended in Git"
            )
        return found


def approve(store: Store, held: HeldChange, subject: str, now: datetime, because: str) -> None:
    """Note somebody's word that a held change may come into force; admission judges it and carries it out."""
    with store.writing() as transaction:
        if all(each.id != held.id for each in transaction.held_changes()):
            raise OperationRefused(Refusal.NOT_FOUND, f"there is no held change {held.id}")
        transaction.add_approval(StoredApproval(held.id, subject, because, now))
        details = {"held": held.id, "document": str(held.ref), "revision": held.revision, "because": because}
        transaction.append_audit([AuditEvent(Audited.HELD_APPROVED, now, subject, details)])


def _about(event: Audited, run: Run, person: str, now: datetime, because: str) -> AuditEvent:
    details = {
        "run": run.id,
        "stack": str(run.stack),
        "revision": run.revision,
        "digest": run.digest,
        "because": because,
    }
    return AuditEvent(event, now, person, details)


def _queue(transaction: Transaction, stack: StackId, person: str, now: datetime, message: str) -> Run:
    state, desired = _in_force(transaction, stack)
    _not_suspended(state, desired)
    if desired.problem is not None:
        raise OperationRefused(Refusal.PROBLEM, f"{stack} cannot be run: {desired.problem.message}")
    waits = waiting(transaction, [stack]).get(stack)
    if waits is not None:
        # Only what its own document names may be known to whoever reads it.
        named = any(need.parent == waits.on for need in desired.needs)
        whom = f"{waits.on}, which {waits.words}" if named else "a stack that it depends on"
        raise OperationRefused(Refusal.WAITS_FOR_DEPENDENCY, f"{stack} waits for {whom}")
    for active in transaction.active_runs([stack]):
        if active.kind is RunKind.PROPOSED and active.status is RunStatus.QUEUED:
            message = f"{person} asked for a run"
            transaction.put_run(
                active.advance(RunEvent.SUPERSEDE, reason=Reason.SUPERSEDED, message=message, finished_at=now)
            )
        elif active.leads:
            raise OperationRefused(Refusal.ALREADY_RUNNING, f"{stack} already has run {active.id}: {active.status}")
    run = Run(
        id=run_id(now, secrets.token_bytes(10)),
        stack=stack,
        kind=RunKind.TRACKED,
        status=RunStatus.QUEUED,
        revision=desired.revision,
        digest=desired.digest,
        fingerprint=desired.fingerprint,
        created_at=now,
        why=state.why,
        person=person,
        needs_confirmation=state.interrupted or not desired.autodeploy,
        message=f"{message} by {person}",
    )
    if run.id not in transaction.add_runs([run]):
        raise OperationRefused(Refusal.ALREADY_RUNNING, f"{stack} was given a run by somebody else just now")
    push = state.push
    if desired.push_policies is not None:
        # What a person asks for is not held back again when it is tried anew.
        push = Push(desired.digest, desired.push_policies, Heading.TRACK, f"{message} by {person}")
    _settle(transaction, state.evolve(last=_outcome(state, run, now), retry_at=None, push=push), now)
    return run


def _run(reading: Reading, run: RunId) -> Run:
    found = reading.run(run)
    if found is None:
        raise OperationRefused(Refusal.NOT_FOUND, f"there is no run {run}")
    return found


def _in_force(reading: Reading, stack: StackId) -> tuple[StackState, Desired]:
    found = reading.stack(stack)
    if found is None:
        raise OperationRefused(Refusal.NOT_FOUND, f"there is no stack {stack}")
    if found.desired is None:
        raise OperationRefused(Refusal.NOT_IN_FORCE, f"{stack} has left Git; what it applied is only retained")
    return found, found.desired


def _not_suspended(stack: StackState, desired: Desired) -> None:
    if stack.paused:
        raise OperationRefused(Refusal.SUSPENDED, f"{stack.id} is suspended: resume it first")
    if desired.suspended:
        raise OperationRefused(
            Refusal.SUSPENDED_IN_GIT, f"{stack.id} is suspended by its document: change spec.suspended in Git"
        )


def _record(transaction: Transaction, stack: StackState | None, run: Run, now: datetime) -> None:
    transaction.put_run(run)
    if stack is None:
        return
    if stack.last is None or stack.last.run <= run.id:
        stack = stack.evolve(last=_outcome(stack, run, now))
    _settle(transaction, stack, now)


def _settle(transaction: Transaction, stack: StackState, now: datetime) -> StackState:
    """Write the stack with what follows from its new facts, and have the loop look at it at once."""
    active = next((run for run in transaction.active_runs([stack.id]) if run.leads), None)
    stack = assess(stack, active, stack.why, now).evolve(due_at=now)
    transaction.put_stacks([stack])
    transaction.wake_dependents([stack.id], now)
    return stack


def _outcome(stack: StackState, run: Run, now: datetime) -> Outcome:
    failures = stack.last.failures if stack.last is not None and stack.last.run == run.id else 0
    return Outcome(run.id, run.kind, run.status, run.reason, run.message, run.digest, now, failures)
