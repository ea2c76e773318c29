"""Notices that are still to be sent: written by the transaction that lets a run take its step, removed once sent."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, Select, bindparam, delete, select, update

from reconciler.core.runs import Run, RunStatus
from reconciler.store import rows, statements
from reconciler.store.bases import ReadingBase, WritingBase
from reconciler.store.selecting import POSTGRES, among
from reconciler.store.stored import OutboxEntry
from reconciler.store.tables import outbox, runs, stacks
from reconciler.store.texts import dump, load, moment, moment_text

_ENTRIES = (
    select(runs, stacks.c.space, stacks.c.name)
    .add_columns(
        outbox.c.id.label("entry"),
        outbox.c.status.label("status_then"),
        outbox.c.body.label("body_then"),
        outbox.c.at,
        outbox.c.attempt.label("tries"),
    )
    .join_from(outbox, runs, runs.c.id == outbox.c.run_id)
    .join(stacks, stacks.c.id == runs.c.stack_id)
    .order_by(outbox.c.id)
)
FOR_A_RECEIVER = outbox.c.id.like("% % %")
"""A copy for one notifier: its id is `run status receiver`, and that of the notice itself `run status`."""
_DUE = _ENTRIES.where(outbox.c.due_at <= bindparam("now"), ~FOR_A_RECEIVER).limit(bindparam("most"))
_DELIVERIES = (
    _ENTRIES.where(outbox.c.due_at <= bindparam("now"), FOR_A_RECEIVER)
    # Not by run: the old ones of a receiver that is away would keep back those of all others.
    .order_by(None)
    .order_by(outbox.c.due_at, outbox.c.id)
    .limit(bindparam("most"))
)


class OutboxReading(ReadingBase):
    """The questions about the outbox, for a `Reading`."""

    def outbox(self, now: datetime, limit: int) -> list[OutboxEntry]:
        """Return notices that are due, oldest run first."""
        values = {"now": rows.micros(now)}
        if self._connection.execute(statements.ANY_NOTICE, values).first() is None:
            # Nearly always, and the whole question takes several times as long.
            return []
        return self._entries(_DUE, {**values, "most": limit})

    def deliveries(self, now: datetime, limit: int) -> list[OutboxEntry]:
        """Return notices for receivers that are due, the longest due first."""
        values = {"now": rows.micros(now)}
        if self._connection.execute(statements.ANY_NOTICE, values).first() is None:
            return []
        return self._entries(_DELIVERIES, {**values, "most": limit})

    def _entries(self, query: Select[Any], values: dict[str, Any] | None = None) -> list[OutboxEntry]:
        return [_entry(row) for row in self._connection.execute(query, values)]


class OutboxWriting(OutboxReading, WritingBase):
    """The changes of the outbox, for a `Transaction`."""

    def add_to_outbox(self, changed: Sequence[Run], now: datetime) -> None:
        """Add a notice about each run as it is now. A run brings one notice for a status, and no second one."""
        values = [
            {
                "id": f"{run.id} {run.status}",
                "run_id": run.id,
                "status": run.status.value,
                "body": dump([run.reason, run.message, run.confirmed_by, moment_text(run.finished_at)]),
                "at": rows.micros(now),
                "due_at": rows.micros(now),
                "attempt": 0,
            }
            for run in changed
        ]
        if values:
            self._connection.execute(statements.add_to_outbox(self._dialect), values)

    def add_deliveries(self, entry: OutboxEntry, receivers: Collection[str], now: datetime) -> None:
        """Add a copy of a notice for each receiver, which is `space/name`; none that is there already."""
        run = entry.run
        values = [
            {
                "id": f"{entry.id} {receiver}",
                "run_id": run.id,
                "status": run.status.value,
                "body": dump([run.reason, run.message, run.confirmed_by, moment_text(run.finished_at), receiver]),
                "at": rows.micros(entry.at),
                "due_at": rows.micros(now),
                "attempt": 0,
            }
            for receiver in receivers
        ]
        if values:
            self._connection.execute(statements.add_to_outbox(self._dialect), values)

    def claim_outbox(self, wanted: Sequence[OutboxEntry], now: datetime, lease: timedelta) -> list[OutboxEntry]:
        """Take these notices, as far as they are still due; nobody else can take them until the lease ends."""
        picked = select(outbox.c.id).where(self._among(wanted), outbox.c.due_at <= rows.micros(now))
        picked = picked.order_by(outbox.c.id)
        if self._dialect == POSTGRES:
            picked = picked.with_for_update(skip_locked=True)
        chosen = picked.cte("chosen")
        statement = (
            update(outbox)
            .where(outbox.c.id.in_(select(chosen.c.id)))
            .values(attempt=outbox.c.attempt + 1, due_at=rows.micros(now + lease))
            .returning(outbox.c.id)
        )
        taken = list(self._connection.execute(statement).scalars())
        return self._entries(_ENTRIES.where(among(self._connection, outbox.c.id, taken))) if taken else []

    def remove_from_outbox(self, done: Sequence[OutboxEntry]) -> set[str]:
        """Remove notices; returns the ids of those removed. One that another attempt has taken since stays."""
        removed: set[str] = set()
        for attempt in {entry.attempt for entry in done}:
            mine = [entry for entry in done if entry.attempt == attempt]
            statement = delete(outbox).where(self._among(mine), outbox.c.attempt == attempt).returning(outbox.c.id)
            removed.update(self._connection.execute(statement).scalars())
        return removed

    def postpone_outbox(self, entry: OutboxEntry, until: datetime) -> None:
        """Let a notice be due again later, unless another attempt has taken it since."""
        mine = (outbox.c.id == entry.id, outbox.c.attempt == entry.attempt)
        self._connection.execute(update(outbox).where(*mine).values(due_at=rows.micros(until)))

    def _among(self, entries: Collection[OutboxEntry]) -> Any:
        return among(self._connection, outbox.c.id, [entry.id for entry in entries])


def _entry(row: Row[Any]) -> OutboxEntry:
    """Read a notice: the run has gone on since, and the notice is about the status that it had."""
    reason, message, confirmed_by, finished_at, *receiver = load(row.body_then)
    run = rows.run_from_row(row).evolve(
        status=RunStatus(row.status_then),
        reason=reason,
        message=message,
        confirmed_by=confirmed_by,
        finished_at=moment(finished_at),
    )
    return OutboxEntry(row.entry, run, rows.instant(row.at), row.tries, *receiver)
