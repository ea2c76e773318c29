"""Whether there is anything to do for the concerns of the loop: one question for all of them, in place of one for each.

Each pass asks, and nearly always the answer is no. What there is to do then, each concern asks for itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, TextClause, bindparam, exists, or_, select, text

from reconciler.core.runs import RunStatus
from reconciler.core.timers import CLOCKS_APART, Purpose
from reconciler.store import rows
from reconciler.store.bases import ReadingBase
from reconciler.store.outbox import FOR_A_RECEIVER
from reconciler.store.rollouts import WAITING_PARTS
from reconciler.store.selecting import AT_WORK_STATUSES
from reconciler.store.tables import LOOKING, announcements, audit_head, outbox, runs, stacks, timers


@dataclass(frozen=True, slots=True)
class ToDo:
    """Whether there is anything of each kind, at one moment. Where it says no, nobody needs to ask the store for it."""

    due_stacks: bool
    rollouts: bool
    """Whether a stack waits in a rollout."""
    schedules: bool
    """Whether a timer of a run or task is due, or was set while the clock was ahead."""
    drift: bool
    """Whether a timer of a drift check is due, in the same sense."""
    looking: bool
    """Whether a run that only looks is active."""
    queued: bool
    at_work: bool
    notices: bool
    """Whether a notice about a run is due, for policies."""
    deliveries: bool
    """Whether the copy of a notice for one notifier is due."""
    announcements: bool
    audit: int
    """The number of the newest row of the audit."""


_NOW: ColumnElement[int] = bindparam("now")
_AHEAD: ColumnElement[int] = bindparam("ahead")


def _any_run(condition: ColumnElement[bool] | TextClause) -> Any:
    return exists(runs.c.id).where(condition)


def _any_timer(*purposes: str) -> Any:
    # Two questions, each of which has an index.
    theirs = exists(timers.c.at).where(timers.c.purpose.in_(purposes))
    return or_(theirs.where(timers.c.at <= _NOW), theirs.where(timers.c.set_at > _AHEAD))


_QUESTION = select(
    exists(stacks.c.id).where(stacks.c.due_at <= _NOW).label("due_stacks"),
    exists(stacks.c.id).where(stacks.c.rollout_part.in_(WAITING_PARTS)).label("rollouts"),
    _any_timer(Purpose.RUN.value, Purpose.TASK.value).label("schedules"),
    _any_timer(Purpose.DRIFT.value).label("drift"),
    _any_run(text(LOOKING)).label("looking"),
    _any_run(runs.c.status == RunStatus.QUEUED.value).label("queued"),
    _any_run(runs.c.status.in_(AT_WORK_STATUSES)).label("at_work"),
    exists(outbox.c.id).where(outbox.c.due_at <= _NOW, ~FOR_A_RECEIVER).label("notices"),
    exists(outbox.c.id).where(outbox.c.due_at <= _NOW, FOR_A_RECEIVER).label("deliveries"),
    exists(announcements.c.id).where(announcements.c.due_at <= _NOW).label("announcements"),
    select(audit_head.c.number).scalar_subquery().label("audit"),
)


class ToDoReading(ReadingBase):
    """The question about all of it, for a `Reading`."""

    def to_do(self, now: datetime) -> ToDo:
        """Return what there is to do."""
        values = {"now": rows.micros(now), "ahead": rows.micros(now + CLOCKS_APART)}
        return ToDo(**self._connection.execute(_QUESTION, values).mappings().one())
