"""Runs by the clock: each time once, under the rules of every run, and left out where nothing may start."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from reconciler import locks
from reconciler.core.runs import RunKind, RunStatus
from reconciler.core.timers import Purpose, Timer, task_key
from reconciler.loop.service import utc_now
from reconciler.store.protocol import Store
from spaces.names import StackId
from tests.e2e.station import Repo, a_script, document, lines
from tests.factories import later
from tests.integration.loop.machine import Machine

DAILY = {"schedules": [{"cron": "0 3 * * *", "timezone": "Europe/Berlin", "run": True}]}
A = StackId.parse("root/a")


def make_due(machine: Machine, purpose: Purpose = Purpose.RUN, item: str = "") -> None:
    """Let the next run be due, as after a long stop."""
    with machine.service.store.writing() as transaction:
        past = utc_now() - timedelta(days=30)
        transaction.put_timers([Timer(A, purpose, past, past.isoformat(), past, item)])


def timers(store: Store) -> list[Timer]:
    with store.reading() as reading:
        return reading.due_timers([Purpose.RUN], later(2 * 86400, utc_now()), 10)


def test_a_run_comes_also_where_nothing_differs_and_once_after_a_long_stop(
    repo: Repo, machine: Machine, ran: Path
) -> None:
    repo.commit({"a.yaml": a_script("a", f"echo ran >> {ran}", plan="exit 2", **DAILY)})
    machine.reconcile()
    (timer,) = timers(machine.service.store)
    assert timer.at.minute == 0
    assert machine.reconcile().runs == [], "not before its time"
    make_due(machine)
    (run,) = machine.reconcile().runs
    assert (run.kind, run.status, run.occasion) == (RunKind.TRACKED, "finished", "on schedule")
    assert lines(ran) == ["ran", "ran"]
    assert timers(machine.service.store)[0].at > utc_now()
    assert machine.reconcile().runs == []
    repo.commit({"a.yaml": a_script("a", f"echo ran >> {ran}", plan="exit 2")})
    machine.reconcile()
    assert timers(machine.service.store) == []


def test_a_task_comes_in_its_turn_and_policies_see_its_command(repo: Repo, machine: Machine, ran: Path) -> None:
    rotate, remove = f"echo rotated >> {ran}", f"rm {ran}"
    hourly = [{"cron": f"{minute} * * * *", "task": task} for minute, task in enumerate((rotate, remove))]
    rego = 'package stationkeeper\ndeny contains "no rm" if { input.run.kind == "task"; startswith(input.run.command, "rm ") }\n'
    policy = document("Policy", "no", {"type": "plan", "enforcement": "mandatory", "rego": rego})
    stack = a_script("a", f"echo applied >> {ran}", plan="exit 2", autodeploy=False, schedules=hourly)
    repo.commit({"a.yaml": stack})
    machine.reconcile()
    make_due(machine, Purpose.TASK, task_key(rotate))
    assert machine.reconcile().runs == [machine.run_of("root/a", RunStatus.UNCONFIRMED)], "it is put off, not left out"
    machine.confirm("root/a")
    machine.reconcile()
    make_due(machine, Purpose.TASK, task_key(rotate))
    (done,) = machine.reconcile().runs
    assert (done.kind, done.status, done.message, lines(ran)) == (
        RunKind.TASK,
        "finished",
        "the command ended well",
        ["applied", "rotated"],
    )
    with machine.service.store.reading() as reading:
        audit = [row.event.event for row in reading.audit(0, 100) if row.event.details.get("command") == rotate]
    assert audit == ["run-queued", "apply-started", "apply-ended"]
    repo.commit({"p.yaml": policy})
    machine.reconcile()
    machine.discard("root/a")
    make_due(machine, Purpose.TASK, task_key(remove))
    denied = machine.reconcile().runs[-1]
    assert (denied.command, denied.reason, lines(ran)) == (remove, "PolicyDenied", ["applied", "rotated"])


def test_it_waits_for_confirmation_as_any_run_and_is_left_out_while_the_stack_is_locked(
    repo: Repo, machine: Machine, ran: Path
) -> None:
    repo.commit({"a.yaml": a_script("a", f"echo ran >> {ran}", plan="exit 2", autodeploy=False, **DAILY)})
    machine.reconcile()
    machine.confirm("root/a")
    machine.reconcile()
    store = machine.service.store
    locks.lock(store, A, "by hand", None, "user:ada", utc_now())
    make_due(machine)
    assert machine.reconcile().runs == []
    locks.unlock(store, A, "user:ada", utc_now())
    assert machine.reconcile().runs == [], "it was left out, not put off"
    make_due(machine)
    assert machine.reconcile().ran == {"root/a": "unconfirmed"}
    assert lines(ran) == ["ran"]
