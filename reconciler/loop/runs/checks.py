"""Starts the drift checks that are due, and stops whatever only looks and is in the way of another run.

The loop calls `step` in each pass. A check is a run like any other: it is queued here, claimed and started by
`dispatch`, and recorded by `record`. No more are active at once than the setting allows, whatever is due: what is left
stays due. Only a stack that is `Synced` is checked, since the plan of any other is its change.

A plan of what nobody has merged only looks as well: it makes way for what changes the world, and not for what waits.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import datetime

from reconciler.core.runs import ACTIVE, Run, RunEvent, RunId, RunKind, RunStatus, leading
from reconciler.core.timers import Purpose, Timer, check_timer
from reconciler.engine.base import Engine
from reconciler.loop.desired.world import World
from reconciler.loop.runs.pools import CheckRoom, limits_of
from reconciler.runs.audit import log_run
from reconciler.runs.checks import cannot_be_checked, queue_check
from reconciler.runs.transition import advance, find_stack
from reconciler.store.protocol import Store
from reconciler.store.stored import RunFilter
from spaces.model.pool import DEFAULT_POOL

_ACTIVE = RunFilter(kinds={RunKind.DRIFT, RunKind.PROPOSED}, statuses=ACTIVE)


@dataclass(slots=True)
class Checks:
    """The drift checks of all stacks."""

    store: Store
    engine: Engine
    world: World
    holder: str
    limit: int
    """How many checks may be active at once, of all services on the database."""
    unserved: Callable[[], Collection[str]] = list
    """Returns the pools that have no worker."""
    _stopping: set[RunId] = field(default_factory=set)
    """The runs of this service whose process was asked to stop."""

    def step(self, now: datetime) -> bool:
        """Start what is due and stop what is in the way. Returns whether something changed."""
        with self.store.reading() as reading:
            active = [run for run in reading.list_runs(_ACTIVE, None, 1000) if not run.leads]
            checks = [run for run in active if run.checks]
            free = self.limit - len(checks)
            due = reading.due_timers([Purpose.DRIFT], now, free) if free > 0 else []
            room = (
                CheckRoom(limits_of(self.world, reading, closed=self.unserved()), checks) if due else CheckRoom({}, ())
            )
            if room.closed:
                due = reading.due_timers([Purpose.DRIFT], now, free, room.closed)
            others = leading(reading.active_runs([run.stack for run in active])) if active else {}
        made = False
        for run in active:
            if run.stack in others and not run.cancel_requested and _is_in_the_way(run, others[run.stack]):
                made |= self._give_way(run, others[run.stack], now)
            elif run.cancel_requested:
                self._stop(run)
        self._stopping.intersection_update(run.id for run in active)
        for timer in due:
            made |= self._start(timer, room, now)
        return made

    def _stop(self, run: Run) -> None:
        """Stop the process of a run that only looks, if it is this service's."""
        if run.holder == self.holder and run.id not in self._stopping:
            self._stopping.add(run.id)
            self.engine.cancel(run.id)

    def _give_way(self, looking: Run, other: Run, now: datetime) -> bool:
        """End a run that only looks for one that may change what it looks at; one at work is asked to stop."""
        with self.store.writing() as transaction:
            run = transaction.run(looking.id)
            if run is None or not run.is_active or run.cancel_requested:
                return False
            state, message = find_stack(transaction, run.stack), f"run {other.id} comes first"
            if run.status is RunStatus.QUEUED:
                advance(transaction, state, run, RunEvent.SUPERSEDE, now, message=message)
            else:
                run = advance(transaction, state, run, RunEvent.STOP, now, cancel_requested=True, message=message)
        if run.cancel_requested:
            self._stop(run)
        return True

    def _start(self, timer: Timer, room: CheckRoom, now: datetime) -> bool:
        """Queue a check, and set the timer to its next time; where nothing can be checked, only that.

        What its pool has no room for stays due.
        """
        with self.store.writing() as transaction:
            state = find_stack(transaction, timer.stack)
            drift = state.desired.drift if state.desired is not None else None
            if drift is None:
                transaction.remove_timers([timer.stack], Purpose.DRIFT)
                return True
            pool = state.desired.pool if state.desired is not None else DEFAULT_POOL
            if not room.is_open(pool):
                return False
            if not transaction.take_timer(timer, check_timer(timer.stack, drift, now)) or not timer.is_due(now):
                return False
            possible = cannot_be_checked(transaction, state, now) is None
            queued = queue_check(transaction, state, now) if possible else None
        if queued is not None:
            room.take(pool)
            log_run(queued)
        return True


def _is_in_the_way(run: Run, other: Run) -> bool:
    return run.checks or (other.is_writing and other.status is not RunStatus.UNCONFIRMED)
