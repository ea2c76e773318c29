"""What is old is forgotten, and never what was applied last."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from reconciler.core.results import Planned
from reconciler.core.runs import RunStatus
from reconciler.loop.runs.retention import Retention
from reconciler.settings import Settings
from reconciler.store.sql import SqlStore
from tests.factories import NOW, a_run, a_run_id, a_stack, a_stack_id, an_applied, an_outcome, later

STACK, OTHER = a_stack_id("a/one"), a_stack_id("b/two")


def test_what_is_old_is_forgotten_and_never_what_was_applied_last(store: SqlStore, tmp_path: Path) -> None:
    def ran(stack, day: int, status: RunStatus = RunStatus.FINISHED):
        at = NOW + timedelta(days=day)
        run = a_run(stack, id=a_run_id(at), status=status, finished_at=None if status is RunStatus.QUEUED else at)
        with store.writing() as transaction:
            assert transaction.add_runs([run]) == [run.id]
            transaction.record_plans({run.id: Planned(has_changes=False)})
        return run.id

    old, applied, looked, failed, fresh = (
        ran(STACK, 0),
        ran(STACK, 1),
        ran(STACK, 2, RunStatus.DISCARDED),
        ran(STACK, 3, RunStatus.FAILED),
        ran(STACK, 95, RunStatus.FAILED),
    )
    alone, queued = ran(OTHER, 0), ran(OTHER, 1, RunStatus.QUEUED)
    with store.writing() as transaction:
        state = a_stack(
            STACK, applied=an_applied(run=applied), last=an_outcome(run=fresh), failed=an_outcome(run=failed)
        )
        transaction.put_stacks([state])
        for number in range(5):
            transaction.add_tfstate(STACK, b'{"serial": %d}' % number, None, NOW)
        transaction.add_tfstate(STACK, b"{}", None, NOW, unit="net")
        transaction.add_tfstate(OTHER, b"{}", None, NOW)
    now = NOW + timedelta(days=100)
    Retention(store, Settings(data_dir=tmp_path)).step(now)
    with store.reading() as reading:
        assert len(reading.ended_runs(now, "", 10)) == 6, "without a setting everything stays"
    kept = Settings(data_dir=tmp_path, run_retention=10, tfstate_versions=2)
    retention = Retention(store, kept)
    assert retention.step(now)
    assert not retention.step(later(60, now)), "it looks once an hour"
    with store.reading() as reading:
        there = {run for run in (old, applied, looked, failed, fresh, alone, queued) if reading.run(run) is not None}
        assert there == {applied, failed, fresh, alone, queued}
        assert reading.planned(old) is None
        assert [each.version for each in reading.tfstate_versions(STACK, None, 10)] == [6, 5, 4]
        assert [each.unit for each in reading.tfstate_versions(STACK, None, 10)] == ["net", "", ""]
        assert reading.tfstate(OTHER) is not None
