"""Worker pools of the local engine: how many runs are at work in one, and what a drained one leaves in the queue."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest

from reconciler.core.queue import PoolLimits
from reconciler.core.runs import RunStatus
from reconciler.core.timers import Purpose, Timer
from reconciler.loop.runs.pools import CheckRoom
from reconciler.loop.service import utc_now
from reconciler.store.pools import Drained
from reconciler.web.gauges import read_gauges
from spaces.names import StackId
from tests.e2e.station import Repo, a_script, document, lines
from tests.factories import a_run
from tests.integration.loop.machine import Machine

POOL = document("WorkerPool", "one", {"engine": "local", "maxParallel": 1, "driftParallel": 1})


def test_a_pool_of_one_runs_one_after_the_other(repo: Repo, machine: Machine, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    alone = f"mkdir {tmp_path}/busy || echo two >> {seen}; echo $STATION_RUN_ID >> {seen}; rmdir {tmp_path}/busy"
    stacks = {f"{name}.yaml": a_script(name, alone, workerPool="one") for name in "abcd"}
    repo.commit({"p.yaml": POOL, **stacks, "e.yaml": a_script("e", "true")})
    look = machine.reconcile()
    assert set(look.ran.values()) == {"finished"}
    assert len(lines(seen)) == 4
    assert "two" not in lines(seen)
    assert {str(run.stack): run.pool for run in look.runs} == dict.fromkeys(
        [f"root/{name}" for name in "abcd"], "root/one"
    ) | {"root/e": "default"}


def test_a_drained_pool_keeps_its_runs_until_it_is_resumed_or_they_leave_it(repo: Repo, machine: Machine) -> None:
    store = machine.service.store
    repo.commit({"p.yaml": POOL, "a.yaml": a_script("a", "true", workerPool="one"), "b.yaml": a_script("b", "true")})
    with store.writing() as transaction:
        transaction.drain_pool("root/one", Drained("ada", utc_now()))
    assert machine.reconcile().ran == {"root/a": "queued", "root/b": "finished"}
    gauges = read_gauges(store, "me", utc_now(), ["root/one", "root/other"])
    assert gauges is not None
    assert gauges.queue_depth == {"default": 0, "root/one": 1, "root/other": 0}
    repo.commit({"a.yaml": a_script("a", "true")})
    look = machine.reconcile()
    assert [(str(run.stack), run.status, run.pool) for run in look.runs] == [("root/a", RunStatus.FINISHED, "default")]
    repo.commit({"a.yaml": a_script("a", "true # anew", workerPool="one")})
    assert machine.reconcile().ran == {"root/a": "queued"}
    with store.writing() as transaction:
        transaction.resume_pool("root/one")
    assert machine.reconcile().ran == {"root/a": "finished"}


def test_checks_of_a_full_pool_keep_none_of_another_from_being_queued(repo: Repo, machine: Machine) -> None:
    store = machine.service.store
    drift = {"schedules": ["0 0 1 1 *"]}
    repo.commit(
        {"p.yaml": POOL, "e.yaml": a_script("e", "true", drift=drift)}
        | {f"{name}.yaml": a_script(name, "true", drift=drift, workerPool="one") for name in "abcd"}
    )
    machine.reconcile()
    past = utc_now() - timedelta(minutes=1)
    with store.writing() as transaction:
        due = [Timer(StackId.parse(f"root/{name}"), Purpose.DRIFT, past, name, past) for name in "abcde"]
        transaction.put_timers(due)
        transaction.drain_pool("root/one", Drained("ada", utc_now()))
    assert machine.reconcile().ran == {"root/e": "finished"}
    with store.writing() as transaction:
        transaction.resume_pool("root/one")
    assert machine.reconcile().ran == dict.fromkeys([f"root/{name}" for name in "abcd"], "finished")


@pytest.mark.parametrize(
    ("limits", "open_"),
    [
        (PoolLimits(), True),
        (PoolLimits(most=1), False),
        (PoolLimits(most=1, most_checks=2), True),
        (PoolLimits(most_checks=1), False),
        (PoolLimits(drained=True), False),
    ],
)
def test_the_room_for_checks(limits: PoolLimits, open_: bool) -> None:  # noqa: FBT001
    room = CheckRoom({"a/b": limits}, [a_run(pool="a/b")])
    assert (room.is_open("a/b"), room.closed) == (open_, set() if open_ else {"a/b"})
    room.take("a/b")
    assert room.is_open("other")


def test_a_destruction_does_not_run_elsewhere_when_its_pool_has_left(repo: Repo, machine: Machine) -> None:
    repo.commit({"p.yaml": POOL, "a.yaml": a_script("a", "true", destroy="true", onDelete="destroy", workerPool="one")})
    machine.reconcile()
    repo.commit({"p.yaml": None, "a.yaml": None, "b.yaml": a_script("b", "true")})
    look = machine.reconcile()
    (run,) = (run for run in look.runs if str(run.stack) == "root/a")
    assert (run.status, run.reason) == (RunStatus.FAILED, "PoolMissing"), json.dumps(look.problems)
    assert "root/one is not in force" in run.message


def test_a_pool_without_a_worker_keeps_its_runs_and_nobody_waiting(repo: Repo, machine: Machine) -> None:
    drift = {"schedules": ["0 0 1 1 *"]}
    far = document("WorkerPool", "far", {"engine": "pull"})
    repo.commit({"p.yaml": far, "a.yaml": a_script("a", "true", workerPool="far"), "b.yaml": a_script("b", "true")})
    assert machine.reconcile().ran == {"root/a": "queued", "root/b": "finished"}
    assert machine.service.loop.dispatcher.workers()["root/far", "idle"] == 0
    repo.commit({"b.yaml": a_script("b", "true", drift=drift, workerPool="far")})
    machine.reconcile()
    past = utc_now() - timedelta(minutes=1)
    with machine.service.store.writing() as transaction:
        transaction.put_timers([Timer(StackId.parse("root/b"), Purpose.DRIFT, past, "x", past)])
    assert machine.reconcile().ran == {"root/a": "queued"}, "no check is queued that nobody does"


def test_a_pool_that_a_stack_was_taken_out_of_applies_nothing_of_it(repo: Repo, machine: Machine, ran: Path) -> None:
    stack = {"autodeploy": False}
    repo.commit({"p.yaml": POOL, "a.yaml": a_script("a", f"echo one >> {ran}", workerPool="one", **stack)})
    assert machine.reconcile().ran == {"root/a": "unconfirmed"}
    repo.commit({"a.yaml": a_script("a", f"echo one >> {ran}", **stack)})
    look = machine.reconcile()
    assert [(run.status, run.pool) for run in look.runs] == [("superseded", "root/one"), ("unconfirmed", "default")]
    machine.confirm("root/a")
    assert machine.reconcile().ran == {"root/a": "finished"}
    assert lines(ran) == ["one"]
