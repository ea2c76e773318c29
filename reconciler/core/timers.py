"""When something happens with a stack next: pure, the clock is an argument.

`loop.desired.record` sets a stack's timers when its document changes, and whoever acts on a due timer sets it to its
next time first: after a long stop, or a jump of the clock, it comes once. A timer remembers when it was set. One that
was set later than now was set while the clock was ahead, and is worked out anew.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

from reconciler.core.state import Desired
from spaces.model.drift import Drift
from spaces.model.schedules import Schedule
from spaces.model.times import next_time
from spaces.names import StackId

_LONGEST_JITTER = timedelta(minutes=5)
_BUSY = timedelta(seconds=15)

CLOCKS_APART = timedelta(minutes=2)
"""How far the clocks of two services may be apart before one takes a timer of the other for one set in the future."""


class Purpose(StrEnum):
    """What a timer is for."""

    DRIFT = "drift"
    RUN = "run"
    TASK = "task"


@dataclass(frozen=True, slots=True)
class Timer:
    """When something is to happen with a stack next."""

    stack: StackId
    purpose: str
    at: datetime
    schedule: str
    """What the time was worked out from: as long as that stays, so does the time."""
    set_at: datetime = field(compare=False)
    """When the time was worked out."""
    item: str = ""
    """Which of several of one purpose: `task_key` of a task's command."""

    def is_due(self, now: datetime) -> bool:
        """Whether its time has come. One that was set while the clock was ahead has to be set anew instead."""
        return self.at <= now


def check_timer(stack: StackId, drift: Drift, now: datetime) -> Timer:
    """Return the timer of a stack's next drift check.

    Many stacks have the same schedule: each comes a little later, by up to a tenth of the time between two checks and
    five minutes at most, and always by the same.
    """
    first = next_time(drift.schedules, drift.timezone, now)
    longest = min((next_time(drift.schedules, drift.timezone, first) - first) / 10, _LONGEST_JITTER)
    part = int.from_bytes(hashlib.blake2b(str(stack).encode(), digest_size=4).digest()) / 2**32
    schedule = " | ".join([*drift.schedules, drift.timezone])
    return Timer(stack, Purpose.DRIFT, first + longest * part, schedule, now)


def run_timer(stack: StackId, schedules: Sequence[Schedule], now: datetime) -> Timer | None:
    """Return the timer of the next run of what is desired that the schedules of a stack ask for, at its time exactly.

    None: they ask for none.
    """
    runs = [each for each in schedules if each.task is None]
    if not runs:
        return None
    at = min(next_time([each.cron], each.timezone, now) for each in runs)
    return Timer(stack, Purpose.RUN, at, _words(runs), now)


def task_timers(stack: StackId, schedules: Sequence[Schedule], now: datetime) -> Iterator[Timer]:
    """Yield a timer for each command that the schedules of a stack ask for: of two, neither takes the other's time."""
    by_command: dict[str, list[Schedule]] = {}
    for each in schedules:
        if each.task is not None:
            by_command.setdefault(each.task, []).append(each)
    for command, times in by_command.items():
        at = min(next_time([each.cron], each.timezone, now) for each in times)
        yield Timer(stack, Purpose.TASK, at, _words(times), now, task_key(command))


def timer_keys(desired: Desired | None) -> set[tuple[str, str]]:
    """Return the purpose and item of each timer that a stack has."""
    if desired is None:
        return set()
    keys = {(Purpose.TASK, task_key(it.task)) if it.task is not None else (Purpose.RUN, "") for it in desired.schedules}
    return {*keys, (Purpose.DRIFT, "")} if desired.drift is not None else {*keys}


def task_key(command: str) -> str:
    """Return the key of a command, by which a timer names it: a command itself may be of any length."""
    return hashlib.blake2b(command.encode(), digest_size=16).hexdigest()


def command_of(timer: Timer, schedules: Sequence[Schedule]) -> str | None:
    """Return the command that a timer is for; None: the schedules have it no more."""
    commands = (each.task for each in schedules if each.task is not None)
    return next((command for command in commands if task_key(command) == timer.item), None)


def once_free(timer: Timer, now: datetime) -> Timer:
    """Return a due timer put off for a little, because another run of the stack is active: its turn comes after it."""
    return replace(timer, at=now + _BUSY, set_at=now)


def _words(schedules: Sequence[Schedule]) -> str:
    return " | ".join(f"{each.cron} {each.timezone}" for each in schedules)
