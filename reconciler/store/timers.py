"""The clock table: what is to happen with a stack next, and when. Between its times a timer costs nothing."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import Row, bindparam, delete, select, update

from reconciler.core.timers import CLOCKS_APART, Timer
from reconciler.store import rows
from reconciler.store.bases import ReadingBase, WritingBase
from reconciler.store.selecting import among_stacks, bind_stacks
from reconciler.store.tables import stacks, timers
from spaces.names import SpaceName, StackId

_COLUMNS = select(timers, stacks.c.space, stacks.c.name).join(stacks, stacks.c.id == timers.c.stack_id)
_PURPOSE = timers.c.purpose == bindparam("purpose")
_DUE = (
    _COLUMNS.where(_PURPOSE, timers.c.at <= bindparam("until"))
    .order_by(timers.c.at, timers.c.stack_id)
    .limit(bindparam("most"))
)
_AHEAD = (
    _COLUMNS.where(_PURPOSE, timers.c.set_at > bindparam("until"), timers.c.at > bindparam("now"))
    .order_by(timers.c.set_at, timers.c.stack_id)
    .limit(bindparam("most"))
)
"""Apart from those that are due: each of the two finds its timers by an index of its own."""
_OF_STACK = _COLUMNS.where(stacks.c.space == bindparam("space"), stacks.c.name == bindparam("name")).order_by(
    timers.c.at
)


class TimerReading(ReadingBase):
    """The questions about timers, for a `Reading`."""

    def due_timers(self, purpose: str, now: datetime, limit: int) -> list[Timer]:
        """Return the timers of a purpose that are due, or were set while the clock was ahead; the longest due first."""
        of_purpose, moment = {"purpose": purpose, "most": limit}, rows.micros(now)
        found = list(self._connection.execute(_DUE, of_purpose | {"until": moment}))
        if len(found) < limit:
            ahead = {"until": rows.micros(now + CLOCKS_APART), "now": moment, "most": limit - len(found)}
            found += self._connection.execute(_AHEAD, of_purpose | ahead)
        return [_timer(row) for row in found]

    def timers(self, stack: StackId) -> list[Timer]:
        """Return the timers of a stack, the next one first."""
        values = {"space": stack.space, "name": stack.name}
        return [_timer(row) for row in self._connection.execute(_OF_STACK, values)]


def _timer(row: Row[Any]) -> Timer:
    at, set_at = rows.instant(row.at), rows.instant(row.set_at)
    return Timer(StackId(SpaceName(row.space), row.name), row.purpose, at, row.schedule, set_at, row.item)


class TimerWriting(TimerReading, WritingBase):
    """The changes of timers, for a `Transaction`."""

    def put_timers(self, wanted: Iterable[Timer]) -> None:
        """Set timers, in place of those for the same purpose and item. One with the same schedule stays as it is."""
        wanted = list(wanted)
        if not wanted:
            return
        keys = self._keys_of({timer.stack for timer in wanted})
        values = [
            {
                "stack_id": keys[timer.stack],
                "purpose": timer.purpose,
                "item": timer.item,
                "set_at": rows.micros(timer.set_at),
                "at": rows.micros(timer.at),
                "schedule": timer.schedule,
            }
            for timer in wanted
        ]
        values.sort(key=lambda value: (value["purpose"], value["stack_id"], value["item"]))
        statement = self._insert(timers)
        statement = statement.on_conflict_do_update(
            index_elements=["stack_id", "purpose", "item"],
            set_={name: statement.excluded[name] for name in ("at", "schedule", "set_at")},
            where=timers.c.schedule != statement.excluded.schedule,
        )
        self._connection.execute(statement, values)

    def remove_timers(self, wanted: Collection[StackId], purpose: str, item: str = "") -> None:
        """Remove the timers of these stacks for a purpose and item."""
        if wanted:
            theirs = among_stacks(self._dialect, timers.c.stack_id)
            statement = delete(timers).where(timers.c.purpose == purpose, timers.c.item == item, theirs)
            self._connection.execute(statement, bind_stacks(self._dialect, wanted))

    def take_timer(self, timer: Timer, again: Timer) -> bool:
        """Set a timer to its next time; False where another service has taken it, or it is another one now."""
        theirs = among_stacks(self._dialect, timers.c.stack_id)
        is_it = (timers.c.purpose == timer.purpose, timers.c.item == timer.item, timers.c.at == rows.micros(timer.at))
        values = {"at": rows.micros(again.at), "set_at": rows.micros(again.set_at)}
        statement = update(timers).where(*is_it, theirs).values(**values)
        return bool(self._connection.execute(statement, bind_stacks(self._dialect, [timer.stack])).rowcount)
