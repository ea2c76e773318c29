"""Ends of runs as they are recorded: many at once while another service writes the same stacks, and failed ones."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

from sqlalchemy import text

from reconciler.core.phases import Leg, Phase
from reconciler.core.results import Applied, Output
from reconciler.core.runs import Run, RunStatus
from reconciler.engine.base import Ending, LegReport
from reconciler.loop.runs.record import Recorder
from reconciler.store.encryption import Keys
from reconciler.store.sql import SqlStore, open_store
from tests.e2e.station import eventually
from tests.factories import NOW, a_run, a_stack, a_stack_id, record_results

A, B = a_stack_id("a/one"), a_stack_id("b/two")


def waits_for_a_lock(store: SqlStore) -> bool:
    with store._readers.begin() as connection:
        return bool(connection.execute(text("SELECT count(*) FROM pg_locks WHERE NOT granted")).scalar_one())


def failed(run: Run) -> LegReport:
    return LegReport(run.id, run.attempt, Leg.PLAN, Ending.FAILED, "ToolFailed", "m", Phase.PLAN)


def test_ends_lock_their_stacks_in_one_order_whatever_theirs_is(postgres_url: str, tmp_path: Path) -> None:
    nothing: Any = None
    store = open_store(postgres_url, Keys.load_or_create(tmp_path / "keys"))
    runs = [a_run(stack, status=RunStatus.PLANNING, attempt=1) for stack in (B, A)]
    with store.writing() as transaction:
        transaction.put_stacks([a_stack("a/one"), a_stack("b/two")])
        transaction.add_runs(runs)
    recorder = Recorder(store, nothing, nothing, nothing, nothing)
    with ThreadPoolExecutor(1) as pool:
        with store.writing() as other:
            other.stacks([A])
            taking = pool.submit(recorder.take_in, [(failed(run), None) for run in runs], NOW)
            eventually(lambda: waits_for_a_lock(store))
            assert set(other.stacks([B])) == {B}, "whoever waits for the first stack has none behind it"
        ended = [each.step.step.run.status for each in taking.result() if each.step is not None]
    assert ended == [RunStatus.FAILED] * 2
    store.close()


def test_what_a_failed_apply_says_of_outputs_counts_and_it_need_not_say_all(tmp_path: Path) -> None:
    nothing: Any = None
    store = open_store(f"sqlite:///{tmp_path}/store.db", Keys.load_or_create(tmp_path / "keys"))
    run = a_run(A, status=RunStatus.APPLYING, attempt=1)
    with store.writing() as transaction:
        transaction.put_stacks([a_stack(A)])
        transaction.add_runs([run])
        record_results(transaction, A, (), [Output("by_tool", 1), Output("by_hook", "a")])
    applied = Applied((), (Output("by_tool", 2), Output("more", 3)))
    report = replace(failed(run), leg=Leg.APPLY, reason="HookFailed", phase=Phase.APPLY, applied=applied)
    Recorder(store, nothing, nothing, nothing, nothing).take_in([(report, None)], NOW)
    with store.reading() as reading:
        assert {output.name: output.value for output in reading.outputs(A)} == {"by_tool": 2, "by_hook": "a", "more": 3}
    store.close()
