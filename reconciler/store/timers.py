"""The clock table: what is to happen with a stack next, and when. Between its times a timer costs nothing."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import Row, bindparam, delete, func, select, union_all, update

from reconciler.core.timers import CLOCKS_APART, Timer
from reconciler.store import rows
from reconciler.store.bases import ReadingBase, WritingBase
from reconciler.store.selecting import among_stacks, bind_stacks
from reconciler.store.tables import stacks, timers
from spaces.model.pool import DEFAULT_POOL
from spaces.names import SpaceName, StackId

_COLUMNS = select(timers, stacks.c.space, stacks.c.name).join(stacks, stacks.c.id == timers.c.stack_id)
_PURPOSE = timers.c.purpose.in_(bindparam("purposes", expanding=True))
_ELSEWHERE = func.coalesce(stacks.c.pool, DEFAULT_POOL).not_in(bindparam("without", expanding=True))
_DUE = (
    _COLUMNS.where(_PURPOSE, timers.c.at <= bindparam("now"), _ELSEWHERE)
    .order_by(timers.c.at, timers.c.stack_id)
    .limit(bindparam("most"))
)
# A sum is in no index: by that of `at` all timers would be read, since nearly all of them lie ahead.
_AHEAD = (
    _COLUMNS.where(_PURPOSE, timers.c.set_at > bindparam("ahead"), timers.c.at + 0 > bindparam("now"), _ELSEWHERE)
    .order_by(timers.c.set_at, timers.c.stack_id)
    .limit(bindparam("most"))
)
_DUE_OR_AHEAD = union_all(*(select(each.subquery()) for each in (_DUE, _AHEAD)))
"""One question of two halves, each of which finds its timers by an index of its own."""
_OF_STACK = _COLUMNS.where(stacks.c.space == bindparam("space"), stacks.c.name == bindparam("name")).order_by(
    timers.c.at
)


class TimerReading(ReadingBase):
    """The questions about timers, for a `Reading`."""

    def due_timers(
        self, purposes: Collection[str], now: datetime, limit: int, without: Collection[str] = ()
    ) -> list[Timer]:
        """Return the timers for these purposes that are due, as `Reading.due_timers` says."""
        values = {"purposes": list(purposes), "now": rows.micros(now), "ahead": rows.micros(now + CLOCKS_APART)}
        values["without"] = list(without)
        found = self._connection.execute(_DUE_OR_AHEAD, values | {"most": limit})
        return [_timer(row) for row in sorted(found, key=lambda row: (row.at, row.stack_id))[:limit]]

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
