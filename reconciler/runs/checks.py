"""Queues drift checks: for a schedule, or because somebody asks."""

from __future__ import annotations

import secrets
from datetime import datetime

from reconciler.core.identifiers import next_run_id
from reconciler.core.runs import Run, RunEvent, RunKind
from reconciler.core.standing import is_suspended, without_ended_lock
from reconciler.core.state import StackState, Sync
from reconciler.core.transition import new_run
from reconciler.runs.audit import Asked
from reconciler.runs.transition import advance
from reconciler.store.protocol import Transaction


def cannot_be_checked(transaction: Transaction, state: StackState, now: datetime) -> str | None:
    """Return why a stack cannot be checked for drift now, as the end of a sentence; None: it can."""
    if state.desired is None:
        return "left Git"
    if state.desired.problem is not None:
        return f"cannot be run: {state.desired.problem.message}"
    if state.sync is not Sync.SYNCED:
        return f"is {state.sync}: what its plan shows is its change, not drift"
    lock = without_ended_lock(state, now).lock
    if lock is not None:
        return f"is {lock}"
    if is_suspended(state):
        return "is suspended"
    active = transaction.active_runs([state.id])
    return f"already has run {active[0].id}: {active[0].status}" if active else None


def queue_check(transaction: Transaction, state: StackState, now: datetime, asked: Asked | None = None) -> Run:
    """Queue a drift check of a stack of which `cannot_be_checked` found nothing."""
    assert state.desired is not None  # noqa: S101 - that function would have said so
    run = new_run(
        state,
        state.desired,
        next_run_id(state, now, secrets.token_bytes(10)),
        now,
        kind=RunKind.DRIFT,
        person=asked.person if asked is not None else None,
        message=f"requested by {asked.person}" if asked is not None else "on schedule",
    )
    return advance(transaction, state, run, RunEvent.QUEUE, now, asked)
