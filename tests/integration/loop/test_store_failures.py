"""A store that fails, or takes some things and not others."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from reconciler import bootstrap
from reconciler.core.phases import Leg, Phase
from reconciler.core.runs import RunId, RunStatus
from reconciler.engine.base import Ending, LegReport
from reconciler.loop import concern
from reconciler.loop.desired.follower import Follower
from reconciler.loop.runs import leases
from reconciler.loop.runs.dispatch import Dispatcher
from reconciler.loop.runs.record import Recorder
from reconciler.loop.watch import Watcher
from reconciler.store.sql import open_store
from reconciler.store.stored import StoreError
from reconciler.store.writing import SqlTransaction
from tests.e2e.station import Repo, a_script, eventually
from tests.integration.loop.machine import Machine


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(concern, "_LONGEST", 1.0)


@contextmanager
def _running(machine: Machine) -> Iterator[None]:
    loop = machine.service.loop
    worker = threading.Thread(target=loop.run)
    worker.start()
    try:
        yield
    finally:
        loop.stop()
        worker.join()


@pytest.mark.parametrize(
    ("error", "brief"),
    [(StoreError("too much for the database"), "the database cannot be used"), (ValueError("a bug"), None)],
    ids=["the store", "a bug"],
)
def test_an_end_that_cannot_be_recorded_keeps_no_other_back(
    repo: Repo, machine: Machine, monkeypatch: pytest.MonkeyPatch, *, error: Exception, brief: str | None
) -> None:
    repo.commit({name + ".yaml": a_script(name, f"echo {name}") for name in "abc"})
    take_in, broken = Recorder.take_in, True

    def taking_in(self: Recorder, ends: Any, now: datetime, **asked: bool) -> Any:
        for report, _ in ends:
            with self.store.reading() as reading:
                run = reading.run(RunId(report.run))
            if broken and run is not None and run.stack.name == "a" and report.leg == "apply":
                raise error
        return take_in(self, ends, now, **asked)

    monkeypatch.setattr(Recorder, "take_in", taking_in)
    with _running(machine):
        eventually(lambda: sorted(machine.look().sync.values()) == ["OutOfSync", "Synced", "Synced"])
        repo.commit({"d.yaml": a_script("d", "true")})
        eventually(lambda: machine.look().sync.get("root/d") == "Synced")
        assert machine.service.loop.brief == brief
        broken = False
        eventually(lambda: set(machine.look().sync.values()) == {"Synced"})
        eventually(lambda: machine.service.loop.brief is None)


def test_what_follows_for_one_run_and_fails_keeps_no_other_stack_back(
    repo: Repo, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo.commit({"a.yaml": a_script("a", "true", autodeploy=False)})
    machine.reconcile()
    tidy, broken = Recorder.tidy, True

    def tidying(self: Recorder, ended: Any, now: Any) -> None:
        if broken and any(run.stack.name == "a" for run in ended):
            raise ValueError("a bug")
        tidy(self, ended, now)

    monkeypatch.setattr(Recorder, "tidy", tidying)
    with _running(machine):
        repo.commit({"a.yaml": a_script("a", "echo other", autodeploy=False), "b.yaml": a_script("b", "true")})
        eventually(lambda: machine.look().sync.get("root/b") == "Synced")
        broken = False
        eventually(lambda: not machine.service.loop.decisions.todo)


def test_room_is_made_before_an_end_is_recorded(repo: Repo, machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    repo.commit({"a.yaml": a_script("a", "echo x > $TMPDIR/x; exit 1")})
    take_in, left = Recorder.take_in, {}

    def taking_in(self: Recorder, ends: Any, now: Any, **asked: bool) -> Any:
        for report, _ in ends:
            root = self.engine.log_path(report.run).parent
            left[str(report.leg)] = {path.name for path in root.iterdir()}
        return take_in(self, ends, now, **asked)

    monkeypatch.setattr(Recorder, "take_in", taking_in)
    machine.reconcile()
    assert {"work", "home", "tmp", "scratch", "plan-1.exit.json"} <= left["plan"]
    assert not {"work", "home", "tmp", "scratch"} & left["apply"]
    assert {"log", "apply-1.exit.json", "planned.json"} <= left["apply"]


def test_what_could_not_be_put_away_is_put_away_later(
    repo: Repo, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo.commit({"a.yaml": a_script("a", "echo said"), "b.yaml": a_script("b", "true", autodeploy=False)})
    with monkeypatch.context() as patched:

        def full(*_: Any) -> None:
            raise StoreError("the disk is full")

        patched.setattr(SqlTransaction, "record_logs", full)
        machine.reconcile()
    runs = machine.settings.data_dir / "runs"
    a, b = machine.run_of("root/a", RunStatus.FINISHED), machine.run_of("root/b", RunStatus.UNCONFIRMED)
    assert "said" in (runs / a.id / "log").read_text()
    machine.restart()
    assert "said" in machine.log(a)
    assert not (runs / a.id).exists()
    assert (runs / b.id / "work").exists()
    machine.confirm("root/b")
    machine.reconcile()
    assert machine.look().sync == {"root/a": "Synced", "root/b": "Synced"}


def test_a_database_that_another_process_holds_makes_it_not_ready_until_it_is_free(
    repo: Repo, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Nobody waits ten seconds here for a lock that stays.
    monkeypatch.setattr(bootstrap, "open_store", lambda url, keys: open_store(url, keys, timedelta(seconds=0.1)))
    monkeypatch.setattr(leases, "LEASE", timedelta(seconds=6))
    repo.commit({"a.yaml": a_script("a", "true")})
    machine.reconcile()
    loop = machine.service.loop
    path = Path(machine.settings.database.removeprefix("sqlite:///"))
    with _running(machine), closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        eventually(lambda: loop.brief == "the database is locked by another process", 40)
        other.execute("ROLLBACK")
        eventually(lambda: loop.brief is None, 40)


def test_what_cannot_be_taken_in_keeps_no_run_waiting(
    repo: Repo, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo.commit({"a.yaml": a_script("a", "true", autodeploy=False)})
    machine.reconcile()
    monkeypatch.setattr(concern, "_LONGEST", 60.0)
    failed = []

    def fail(*_: Any) -> bool:
        failed.append(1)
        raise ValueError("a fault that one commit brings to light")

    with monkeypatch.context() as patched:
        patched.setattr(Follower, "advance", fail)
        with _running(machine):
            eventually(lambda: len(failed) >= 4)
            machine.confirm("root/a")
            machine.service.loop.wake()
            eventually(lambda: machine.look().sync == {"root/a": "Synced"}, 5)


def test_a_loop_whose_waiting_fails_rests_and_goes_on(
    repo: Repo, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo.commit({"a.yaml": a_script("a", "true")})
    passes = []
    loop = machine.service.loop

    def fail(*_: Any) -> float:
        passes.append(1)
        raise ValueError("a bug")

    with monkeypatch.context() as patched:
        patched.setattr(Watcher, "pause", fail)
        with _running(machine):
            eventually(lambda: machine.look().sync == {"root/a": "Synced"})
    assert len(passes) < 20
    assert loop.brief is None


def test_ends_that_wait_for_the_store_do_not_keep_the_loop_busy(
    repo: Repo, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(concern, "_FIRST", 20.0)
    monkeypatch.setattr(concern, "_LONGEST", 20.0)
    repo.commit({"a.yaml": a_script("a", "true")})
    passes, loop = [], machine.service.loop
    claim = Dispatcher.claim

    def claiming(self: Dispatcher, now: Any) -> int:
        passes.append(1)
        return claim(self, now)

    def fail(*_: Any) -> Any:
        raise StoreError("the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(Recorder, "take_in", fail)
        with _running(machine):
            eventually(lambda: loop.brief is not None)
            another = LegReport("another", 1, Leg.PLAN, Ending.LOST, "RunnerDied", "", Phase.PLAN)
            loop.ends.add([another])
            time.sleep(1.5)
            assert loop.ends.about == {"another"}, "recording pauses"
            passes.clear()
            patched.setattr(Dispatcher, "claim", claiming)
            time.sleep(1.5)
    # Polls every 0.1 s and their fetches wake it; a busy loop makes thousands of passes.
    assert len(passes) < 150
