"""Timers: what is to happen with a stack next."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from reconciler.core.state import Sync
from reconciler.core.timers import Purpose, Timer, task_key
from reconciler.loop.runs.schedules import Schedules
from reconciler.store.sql import SqlStore
from spaces.model.schedules import Schedule
from tests.factories import NOW, a_desired, a_stack, a_stack_id, an_applied, later


def a_timer(stack: str = "root/a", seconds: float = 0, schedule: str = "hourly", purpose: str = "drift") -> Timer:
    return Timer(a_stack_id(stack), purpose, later(seconds), schedule, set_at=NOW)


def put(store: SqlStore, *timers: Timer) -> None:
    with store.writing() as transaction:
        transaction.put_timers(timers)


def due(store: SqlStore, seconds: float = 0, limit: int = 10, purpose: str = "drift") -> list[Timer]:
    with store.reading() as reading:
        return reading.due_timers([purpose], later(seconds), limit)


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
        assert transaction.take_timer(timer, a_timer(seconds=30))
    with store.writing() as transaction:
        assert not transaction.take_timer(timer, a_timer(seconds=30))
    assert (due(store), due(store, 30)) == ([], [a_timer(seconds=30)])


def test_a_timer_that_was_set_while_the_clock_was_ahead_is_found_at_once(store: SqlStore) -> None:
    tomorrow = replace(a_timer(seconds=2 * 86400), set_at=later(86400))
    put(store, tomorrow, replace(a_timer("root/b", 60), set_at=later(60)))
    (found,) = due(store)
    assert (found, found.set_at, found.is_due(NOW)) == (tomorrow, later(86400), False)
    with store.writing() as transaction:
        assert transaction.take_timer(found, a_timer(seconds=30))
    assert due(store) == []


def test_several_timers_of_one_purpose_are_told_apart_by_their_items(store: SqlStore) -> None:
    one, other = (replace(a_timer(purpose="task"), item=item) for item in ("one", "other"))
    put(store, one, other)
    with store.writing() as transaction:
        assert transaction.take_timer(one, replace(one, at=later(30)))
        transaction.remove_timers([one.stack], "task", "other")
    with store.reading() as reading:
        assert reading.timers(one.stack) == [replace(one, at=later(30))]


def test_timers_go_with_their_stack_and_can_be_removed(store: SqlStore) -> None:
    with store.writing() as transaction:
        transaction.put_stacks([a_stack("root/a")])
        transaction.put_timers([a_timer(), a_timer(purpose="other")])
        transaction.move_stack(a_stack_id("root/a"), a_stack_id("root/z"))
    assert due(store) == [a_timer("root/z")]
    with store.writing() as transaction:
        transaction.remove_timers([a_stack_id("root/z")], "drift")
    assert (due(store), due(store, purpose="other")) == ([], [a_timer("root/z", purpose="other")])


@pytest.mark.parametrize("asked", [{"run": True}, {"task": "./rotate.sh"}], ids=["run", "task"])
def test_two_services_start_what_is_due_once(store: SqlStore, hasty: SqlStore, asked: dict[str, Any]) -> None:
    purpose, item = (Purpose.RUN, "") if "run" in asked else (Purpose.TASK, task_key("./rotate.sh"))
    hourly = a_desired(schedules=(Schedule.model_validate({"cron": "0 * * * *", **asked}),))
    with store.writing() as transaction:
        transaction.put_stacks([a_stack("root/a", desired=hourly, applied=an_applied(), sync=Sync.SYNCED)])
    put(store, replace(a_timer(purpose=purpose), item=item))
    (seen,) = due(hasty, purpose=purpose)
    assert Schedules(store).step(NOW)
    # The second had seen it due before the first took it.
    assert not Schedules(hasty)._start(seen, NOW)
    assert not Schedules(hasty).step(NOW)
    with store.reading() as reading:
        assert [run.command for run in reading.active_runs([seen.stack])] == [asked.get("task")]
    assert [timer.at for timer in due(store, 3600, purpose=purpose)] == [later(3600)]
