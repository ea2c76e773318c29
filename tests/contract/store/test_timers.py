"""Timers: what is to happen with a stack next."""

from __future__ import annotations

from reconciler.core.state import Sync
from reconciler.core.timers import Purpose, Timer
from reconciler.loop.runs.schedules import Schedules
from reconciler.store.sql import SqlStore
from spaces.model.schedules import Schedule
from tests.factories import NOW, a_desired, a_stack, a_stack_id, an_applied, later


def a_timer(stack: str = "root/a", seconds: float = 0, schedule: str = "hourly", purpose: str = "drift") -> Timer:
    return Timer(a_stack_id(stack), purpose, later(seconds), schedule)


def put(store: SqlStore, *timers: Timer) -> None:
    with store.writing() as transaction:
        transaction.put_timers(timers)


def due(store: SqlStore, seconds: float = 0, limit: int = 10, purpose: str = "drift") -> list[Timer]:
    with store.reading() as reading:
        return reading.due_timers(purpose, later(seconds), limit)


def test_the_longest_due_come_first_and_others_not_at_all(store: SqlStore) -> None:
    put(store, a_timer("root/b", -1), a_timer("root/a", -2), a_timer("root/c", 1), a_timer("root/d", purpose="other"))
    assert due(store) == [a_timer("root/a", -2), a_timer("root/b", -1)]
    assert due(store, limit=1) == [a_timer("root/a", -2)]
    assert due(store, purpose="other") == [a_timer("root/d", purpose="other")]


def test_a_timer_keeps_its_time_as_long_as_its_schedule_stays(store: SqlStore) -> None:
    put(store, a_timer(seconds=-5))
    put(store, a_timer(seconds=60))
    assert due(store) == [a_timer(seconds=-5)]
    put(store, a_timer(seconds=60, schedule="daily"))
    assert (due(store), due(store, 60)) == ([], [a_timer(seconds=60, schedule="daily")])


def test_a_due_timer_is_taken_once(store: SqlStore) -> None:
    put(store, a_timer())
    (timer,) = due(store)
    with store.writing() as transaction:
        assert transaction.take_timer(timer, later(30))
    with store.writing() as transaction:
        assert not transaction.take_timer(timer, later(30))
    assert (due(store), due(store, 30)) == ([], [a_timer(seconds=30)])


def test_timers_go_with_their_stack_and_can_be_removed(store: SqlStore) -> None:
    with store.writing() as transaction:
        transaction.put_stacks([a_stack("root/a")])
        transaction.put_timers([a_timer(), a_timer(purpose="other")])
        transaction.move_stack(a_stack_id("root/a"), a_stack_id("root/z"))
    assert due(store) == [a_timer("root/z")]
    with store.writing() as transaction:
        transaction.remove_timers([a_stack_id("root/z")], "drift")
    assert (due(store), due(store, purpose="other")) == ([], [a_timer("root/z", purpose="other")])


def test_two_services_start_a_run_that_is_due_once(store: SqlStore, hasty: SqlStore) -> None:
    hourly = a_desired(schedules=(Schedule.model_validate({"cron": "0 * * * *", "run": True}),))
    with store.writing() as transaction:
        transaction.put_stacks([a_stack("root/a", desired=hourly, applied=an_applied(), sync=Sync.SYNCED)])
    put(store, a_timer(purpose=Purpose.RUN))
    (seen,) = due(hasty, purpose=Purpose.RUN)
    assert Schedules(store).step(NOW)
    # The second had seen it due before the first took it.
    assert not Schedules(hasty)._start(seen, NOW)
    assert not Schedules(hasty).step(NOW)
    with store.reading() as reading:
        assert len(reading.active_runs([seen.stack])) == 1
    assert [timer.at for timer in due(store, 3600, purpose=Purpose.RUN)] == [later(3600)]
