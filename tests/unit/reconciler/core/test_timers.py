from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from reconciler.core.timers import Purpose, Timer, check_timer, command_of, run_timer, task_timers
from spaces.model.drift import Drift
from spaces.model.schedules import Schedule
from spaces.model.times import next_time
from tests.factories import NOW, a_stack_id


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


@pytest.mark.parametrize(
    ("cron", "zone", "after", "expected"),
    [
        ("*/30 * * * *", "UTC", "2026-03-01T12:00:00Z", "2026-03-01T12:30:00Z"),
        ("0 3 * * *", "Europe/Berlin", "2026-07-01T00:00:00Z", "2026-07-01T01:00:00Z"),
        # The clocks go forward over it, and back over it.
        ("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", "2026-03-29T01:00:00Z"),
        ("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", "2026-10-25T00:30:00Z"),
        ("30 2 * * *", "Europe/Berlin", "2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"),
    ],
)
def test_a_schedule_is_read_in_its_time_zone(cron: str, zone: str, after: str, expected: str) -> None:
    assert next_time([cron], zone, at(after)) == at(expected)


def test_the_first_of_several_schedules_comes_next() -> None:
    assert next_time(["0 18 * * *", "0 15 * * *"], "UTC", NOW) == NOW.replace(hour=15)


def test_stacks_of_one_schedule_come_one_after_the_other_and_each_always_as_late() -> None:
    hourly = Drift(schedules=("0 * * * *",))
    first = NOW.replace(hour=13)
    times = [check_timer(a_stack_id(f"root/s{number}"), hourly, NOW).at for number in range(200)]
    assert all(first <= time <= first + timedelta(minutes=5) for time in times)
    assert len(set(times)) > 150
    stack = a_stack_id("root/s0")
    assert check_timer(stack, hourly, times[0]).at == times[0] + timedelta(hours=1)
    often = check_timer(stack, Drift(schedules=("* * * * *",)), NOW).at
    assert NOW < often <= NOW + timedelta(seconds=66)


def test_the_run_of_the_schedule_that_comes_first_is_next_at_its_time_exactly() -> None:
    nightly = Schedule.model_validate({"cron": "0 3 * * *", "timezone": "Europe/Berlin", "run": True})
    weekly = Schedule.model_validate({"cron": "0 12 * * 1", "run": True})
    stack, words = a_stack_id(), "0 3 * * * Europe/Berlin | 0 12 * * 1 UTC"
    assert run_timer(stack, (nightly, weekly), at("2026-03-01T12:00:00Z")) == Timer(
        stack, Purpose.RUN, at("2026-03-02T02:00:00Z"), words, NOW
    )
    next_one = run_timer(stack, (nightly, weekly), at("2026-03-02T02:00:00Z"))
    assert next_one is not None
    assert next_one.at == at("2026-03-02T12:00:00Z")


def test_each_command_has_a_timer_of_its_own() -> None:
    rotate, early, report = (
        Schedule.model_validate({"cron": cron, "task": task})
        for cron, task in (("0 18 * * *", "./rotate.sh"), ("0 15 * * *", "./rotate.sh"), ("0 16 * * *", "./report.sh"))
    )
    timers = list(task_timers(a_stack_id(), (rotate, early, report), NOW))
    assert [timer.at.hour for timer in timers] == [15, 16]
    assert [command_of(timer, (rotate, report)) for timer in timers] == ["./rotate.sh", "./report.sh"]
    assert command_of(timers[1], (rotate,)) is None
    assert run_timer(a_stack_id(), (rotate,), NOW) is None
