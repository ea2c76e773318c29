"""Drift checks: on schedule and by request, what follows from them, and what they never get in the way of."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from reconciler import locks, operations
from reconciler.core.runs import Run, RunKind, RunStatus
from reconciler.core.timers import Purpose, Timer
from reconciler.loop.service import utc_now
from reconciler.refusals import OperationRefused
from spaces.names import StackId
from tests.e2e.station import Repo, a_script, a_terraform, lines
from tests.integration.loop.machine import Machine
from tests.needs import needs

HOURLY = {"schedules": ["0 * * * *"]}


@pytest.fixture
def world(tmp_path: Path) -> Path:
    """The real thing that the scripts here keep."""
    return tmp_path / "world"


def keeps(name: str, world: Path, value: str = "v1", **spec: Any) -> str:
    """Write a stack that keeps a file at a value."""
    plan = f'[ "$(cat {world})" = {value} ] && exit 0 || exit 2'
    return a_script(name, f"echo {value} > {world}", plan=plan, **spec)


def ask(machine: Machine, stack: str = "root/a") -> Run:
    return operations.request_check(machine.service.store, StackId.parse(stack), "user:ada", utc_now())


def make_due(machine: Machine, stack: str = "root/a") -> None:
    """Let the next check be due now."""
    with machine.service.store.writing() as transaction:
        past = utc_now() - timedelta(minutes=1)
        # Another schedule each time: one with the same keeps its time.
        transaction.put_timers([Timer(StackId.parse(stack), Purpose.DRIFT, past, past.isoformat(), past)])


def timers(machine: Machine) -> list[Timer]:
    with machine.service.store.reading() as reading:
        return reading.due_timers([Purpose.DRIFT], utc_now() + timedelta(days=1), 10)


def drifted(machine: Machine, stack: str = "root/a") -> tuple[str, str]:
    condition = machine.look().stacks[stack].conditions["Drifted"]
    return str(condition.status), condition.reason


def test_a_check_by_request_finds_what_somebody_changed(repo: Repo, machine: Machine, world: Path) -> None:
    repo.commit({"a.yaml": keeps("a", world)})
    machine.reconcile()
    assert drifted(machine) == ("False", "NoDrift")
    world.write_text("by hand\n")
    run = ask(machine)
    look = machine.reconcile()
    assert [(it.kind, it.status, it.reason, it.id) for it in look.runs] == [
        (RunKind.DRIFT, RunStatus.FINISHED, "Drifted", run.id)
    ]
    assert (drifted(machine), look.sync, world.read_text()) == (
        ("True", "Drifted"),
        {"root/a": "Synced"},
        "by hand\n",
    )
    world.write_text("v1\n")
    ask(machine)
    machine.reconcile()
    assert drifted(machine) == ("False", "NoDrift")


def test_a_due_check_puts_right_what_drifted_and_the_next_is_an_hour_away(
    repo: Repo, machine: Machine, world: Path
) -> None:
    repo.commit({"a.yaml": keeps("a", world, drift={**HOURLY, "reconcile": True})})
    machine.reconcile()
    world.write_text("by hand\n")
    assert machine.reconcile().runs == [], "not before its time"
    make_due(machine)
    check, repair = machine.reconcile().runs
    assert (check.kind, check.reason) == (RunKind.DRIFT, "Drifted")
    assert (repair.kind, repair.status, repair.repairs) == (RunKind.TRACKED, RunStatus.FINISHED, check.id)
    assert (world.read_text(), drifted(machine)) == ("v1\n", ("False", "NoDrift"))
    (timer,) = timers(machine)
    assert timer.at > utc_now()
    assert machine.reconcile().runs == []


def test_stacks_that_depend_on_each_other_are_put_right_one_after_the_other(
    repo: Repo, machine: Machine, tmp_path: Path
) -> None:
    worlds = {name: tmp_path / name for name in "abc"}
    spec = {"drift": {**HOURLY, "reconcile": True}}
    needs = {"a": {}, "b": {"dependsOn": ["a"]}, "c": {"dependsOn": ["b"]}}
    repo.commit({f"{name}.yaml": keeps(name, worlds[name], **spec, **needs[name]) for name in worlds})
    machine.reconcile()
    for name, world in worlds.items():
        world.write_text("by hand\n")
        make_due(machine, f"root/{name}")
    # A repair may have given way to that of a stack above it.
    runs = [run for run in machine.reconcile().runs if run.status is not RunStatus.SUPERSEDED]
    assert {(run.kind, run.reason) for run in runs} == {(RunKind.DRIFT, "Drifted"), (RunKind.TRACKED, "Applied")}
    assert [run.stack.name for run in runs if run.repairs] == ["a", "b", "c"]
    assert [world.read_text() for world in worlds.values()] == ["v1\n"] * 3


def test_a_repair_that_fails_is_not_tried_again_before_the_next_check(
    repo: Repo, machine: Machine, world: Path
) -> None:
    broken = world.with_name("broken")
    plan = f'[ "$(cat {world})" = v1 ] && exit 0 || exit 2'
    apply = f"! [ -e {broken} ] && echo v1 > {world}"
    repo.commit({"a.yaml": a_script("a", apply, plan=plan, drift={**HOURLY, "reconcile": True})})
    machine.reconcile()
    broken.touch()
    world.write_text("by hand\n")
    make_due(machine)
    assert [run.status for run in machine.reconcile().runs] == [RunStatus.FINISHED, RunStatus.FAILED]
    assert machine.reconcile().runs == []
    broken.unlink()
    make_due(machine)
    assert [run.status for run in machine.reconcile().runs] == [RunStatus.FINISHED, RunStatus.FINISHED]
    assert world.read_text() == "v1\n"


def test_a_stack_that_is_out_of_sync_or_suspended_is_not_checked(repo: Repo, machine: Machine, world: Path) -> None:
    repo.commit({"a.yaml": keeps("a", world, drift=HOURLY), "b.yaml": a_script("b", "true")})
    machine.reconcile()
    locks.suspend(machine.service.store, StackId.parse("root/a"), "ada", utc_now())
    make_due(machine)
    assert machine.reconcile().runs == []
    with pytest.raises(OperationRefused, match="root/a is suspended"):
        ask(machine)
    repo.commit({"a.yaml": keeps("a", world, "v2", drift=HOURLY)})
    machine.reconcile()
    with pytest.raises(OperationRefused, match="root/a is OutOfSync: what its plan shows is its change, not drift"):
        ask(machine)


def test_a_script_that_cannot_look_never_drifts(repo: Repo, machine: Machine, ran: Path) -> None:
    repo.commit({"a.yaml": a_script("a", f"echo once >> {ran}", drift={**HOURLY, "reconcile": True})})
    machine.reconcile()
    make_due(machine)
    (check,) = machine.reconcile().runs
    assert (check.reason, lines(ran)) == ("NoDrift", ["once"])


def test_a_change_of_the_schedule_runs_nothing_and_sets_the_time(repo: Repo, machine: Machine, world: Path) -> None:
    repo.commit({"a.yaml": keeps("a", world, drift=HOURLY)})
    machine.reconcile()
    (hourly,) = timers(machine)
    repo.commit({"a.yaml": keeps("a", world, drift={"schedules": ["*/5 * * * *"], "timezone": "Europe/Berlin"})})
    assert machine.reconcile().runs == []
    (often,) = timers(machine)
    assert often.schedule != hourly.schedule
    repo.commit({"a.yaml": keeps("a", world)})
    assert (machine.reconcile().runs, timers(machine)) == ([], [])


def test_a_commit_comes_before_a_check_that_is_under_way(repo: Repo, machine: Machine, world: Path) -> None:
    slow = f'sleep 30; [ "$(cat {world})" = v1 ] && exit 0 || exit 2'
    first = a_script("a", f"echo v1 > {world}", plan=f"[ -e {world} ] || exit 2; {slow}")
    repo.commit({"a.yaml": first})
    machine.reconcile()
    ask(machine)
    loop = machine.service.loop
    while machine.look().runs[-1].status is not RunStatus.PLANNING:
        loop.step(0.1)
    repo.commit({"a.yaml": a_script("a", f"echo v2 > {world}")})
    runs = machine.reconcile().runs
    assert [(run.kind, run.status) for run in runs] == [
        (RunKind.DRIFT, RunStatus.CANCELED),
        (RunKind.TRACKED, RunStatus.FINISHED),
    ]
    assert runs[0].message.startswith("canceled")
    assert world.read_text() == "v2\n"


def test_no_more_checks_are_active_than_the_setting_allows(repo: Repo, new_machine: Any, tmp_path: Path) -> None:
    machine = new_machine(repo.url, parallelism=4)
    stacks = {f"s{n}.yaml": keeps(f"s{n}", tmp_path / f"w{n}", drift=HOURLY) for n in range(5)}
    repo.commit(stacks)
    machine.reconcile()
    for n in range(5):
        make_due(machine, f"root/s{n}")
    machine.service.loop.checks.step(utc_now())
    assert len(machine.look().runs) == 2, "half of the parallelism"
    look = machine.reconcile()
    assert {run.reason for run in look.runs} == {"NoDrift"}
    assert len({run.stack for run in look.runs}) == 5


@needs("terraform")
def test_a_gentle_repair_waits_before_it_replaces_something(repo: Repo, machine: Machine, tmp_path: Path) -> None:
    switch = tmp_path / "switch"
    code = (
        f'locals {{\n  on = fileexists("{switch}")\n}}\n'
        'resource "terraform_data" "a" {\n  input            = local.on\n  triggers_replace = local.on\n}\n'
    )
    spec = {"drift": {**HOURLY, "reconcile": "safe"}}
    repo.commit({"a/main.tf": code, "a.yaml": a_terraform("a", "./a", **spec)})
    machine.reconcile()
    switch.touch()
    make_due(machine)
    check, repair = machine.reconcile().runs
    assert (check.reason, repair.status) == ("Drifted", RunStatus.UNCONFIRMED)
    assert "would delete or replace" in repair.message
    machine.confirm("root/a")
    assert machine.reconcile().ran == {"root/a": "finished"}
    assert drifted(machine) == ("False", "NoDrift")
