"""The queries of the store, in SQL.

`SqlStore.reading` hands an `SqlReading` to its caller for the time of one snapshot. `reconciler.store.protocol`
describes the methods.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, case, func, select, tuple_

from reconciler.core.runs import Run, RunId, RunStatus
from reconciler.core.state import ConditionStatus, ConditionType, Desired, StackState
from reconciler.core.verdicts import Judgement, Review
from reconciler.gauges import StackGauge
from reconciler.store import records, rows, statements, tables
from reconciler.store.access import AccessReading
from reconciler.store.admissions import AdmissionReading
from reconciler.store.announcements import AnnouncementReading
from reconciler.store.auditing import AuditReading
from reconciler.store.inventory import InventoryReading
from reconciler.store.issuing import IssuingReading
from reconciler.store.leases import LeaseReading
from reconciler.store.orders import OrderReading
from reconciler.store.outbox import OutboxReading
from reconciler.store.pins import PinReading
from reconciler.store.pools import PoolReading
from reconciler.store.queue import QueueReading
from reconciler.store.results import ResultReading
from reconciler.store.retention import RetentionReading
from reconciler.store.revisions import RevisionReading
from reconciler.store.rollouts import RolloutReading
from reconciler.store.selecting import (
    ACTIVE_STATUSES,
    POSTGRES,
    among,
    among_stacks,
    bind_ids,
    bind_stacks,
    is_stack,
    select_runs,
)
from reconciler.store.services import ServiceReading
from reconciler.store.stored import (
    ConfigurationState,
    RunFilter,
    StackCounts,
    StackFilter,
)
from reconciler.store.tables import runs, stacks
from reconciler.store.texts import dump, load, unpack
from reconciler.store.tfstates import TfstateReading
from reconciler.store.timers import TimerReading
from reconciler.store.todo import ToDoReading
from spaces.names import SpaceName, StackId

_REMEMBERED = statements.REMEMBERED
_CONDITION_COLUMNS = {ConditionType.READY: stacks.c.ready, ConditionType.STALLED: stacks.c.stalled}
_ROWS = 200
"""The rows that are processed at once where there may be very many."""


class SqlReading(
    AccessReading,
    AdmissionReading,
    AnnouncementReading,
    AuditReading,
    InventoryReading,
    IssuingReading,
    LeaseReading,
    OrderReading,
    OutboxReading,
    PoolReading,
    RolloutReading,
    PinReading,
    QueueReading,
    ResultReading,
    RetentionReading,
    RevisionReading,
    ServiceReading,
    TfstateReading,
    TimerReading,
    ToDoReading,
):
    """A `Reading` on one connection, inside a transaction that its maker ends."""

    def configuration(self) -> ConfigurationState:
        query = statements.CONFIGURATION_LOCKED if self._locks else statements.CONFIGURATION
        return records.configuration_from_json(load(self._connection.execute(query).scalar_one()))

    def stack(self, stack: StackId) -> StackState | None:
        query = self._locked(select(stacks).where(is_stack(stack), _REMEMBERED))
        row = self._connection.execute(query).one_or_none()
        return rows.stack_from_row(row) if row else None

    def stacks(self, wanted: Collection[StackId] | None = None) -> dict[StackId, StackState]:
        if wanted is None:
            query = self._locked(select(stacks).where(_REMEMBERED).order_by(stacks.c.space, stacks.c.name))
            result = self._connection.execute(query)
        else:
            query = statements.those_stacks(self._dialect, lock=self._locks)
            result = self._connection.execute(query, bind_stacks(self._dialect, wanted))
        states = map(rows.stack_from_row, result)
        return {state.id: state for state in states}

    def desired(self) -> dict[StackId, Desired]:
        columns: tuple[Any, ...] = (
            stacks.c.space,
            stacks.c.name,
            stacks.c.desired_digest,
            stacks.c.tool,
            stacks.c.body,
        )
        result = self._connection.execute(select(*columns).where(_REMEMBERED, stacks.c.in_git))
        return {
            StackId(space, name): rows.read_desired(digest, tool, body)
            for part in result.partitions(_ROWS)
            for space, name, digest, tool, body in part
        }

    def list_stacks(self, wanted: StackFilter, after: str | None, limit: int) -> list[StackState]:
        query = select(stacks).where(_REMEMBERED, *self._stack_conditions(wanted))
        query = query.order_by(stacks.c.space, stacks.c.name).limit(limit)
        page: list[StackState] = []
        while len(page) < limit:
            part = query
            if after is not None:
                space, _, name = after.partition("/")
                part = query.where(tuple_(stacks.c.space, stacks.c.name) > tuple_(space, name))
            candidates = [rows.stack_from_row(row) for row in self._connection.execute(part)]
            page += [state for state in candidates if _has_labels(state, wanted.labels or {})]
            if len(candidates) < limit:
                break
            after = str(candidates[-1].id)
        return page[:limit]

    def count_stacks(self) -> dict[tuple[SpaceName, str, str], StackCounts]:
        by = (stacks.c.space, stacks.c.tool, stacks.c.sync)
        met = [
            func.sum(case((column == ConditionStatus.TRUE.value, 1), else_=0))
            for column in (stacks.c.ready, stacks.c.stalled)
        ]
        query = select(*by, func.count(), *met).where(stacks.c.in_git).group_by(*by)
        found = self._connection.execute(query).all()
        return {(SpaceName(space), tool, sync): StackCounts(*counts) for space, tool, sync, *counts in found}

    def stack_gauges(self) -> list[StackGauge]:
        columns = (stacks.c.space, stacks.c.name, stacks.c.tool, stacks.c.sync, stacks.c.ready, stacks.c.resources)
        query = select(*columns, stacks.c.applied_at, stacks.c.drifted).where(_REMEMBERED, stacks.c.in_git)
        return [
            StackGauge(
                space,
                name,
                tool,
                sync,
                ready or ConditionStatus.UNKNOWN.value,
                resources if resources or applied_at is not None else None,
                applied_at / 1e6 if applied_at is not None else None,
                drifted,
            )
            for space, name, tool, sync, ready, resources, applied_at, drifted in self._connection.execute(query).all()
        ]

    def due_stacks(self, now: datetime, limit: int) -> list[StackState]:
        found = self._connection.execute(statements.DUE_STACKS, {"now": rows.micros(now), "most": limit})
        return [rows.stack_from_row(row) for row in found]

    def next_due(self) -> datetime | None:
        return rows.from_micros(self._connection.execute(statements.NEXT_DUE).scalar())

    def run(self, run: RunId) -> Run | None:
        query = statements.RUN_LOCKED if self._locks else statements.RUN
        row = self._connection.execute(query, {"of_run": run}).one_or_none()
        return rows.run_from_row(row) if row else None

    def standings(self, wanted: Collection[RunId]) -> dict[RunId, tuple[int, RunStatus]]:
        found = self._connection.execute(statements.standings(self._dialect), bind_ids(self._dialect, wanted))
        return {RunId(run): (attempt, RunStatus(status)) for run, attempt, status in found}

    def runs_by_id(self, wanted: Collection[RunId]) -> dict[RunId, Run]:
        query = statements.those_runs(self._dialect, lock=self._locks)
        found = self._connection.execute(query, bind_ids(self._dialect, wanted))
        return {run.id: run for run in map(rows.run_from_row, found)}

    def list_runs(self, wanted: RunFilter, before: str | None, limit: int) -> list[Run]:
        statuses = frozenset(wanted.statuses) if wanted.statuses is not None else None
        kinds = frozenset(wanted.kinds) if wanted.kinds is not None else None
        query = statements.newest_runs(statuses if wanted.stack is None else None, kinds)
        if wanted.labels:
            query = query.where(*_label_conditions(wanted.labels))
        if wanted.stack is not None:
            key = self._key(wanted.stack)
            if key is None:
                return []
            query = query.where(runs.c.stack_id == key)
            if statuses is not None:
                # Not the bare column: SQLite would go through all runs of one status, not through those of the stack.
                query = query.where(func.coalesce(runs.c.status, "").in_(sorted(statuses)))
        if wanted.spaces is not None:
            query = query.where(among(self._connection, stacks.c.space, wanted.spaces))
        if wanted.ending is not None:
            query = query.where(runs.c.id.endswith(wanted.ending, autoescape=True))
        page: list[Run] = []
        while len(page) < limit:
            part = query if before is None else query.where(runs.c.id < before)
            if wanted.spaces is not None:
                # Found by their ids alone: SQLite would sort all runs of these spaces with everything in them.
                ids = part.with_only_columns(runs.c.id)
                part = select_runs().where(runs.c.id.in_(ids)).order_by(runs.c.id.desc())
            candidates = [rows.run_from_row(row) for row in self._connection.execute(part, {"most": limit})]
            page += self._labelled(candidates, wanted.labels) if wanted.labels else candidates
            if len(candidates) < limit:
                break
            before = candidates[-1].id
        return page[:limit]

    def _labelled(self, candidates: Sequence[Run], labels: Mapping[str, str]) -> list[Run]:
        states = self.peek({run.stack for run in candidates})
        return [run for run in candidates if run.stack in states and _has_labels(states[run.stack], labels)]

    def active_runs(self, stacks: Collection[StackId] | None = None) -> list[Run]:
        dialect, values = None if stacks is None else self._dialect, dict[str, Any]()
        if stacks is not None:
            # PostgreSQL by their keys: as long as it has not counted the rows of a new table, it would join each active
            # run with each of the stacks.
            of_keys = dialect == POSTGRES
            values = {"wanted": [*self._find_keys(stacks).values()]} if of_keys else bind_stacks(self._dialect, stacks)
        return [rows.run_from_row(row) for row in self._connection.execute(statements.active_runs(dialect), values)]

    def active_statuses(self) -> dict[RunId, tuple[str, str]]:
        query = select(runs.c.id, stacks.c.space, stacks.c.name, runs.c.status)
        query = query.join(stacks, stacks.c.id == runs.c.stack_id).where(runs.c.status.in_(ACTIVE_STATUSES))
        found = self._connection.execute(query)
        return {RunId(run): (f"{space}/{name}", status) for run, space, name, status in found}

    def last_runs(self, stacks: Collection[StackId]) -> dict[StackId, Run]:
        table, others = tables.stacks.alias(), runs.alias()
        newest = select(func.max(others.c.id)).where(others.c.stack_id == table.c.id).scalar_subquery()
        wanted = select(newest).select_from(table).where(among_stacks(self._dialect, table.c.id))
        query = select_runs().where(runs.c.id.in_(wanted))
        found = self._connection.execute(query, bind_stacks(self._dialect, stacks))
        return {run.stack: run for run in map(rows.run_from_row, found)}

    def judgement(self, run: RunId) -> Judgement | None:
        query = select(tables.judgements.c.body).where(tables.judgements.c.run_id == run)
        body = self._connection.execute(query).scalar()
        return None if body is None else records.judgement_from_json(load(unpack(body).decode()))

    def reviews(self, run: RunId) -> list[Review]:
        table = tables.reviews
        query = select(table).where(table.c.run_id == run).order_by(table.c.at, table.c.person)
        return [
            Review(row.person, row.approves, row.note, rows.instant(row.at)) for row in self._connection.execute(query)
        ]

    def log(self, run: RunId) -> bytes | None:
        body = self._connection.execute(select(tables.logs.c.body).where(tables.logs.c.run_id == run)).scalar()
        return None if body is None else unpack(body)

    def _stack_conditions(self, wanted: StackFilter) -> Iterator[ColumnElement[bool]]:
        if wanted.spaces is not None:
            yield among(self._connection, stacks.c.space, wanted.spaces)
        if wanted.sync is not None:
            yield stacks.c.sync == wanted.sync.value
        if wanted.tool is not None:
            yield stacks.c.tool == wanted.tool
        if wanted.drifted is not None:
            found = stacks.c.drifted > 0
            yield found if wanted.drifted else func.coalesce(stacks.c.drifted, 0) == 0
        if wanted.in_git is not None:
            yield stacks.c.in_git if wanted.in_git else ~stacks.c.in_git
        for condition, status in (wanted.conditions or {}).items():
            yield _has_condition(condition, status)
        if wanted.text:
            yield (stacks.c.space + "/" + stacks.c.name).contains(wanted.text.lower(), autoescape=True)
        yield from _label_conditions(wanted.labels)


def _has_condition(wanted: ConditionType, status: ConditionStatus) -> ColumnElement[bool]:
    if wanted in _CONDITION_COLUMNS:
        return _CONDITION_COLUMNS[wanted] == status.value
    # Quotation marks in names and messages are escaped in JSON, so nothing else reads like this.
    return stacks.c.body.contains(f'"{wanted.value}":["{status.value}",', autoescape=True)


def _label_conditions(labels: Mapping[str, str] | None) -> Iterator[ColumnElement[bool]]:
    for key, value in (labels or {}).items():
        # Only a first filter, because it searches the whole text: the lists check the labels themselves.
        yield stacks.c.body.contains(dump({key: value})[1:-1], autoescape=True)


def _has_labels(state: StackState, wanted: Mapping[str, str]) -> bool:
    labels = state.desired.labels if state.desired else {}
    return all(labels.get(key) == value for key, value in wanted.items())
