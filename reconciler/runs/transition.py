"""The one place where a run takes a step: run, stack, conditions, dependents, audit and notices, in one transaction.

The loop, the operations that persons ask for, and the recording of a new generation call `advance` for one run, or
`record` for the steps of many. They choose the event and say what only they know: a message, who asked, what policies
said. What follows from the event is decided here and in `core.transition`, and never by the callers.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from reconciler.core.conditions import assess
from reconciler.core.runs import Run, RunEvent, leading
from reconciler.core.state import StackState
from reconciler.core.transition import Transition, take_step
from reconciler.core.verdicts import Judgement
from reconciler.runs.audit import Asked, about_judgement, about_step
from reconciler.runs.outputs import Cause, pass_on_outputs, relink
from reconciler.store.protocol import Transaction
from reconciler.store.stored import AuditEvent
from spaces.names import StackId


class TakenByAnother(Exception):
    """The stack was given another run just now, so that this one is not queued."""


def find_stack(transaction: Transaction, stack: StackId) -> StackState:
    """Return a stack as `find_stacks` does."""
    return find_stacks(transaction, [stack])[stack]


def find_stacks(transaction: Transaction, wanted: Collection[StackId]) -> dict[StackId, StackState]:
    """Return stacks before a step of their runs, with the present outputs of their parents; dependents are locked, too.

    All are locked here, in one order, so that two transactions that write them wait for each other.
    """
    children = {child for below in transaction.children(wanted).values() for child in below}
    found = transaction.stacks({*wanted, *children})
    return relink(transaction, {stack: found.get(stack) or StackState(stack, None) for stack in wanted})


def advance(  # noqa: PLR0917
    transaction: Transaction,
    state: StackState,
    run: Run,
    event: RunEvent,
    now: datetime,
    asked: Asked | None = None,
    judgement: Judgement | None = None,
    **changes: Any,
) -> Run:
    """Let a run take one step, and return the run after it.

    `state` is its stack, read in this transaction. `asked` names the person who asked for the step, `judgement` the
    answers of policies that led to it. `changes` are fields of the run that the event brings. TransitionRefused where
    the run cannot take the step, LostLease where another attempt holds it, TakenByAnother where it cannot be queued.
    """
    prepared = prepare(transaction, state, run, event, now, judgement, **changes)
    if record(transaction, [prepared.step], prepared.stacks, now, asked, prepared.told):
        raise TakenByAnother(f"{run.stack} was given another run just now")
    return prepared.step.run


@dataclass(frozen=True, slots=True)
class Prepared:
    """A step that is still to be recorded, with the state of its stack after it and the audit's rows before it."""

    step: Transition
    stacks: Sequence[StackState]
    told: Sequence[AuditEvent] = ()


def prepare(  # noqa: PLR0917
    transaction: Transaction,
    state: StackState,
    run: Run,
    event: RunEvent,
    now: datetime,
    judgement: Judgement | None = None,
    **changes: Any,
) -> Prepared:
    """Work out the step that `advance` would record, for whoever records several at once."""
    step = take_step(state, run, event, now, **changes)
    active = step.run if step.run.is_active else None
    if not step.run.leads:
        active = leading(transaction.active_runs([run.stack])).get(run.stack)
    stack = assess(step.stack, active, step.stack.why, now)
    told: Sequence[AuditEvent] = ()
    if judgement is not None:
        transaction.record_judgement(run.id, judgement)
        told = about_judgement(step.run, judgement, now)
    # What nobody has merged changes nothing of its stack, which need not even be in force.
    return Prepared(step, [] if step.run.proposes is not None else [stack], told)


def record(  # noqa: PLR0917
    transaction: Transaction,
    steps: Sequence[Transition],
    stacks: Iterable[StackState],
    now: datetime,
    asked: Asked | None = None,
    told: Sequence[AuditEvent] = (),
) -> set[StackId]:
    """Write steps with all that follows from them, as the last writes of a transaction.

    `stacks` are assessed already, and may be more than the steps are about. `told` are rows of the audit that belong
    before those of the steps. Returns the stacks that another transaction has just given a run: neither their step nor
    their state is written.
    """
    new = [step.run for step in steps if step.event is RunEvent.QUEUE]
    transaction.put_runs([step.run for step in steps if step.event is not RunEvent.QUEUE])
    # After those that end: a stack has one active run that writes.
    added = set(transaction.add_runs(new))
    left_out = {run.stack for run in new if run.id not in added}
    if left_out:
        steps = [step for step in steps if step.run.stack not in left_out or step.event is not RunEvent.QUEUE]
    transaction.put_stacks(state for state in stacks if state.id not in left_out)
    causes = {step.run.stack: Cause.of(step.run, step.stack) for step in steps if step.changes_applied}
    pass_on_outputs(transaction, causes, now)
    gone = {step.run.stack for step in steps if step.changes_applied and step.stack.applied is None}
    transaction.wake_parents(gone, now)
    transaction.wake_dependents({step.run.stack for step in steps if step.wakes_dependents}, now)
    transaction.add_to_outbox([step.run for step in steps if step.is_news], now)
    rows = [*told, *(row for step in steps if (row := about_step(step, asked, now)) is not None)]
    if rows:
        transaction.append_audit(rows)
    return left_out
