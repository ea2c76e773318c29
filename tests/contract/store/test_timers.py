"""Timers: what is to happen with a stack next."""

from __future__ import annotations

from reconciler.core.timers import Timer
from reconciler.store.sql import SqlStore
from tests.factories import a_stack, a_stack_id, later


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
