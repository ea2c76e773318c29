"""Runs by the clock: each time once, under the rules of every run, and left out where nothing may start."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from reconciler import locks
from reconciler.core.runs import RunKind
from reconciler.core.timers import Purpose, Timer
from reconciler.loop.service import utc_now
from reconciler.store.protocol import Store
from spaces.names import StackId
from tests.e2e.station import Repo, a_script, lines
from tests.factories import later
from tests.integration.loop.machine import Machine

DAILY = {"schedules": [{"cron": "0 3 * * *", "timezone": "Europe/Berlin", "run": True}]}
A = StackId.parse("root/a")


def make_due(machine: Machine, ago: timedelta = timedelta(days=30)) -> None:
    """Let the next run be due, as after a long stop."""
    with machine.service.store.writing() as transaction:
        past = utc_now() - ago
        transaction.put_timers([Timer(A, Purpose.RUN, past, past.isoformat())])


def timers(store: Store) -> list[Timer]:
    with store.reading() as reading:
        return reading.due_timers(Purpose.RUN, later(2 * 86400, utc_now()), 10)


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
