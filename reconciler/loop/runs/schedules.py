"""Starts the runs and tasks that schedules ask for.

The loop calls `step` in each pass. A due timer is set to its next time in the transaction that queues the run, so that
each time counts once, however many services there are. After a long stop or a jump of the clock it comes once. A run of
what is desired is left out where another one is active; a task waits for its turn.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from reconciler.core.planning import QueueRun, on_schedule, task_on_schedule
from reconciler.core.runs import Run, RunEvent, leading
from reconciler.core.state import StackState
from reconciler.core.timers import Purpose, Timer, command_of, once_free, run_timer, task_timers
from reconciler.loop.runs.decide import run_for
from reconciler.runs.audit import log_run
from reconciler.runs.transition import TakenByAnother, advance, find_stack
from reconciler.store.protocol import Store, Transaction
from reconciler.store.waiting import waiting

_BATCH = 100


@dataclass(frozen=True, slots=True)
class Schedules:
    """The schedules of all stacks."""

    store: Store

    def step(self, now: datetime) -> bool:
        """Start what is due. Returns whether something changed."""
        with self.store.reading() as reading:
            due = reading.due_timers([Purpose.RUN, Purpose.TASK], now, _BATCH)
        made = False
        for timer in due:
            made |= self._start(timer, now)
        return made

    def _start(self, timer: Timer, now: datetime) -> bool:
        """Set the timer to its next time, and queue a run; where none may start now, this time is left out."""
        queued = None
        try:
            with self.store.writing() as transaction:
                state = find_stack(transaction, timer.stack)
                again = _again(timer, state, now)
                if again is None:
                    transaction.remove_timers([timer.stack], timer.purpose, timer.item)
                    return True
                active = leading(transaction.active_runs([timer.stack])).get(timer.stack)
                puts_off = active is not None and timer.purpose == Purpose.TASK and timer.is_due(now)
                if not transaction.take_timer(timer, once_free(timer, now) if puts_off else again):
                    return False
                wanted = _wanted(transaction, timer, state, active, now) if timer.is_due(now) else None
                if wanted is not None:
                    said = f"on schedule: {timer.schedule}" if wanted.command is not None else "on schedule"
                    run = run_for(state, wanted, now).evolve(message=said)
                    queued = advance(transaction, state, run, RunEvent.QUEUE, now)
        except TakenByAnother:
            # The timer is still due: the next pass finds the stack busy.
            return True
        if queued is not None:
            log_run(queued)
        return True


def _again(timer: Timer, state: StackState, now: datetime) -> Timer | None:
    """Return the timer at its next time; None: the stack's document asks for it no more."""
    schedules = state.desired.schedules if state.desired is not None else ()
    if timer.purpose == Purpose.RUN:
        return run_timer(timer.stack, schedules, now)
    return next((it for it in task_timers(timer.stack, schedules, now) if it.item == timer.item), None)


def _wanted(
    transaction: Transaction, timer: Timer, state: StackState, active: Run | None, now: datetime
) -> QueueRun | None:
    """Return the run that a due timer starts; None: nothing may start now."""
    waits = waiting(transaction, [timer.stack]).get(timer.stack)
    if timer.purpose == Purpose.RUN:
        return on_schedule(state, active, now, waits)
    command = command_of(timer, state.desired.schedules) if state.desired is not None else None
    return None if command is None or active is not None else task_on_schedule(state, command, now, waits)
