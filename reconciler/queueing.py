"""Queues the runs that somebody asks for: what the requests of persons have in common."""

from __future__ import annotations

import secrets
from dataclasses import replace
from datetime import datetime
from typing import Any

from reconciler.core.dependencies import previews_ahead
from reconciler.core.ends import is_to_go
from reconciler.core.identifiers import next_run_id
from reconciler.core.reasons import Reason
from reconciler.core.runs import Run, RunEvent, RunId, RunKind, RunStatus
from reconciler.core.standing import without_ended_lock
from reconciler.core.state import Desired, Heading, Push, StackState
from reconciler.core.transition import new_run
from reconciler.refusals import OperationRefused, Refusal, in_force
from reconciler.runs.audit import Asked, log_run
from reconciler.runs.transition import TakenByAnother, advance
from reconciler.store.protocol import Transaction
from reconciler.store.queries import Reading
from reconciler.store.waiting import waiting
from spaces.names import StackId


def queue(  # noqa: PLR0917
    transaction: Transaction,
    stack: StackId,
    asked: Asked,
    now: datetime,
    words: str,
    kind: RunKind = RunKind.TRACKED,
    **more: Any,
) -> Run:
    """Queue a run of a stack that somebody asks for, or refuse; `more` are fields of the run."""
    state, desired = in_force(transaction, stack)
    not_locked(state, now)
    if kind is RunKind.PROPOSED:
        not_leaving(state, desired)
    elif kind is not RunKind.DESTROY:
        may_run(state, desired, now)
    not_held_up(transaction, stack, desired, kind)
    for active in transaction.active_runs([stack]):
        if active.kind is RunKind.PROPOSED and active.status is RunStatus.QUEUED:
            message = f"{asked.person} requested a run"
            advance(transaction, state, active, RunEvent.SUPERSEDE, now, message=message)
        elif active.leads:
            raise OperationRefused(Refusal.ALREADY_RUNNING, f"{stack} already has run {active.id}: {active.status}")
    message = f"{words} by {asked.person}"
    if state.last is not None:
        # Whoever asks has looked at the failures: they count anew.
        state = state.evolve(last=replace(state.last, failures=0))
    if desired.push_policies is not None and kind is not RunKind.PROPOSED:
        # What a person asks for is not held back again when it is tried anew.
        push = Push(desired.digest, desired.push_policies, Heading.TRACK, message)
        state = state.evolve(push=push)
    asks = kind is RunKind.DESTROY or (kind is not RunKind.TASK and (state.interrupted or not desired.autodeploy))
    fields = {"kind": kind, "leaving": desired.leaving, "person": asked.person, "needs_confirmation": asks, **more}
    name = next_run_id(state, now, secrets.token_bytes(10))
    run = new_run(state, desired, name, now, message=message, **fields)
    try:
        return advance(transaction, state, run, RunEvent.QUEUE, now, asked)
    except TakenByAnother as taken:
        raise OperationRefused(Refusal.ALREADY_RUNNING, str(taken)) from None


def told(run: Run) -> Run:
    """Say in the log what became of a run, now that its transaction is through."""
    log_run(run)
    return run


def find_run(reading: Reading, run: RunId) -> Run:
    """Return the run that a request names."""
    found = reading.run(run)
    if found is None:
        raise OperationRefused(Refusal.NOT_FOUND, f"there is no run {run}")
    return found


def not_locked(stack: StackState, now: datetime) -> None:
    """Refuse while somebody keeps the stack to themselves."""
    lock = without_ended_lock(stack, now).lock
    if lock is not None:
        raise OperationRefused(Refusal.LOCKED, f"{stack.id} is {lock}")


def may_run(stack: StackState, desired: Desired, now: datetime) -> None:
    """Refuse where nothing is to be applied to the stack."""
    if is_to_go(stack, now):
        message = f"the time of {stack.id} is over: change spec.ttl or spec.destroyAt in Git first"
        raise OperationRefused(Refusal.EXPIRED, message)
    not_leaving(stack, desired)
    not_suspended(stack, desired)


def not_suspended(stack: StackState, desired: Desired) -> None:
    """Refuse while somebody, or the document, has suspended the stack."""
    if stack.paused:
        raise OperationRefused(Refusal.SUSPENDED, f"{stack.id} is suspended: resume it first")
    if desired.suspended:
        raise OperationRefused(
            Refusal.SUSPENDED_IN_GIT, f"{stack.id} is suspended by its document: change spec.suspended in Git"
        )


def not_leaving(stack: StackState, desired: Desired) -> None:
    """Refuse where its document has left Git."""
    if desired.leaving:
        raise OperationRefused(Refusal.NOT_IN_FORCE, f"{stack.id} left Git, and what it made is to be destroyed")


def not_held_up(transaction: Transaction, stack: StackId, desired: Desired, kind: RunKind) -> None:
    """Refuse where the stack has a problem, or waits for one that it depends on."""
    ahead = kind is RunKind.PROPOSED and previews_ahead(desired)
    problem = desired.problem
    if problem is not None and not (ahead and problem.reason == Reason.OUTPUT_MISSING):
        raise OperationRefused(Refusal.PROBLEM, f"{stack} cannot be run: {problem.message}", problem.reason)
    waits = None if ahead else waiting(transaction, [stack]).get(stack)
    if waits is not None:
        # Only what its own document names may be known to whoever reads it.
        named = any(need.parent == waits.on for need in desired.needs)
        whom = f"{waits.on}, which {waits.words}" if named else "a stack that it depends on"
        raise OperationRefused(Refusal.WAITS_FOR_DEPENDENCY, f"{stack} waits for {whom}", Reason.WAITS_FOR_DEPENDENCY)
