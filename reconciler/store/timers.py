"""The clock table: what is to happen with a stack next, and when. Between its times a timer costs nothing."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime

from sqlalchemy import Connection, bindparam, delete, select, update

from reconciler.core.timers import Timer
from reconciler.store import rows, statements
from reconciler.store.selecting import among_stacks, bind_stacks
from reconciler.store.tables import stacks, timers
from spaces.names import SpaceName, StackId

_DUE = (
    select(stacks.c.space, stacks.c.name, timers.c.at, timers.c.schedule)
    .join(stacks, stacks.c.id == timers.c.stack_id)
    .where(timers.c.purpose == bindparam("purpose"), timers.c.at <= bindparam("now"))
    .order_by(timers.c.at, timers.c.stack_id)
    .limit(bindparam("most"))
)


class TimerReading:
    """The questions about timers, for a `Reading`."""

    _connection: Connection
    _dialect: str

    def due_timers(self, purpose: str, now: datetime, limit: int) -> list[Timer]:
        """Return the timers of a purpose that are due, the longest due first."""
        values = {"purpose": purpose, "now": rows.micros(now), "most": limit}
        return [
            Timer(StackId(SpaceName(row.space), row.name), purpose, rows.instant(row.at), row.schedule)
            for row in self._connection.execute(_DUE, values)
        ]


class TimerWriting(TimerReading):
    """The changes of timers, for a `Transaction`."""

    def put_timers(self, wanted: Iterable[Timer]) -> None:
        """Set timers, in place of those that the stacks have for the same purpose. One with the same schedule stays."""
        wanted = list(wanted)
        if not wanted:
            return
        keys = self._keys_of({timer.stack for timer in wanted})
        values = [
            {
                "stack_id": keys[timer.stack],
                "purpose": timer.purpose,
                "at": rows.micros(timer.at),
                "schedule": timer.schedule,
            }
            for timer in wanted
        ]
        values.sort(key=lambda value: str(value["purpose"]) + f"{value['stack_id']:020}")
        statement = statements.insert(self._dialect, timers)
        statement = statement.on_conflict_do_update(
            index_elements=["stack_id", "purpose"],
            set_={"at": statement.excluded.at, "schedule": statement.excluded.schedule},
            where=timers.c.schedule != statement.excluded.schedule,
        )
        self._connection.execute(statement, values)

    def remove_timers(self, wanted: Collection[StackId], purpose: str) -> None:
        """Remove the timers of these stacks for a purpose."""
        if wanted:
            theirs = among_stacks(self._dialect, timers.c.stack_id)
            statement = delete(timers).where(timers.c.purpose == purpose, theirs)
            self._connection.execute(statement, bind_stacks(self._dialect, wanted))

    def take_timer(self, timer: Timer, again: datetime) -> bool:
        """Set a due timer to its next time; False where another service has taken it, or it is another one now."""
        theirs = among_stacks(self._dialect, timers.c.stack_id)
        mine = (timers.c.purpose == timer.purpose, timers.c.at == rows.micros(timer.at), theirs)
        statement = update(timers).where(*mine).values(at=rows.micros(again))
        return bool(self._connection.execute(statement, bind_stacks(self._dialect, [timer.stack])).rowcount)

    def _keys_of(self, wanted: Collection[StackId]) -> dict[StackId, int]:
        raise NotImplementedError
