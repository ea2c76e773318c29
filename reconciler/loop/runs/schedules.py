"""Starts the runs that schedules ask for.

The loop calls `step` in each pass. A due timer is set to its next time in the transaction that queues the run, so that
each time counts once, however many services there are. After a long stop or a jump of the clock it comes once.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from reconciler.core.planning import on_schedule
from reconciler.core.runs import RunEvent, leading
from reconciler.core.timers import Purpose, Timer, run_timer
from reconciler.loop.runs.decide import run_for
from reconciler.runs.audit import log_run
from reconciler.runs.transition import TakenByAnother, advance, find_stack
from reconciler.store.protocol import Store
from reconciler.store.waiting import waiting

_BATCH = 100


@dataclass(frozen=True, slots=True)
class Schedules:
    """The schedules of all stacks."""

    store: Store

    def step(self, now: datetime) -> bool:
        """Start what is due. Returns whether something changed."""
        with self.store.reading() as reading:
            due = reading.due_timers(Purpose.RUN, now, _BATCH)
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
                schedules = state.desired.schedules if state.desired is not None else ()
                if not schedules:
                    transaction.remove_timers([timer.stack], Purpose.RUN)
                    return True
                if not transaction.take_timer(timer, run_timer(timer.stack, schedules, now).at):
                    return False
                active = leading(transaction.active_runs([timer.stack])).get(timer.stack)
                wanted = on_schedule(state, active, now, waiting(transaction, [timer.stack]).get(timer.stack))
                if wanted is not None:
                    run = run_for(state, wanted, now).evolve(message="on schedule")
                    queued = advance(transaction, state, run, RunEvent.QUEUE, now)
        except TakenByAnother:
            # The timer is still due: the next pass finds the stack busy.
            return True
        if queued is not None:
            log_run(queued)
        return True
