"""The changes of the store, in SQL, inside one transaction.

`SqlStore.writing` hands an `SqlTransaction` to its caller and commits it at the end of the block.
`reconciler.store.protocol` describes the methods. Two rules keep services from deadlock and from each other's runs:
rows are always locked in the same order, and a run is written only by the attempt that holds it (`put_run`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import and_, delete, update

from reconciler.core.runs import Run, RunId
from reconciler.core.state import StackState
from reconciler.core.verdicts import Judgement, Review
from reconciler.store import records, rows, statements, tables
from reconciler.store.access import AccessWriting
from reconciler.store.admissions import AdmissionWriting
from reconciler.store.announcements import AnnouncementWriting
from reconciler.store.answers import AnswerWriting
from reconciler.store.auditing import AuditWriting
from reconciler.store.dependencies import DependencyWriting
from reconciler.store.issuing import IssuingWriting
from reconciler.store.leases import LeaseWriting
from reconciler.store.orders import OrderWriting
from reconciler.store.outbox import OutboxWriting
from reconciler.store.pins import PinWriting
from reconciler.store.pools import PoolWriting
from reconciler.store.queue import QueueWriting
from reconciler.store.reading import SqlReading
from reconciler.store.results import ResultWriting
from reconciler.store.retention import RetentionWriting
from reconciler.store.rollouts import RolloutWriting
from reconciler.store.selecting import (
    AT_WORK_STATUSES,
    is_stack,
    select_runs,
)
from reconciler.store.services import ServiceWriting
from reconciler.store.stored import (
    ConfigurationState,
    LostLease,
)
from reconciler.store.tables import runs, stacks
from reconciler.store.texts import cleaned, dump
from reconciler.store.tfstates import TfstateWriting
from reconciler.store.timers import TimerWriting
from spaces.names import StackId

_PROBE = "-"
"""No key's id: those are in hex."""


class SqlTransaction(
    AccessWriting,
    AdmissionWriting,
    AnnouncementWriting,
    AnswerWriting,
    AuditWriting,
    DependencyWriting,
    IssuingWriting,
    LeaseWriting,
    OrderWriting,
    OutboxWriting,
    PinWriting,
    PoolWriting,
    QueueWriting,
    ResultWriting,
    RetentionWriting,
    RolloutWriting,
    ServiceWriting,
    TfstateWriting,
    TimerWriting,
    SqlReading,
):
    """A `Transaction` on one connection. Its maker commits it or rolls it back."""

    def put_configuration(self, state: ConfigurationState) -> None:
        body = dump(records.configuration_to_json(state))
        self._connection.execute(statements.PUT_CONFIGURATION, {"body": body})

    def put_stacks(self, stacks: Iterable[StackState]) -> None:
        # Always in the same order, so that two services that write the same stacks do not deadlock.
        values = [rows.stack_to_row(state) for state in sorted(stacks, key=lambda state: state.id)]
        if values:
            self._connection.execute(statements.put_stacks(self._dialect), values)

    def move_stack(self, old: StackId, new: StackId) -> None:
        if old == new or self._key(old) is None:
            return
        if (taken := self._key(new)) is not None:
            aside = update(stacks).where(stacks.c.id == taken, stacks.c.body.is_(None))
            if self._connection.execute(aside.values(name=f"{new.name}~{taken}")).rowcount != 1:
                raise ValueError(f"{old} cannot be renamed to {new}: that name is taken")
        self._connection.execute(update(stacks).where(is_stack(old)).values(space=new.space, name=new.name))
        self._move_in_line(new)

    def forget_stack(self, stack: StackId, name: str) -> None:
        key = self._key(stack)
        if key is None:
            return
        for table in (tables.resources, tables.outputs, tables.timers, tables.pins):
            self._connection.execute(delete(table).where(table.c.stack_id == key))
        nothing = {
            "in_git": False,
            "tool": None,
            "sync": None,
            "due_at": None,
            "drifted": None,
            "resources": 0,
            "applied_at": None,
            "rollout": None,
            "rollout_part": None,
            "body": None,
        }
        self._connection.execute(update(stacks).where(stacks.c.id == key).values(name=name, **nothing))

    def add_runs(self, runs: Sequence[Run]) -> list[RunId]:
        if not runs:
            return []
        keys = self._keys_of({run.stack for run in runs})
        values = [rows.run_to_row(run) | {"stack_id": keys[run.stack]} for run in runs]
        values.sort(key=lambda value: value["stack_id"])
        inserted = set(self._connection.execute(statements.add_runs(self._dialect), values).scalars())
        return [run.id for run in runs if run.id in inserted]

    def put_runs(self, runs: Sequence[Run]) -> None:
        values = [_changed_row(run) for run in sorted(runs, key=lambda run: run.id)]
        if values and self._connection.execute(statements.PUT_RUN, values).rowcount != len(values):
            which = f"attempt {runs[0].attempt} no longer holds run {runs[0].id}"
            raise LostLease(which if len(runs) == 1 else f"one of {len(runs)} runs is not held any more")

    def put_run(self, run: Run) -> None:
        self.put_runs([run])

    def note_run(self, run: RunId, attempt: int, message: str) -> None:
        at_work = and_(runs.c.id == run, runs.c.attempt == attempt, runs.c.status.in_(AT_WORK_STATUSES))
        # The lock, on a database that has any: nothing that somebody writes meanwhile may be lost.
        row = self._connection.execute(select_runs().where(at_work).with_for_update(of=runs)).one_or_none()
        if row is not None:
            self.put_run(replace(rows.run_from_row(row), message=message))

    def renew(self, holder: str, now: datetime, lease: timedelta) -> None:
        held = and_(runs.c.holder == holder, runs.c.status.in_(AT_WORK_STATUSES))
        self._connection.execute(update(runs).where(held).values(lease_until=rows.micros(now + lease)))

    def try_writing(self) -> None:
        """Write something that leaves nothing behind: it fails where the database takes no writes."""
        # SQLite writes nothing for a row that stays as it was; for one that comes and goes it does.
        self._connection.execute(self._insert(tables.sealing_keys).on_conflict_do_nothing(), {"id": _PROBE})
        self._connection.execute(delete(tables.sealing_keys).where(tables.sealing_keys.c.id == _PROBE))

    def record_judgement(self, run: RunId, judgement: Judgement) -> None:
        self._replace(tables.judgements, {run: dump(records.judgement_to_json(judgement)).encode()})

    def put_review(self, run: RunId, review: Review) -> None:
        values = {
            "run_id": run,
            "person": review.person,
            "approves": review.approves,
            "note": cleaned(review.note),
            "at": rows.micros(review.at),
        }
        statement = self._insert(tables.reviews)
        changed = {name: statement.excluded[name] for name in ("approves", "note", "at")}
        self._connection.execute(
            statement.on_conflict_do_update(index_elements=["run_id", "person"], set_=changed), values
        )

    def record_logs(self, logs: Mapping[RunId, bytes]) -> None:
        self._replace(tables.logs, logs)


def _changed_row(run: Run) -> dict[str, Any]:
    values = rows.run_to_row(run)
    return values | {"of_run": values.pop("id"), "of_attempt": values.pop("attempt"), "new_status": run.status.value}
