"""When something happens with a stack next: pure, the clock is an argument.

`loop.desired.record` sets a stack's timers when its document changes, and whoever acts on a due timer sets it to its
next time first: after a long stop, or a jump of the clock, it comes once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from spaces.model.drift import Drift
from spaces.model.schedules import Schedule
from spaces.model.times import next_time
from spaces.names import StackId

_LONGEST_JITTER = timedelta(minutes=5)


class Purpose(StrEnum):
    """What a timer is for."""

    DRIFT = "drift"
    RUN = "run"


@dataclass(frozen=True, slots=True)
class Timer:
    """When something is to happen with a stack next."""

    stack: StackId
    purpose: str
    at: datetime
    schedule: str
    """What the time was worked out from: as long as that stays, so does the time."""


def check_timer(stack: StackId, drift: Drift, now: datetime) -> Timer:
    """Return the timer of a stack's next drift check.

    Many stacks have the same schedule: each comes a little later, by up to a tenth of the time between two checks and
    five minutes at most, and always by the same.
    """
    first = next_time(drift.schedules, drift.timezone, now)
    longest = min((next_time(drift.schedules, drift.timezone, first) - first) / 10, _LONGEST_JITTER)
    part = int.from_bytes(hashlib.blake2b(str(stack).encode(), digest_size=4).digest()) / 2**32
    schedule = " | ".join([*drift.schedules, drift.timezone])
    return Timer(stack, Purpose.DRIFT, first + longest * part, schedule)


def run_timer(stack: StackId, schedules: Sequence[Schedule], now: datetime) -> Timer:
    """Return the timer of the next run that the schedules (not empty) of a stack ask for; at their time exactly."""
    at = min(next_time([each.cron], each.timezone, now) for each in schedules)
    return Timer(stack, Purpose.RUN, at, " | ".join(f"{each.cron} {each.timezone}" for each in schedules))
