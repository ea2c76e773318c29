"""What notifiers are to tell that is not about a run: written with what happened, removed once sent."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import bindparam, delete, select, update

from reconciler.store import rows, statements
from reconciler.store.bases import ReadingBase, WritingBase
from reconciler.store.selecting import POSTGRES, among
from reconciler.store.stored import Announcement
from reconciler.store.tables import announcements
from reconciler.store.texts import dump, load

_DUE = (
    select(announcements)
    .where(announcements.c.due_at <= bindparam("now"))
    .order_by(announcements.c.due_at, announcements.c.id)
    .limit(bindparam("most"))
)


class AnnouncementReading(ReadingBase):
    """The question about announcements, for a `Reading`."""

    def announcements(self, now: datetime, limit: int) -> list[Announcement]:
        """Return those that are due, the longest due first."""
        found = self._connection.execute(_DUE, {"now": rows.micros(now), "most": limit})
        return [_announcement(row) for row in found]


class AnnouncementWriting(AnnouncementReading, WritingBase):
    """The changes of announcements, for a `Transaction`."""

    def add_announcements(self, told: Sequence[Announcement]) -> None:
        """Add announcements, due at once; none that is there already."""
        values = [
            {
                "id": each.id,
                "receiver": each.receiver,
                "body": dump(dict(each.body)),
                "at": rows.micros(each.at),
                "due_at": rows.micros(each.at),
                "attempt": 0,
            }
            for each in told
        ]
        if values:
            self._connection.execute(statements.add_announcements(self._dialect), values)

    def claim_announcements(
        self, wanted: Sequence[Announcement], now: datetime, lease: timedelta
    ) -> list[Announcement]:
        """Take these, as far as they are still due; nobody else can take them until the lease ends."""
        ids = among(self._connection, announcements.c.id, [each.id for each in wanted])
        picked = select(announcements.c.id).where(ids, announcements.c.due_at <= rows.micros(now))
        picked = picked.order_by(announcements.c.id)
        if self._dialect == POSTGRES:
            picked = picked.with_for_update(skip_locked=True)
        chosen = picked.cte("chosen")
        statement = (
            update(announcements)
            .where(announcements.c.id.in_(select(chosen.c.id)))
            .values(attempt=announcements.c.attempt + 1, due_at=rows.micros(now + lease))
            .returning(*announcements.c)
        )
        return [_announcement(row) for row in self._connection.execute(statement)]

    def remove_announcement(self, done: Announcement) -> bool:
        """Remove one, unless another attempt has taken it since."""
        statement = delete(announcements).where(*_this(done)).returning(announcements.c.id)
        return self._connection.execute(statement).first() is not None

    def postpone_announcement(self, one: Announcement, until: datetime) -> None:
        """Let one be due again later, unless another attempt has taken it since."""
        self._connection.execute(update(announcements).where(*_this(one)).values(due_at=rows.micros(until)))


def _this(one: Announcement) -> tuple[Any, ...]:
    return announcements.c.id == one.id, announcements.c.attempt == one.attempt


def _announcement(row: Any) -> Announcement:
    return Announcement(row.id, row.receiver, load(row.body), rows.instant(row.at), row.attempt)
