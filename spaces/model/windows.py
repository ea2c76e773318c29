"""Freeze windows of a space: times in which nothing below it is applied, destroyed or repaired."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import pairwise
from typing import Any

from pydantic import Field

from spaces.model.base import Model, Name, Problem, list_at, mapping_at, text_at
from spaces.model.durations import LONG, LongDuration, parse_duration
from spaces.model.times import Cron, TimeZone, check_cron, next_time

MOST_WINDOWS = 20
_CHAINED = 100
"""How many times in a row a window may come again at the moment in which it ends."""
_ANY_TIME = datetime(2024, 1, 1, tzinfo=UTC)


class Denied(Model):
    """When a window begins, and how long it stays open."""

    cron: Cron = Field(description='When it begins: a cron expression of five fields, such as "0 18 * * 5".')
    duration: LongDuration = Field(description="How long it lasts, as 8h, 62h or 14d.")
    timezone: TimeZone = Field("UTC", description="The time zone of the expression, such as Europe/Berlin.")


class Window(Model):
    """A time in which plans go on, and nothing is applied, destroyed or repaired."""

    deny: Denied = Field(description="When it is open.")
    override: Name | None = Field(
        None, description="The role that lets a run through, held in this space. Default: nobody can."
    )


def window_problems(spec: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield windows that come again before they are over, or that never end."""
    for index, window in enumerate(list_at(spec, "windows")):
        deny = mapping_at(window, "deny") if isinstance(window, dict) else {}
        cron, written = text_at(deny, "cron"), text_at(deny, "duration")
        try:
            check_cron(cron or "")
            lasts = timedelta(seconds=parse_duration(written or "", LONG))
        except ValueError:
            # The types report it.
            continue
        path = ("windows", index, "deny", "duration")
        times = [_ANY_TIME]
        for _ in range(_CHAINED):
            times.append(next_time([cron or ""], "UTC", times[-1]))
        gaps = [later - earlier for earlier, later in pairwise(times[1:])]
        if min(gaps) < lasts:
            summary = f"the window comes again {_hours(min(gaps))} after it began, before its {written} are over"
            yield Problem(path, "window-overlap", summary, "let it come less often, or make it shorter")
        elif max(gaps) == lasts:
            summary = "the window never ends: it comes again at the moment in which it is over"
            yield Problem(path, "endless-window", summary, "suspend the stacks instead, or make it shorter")


@lru_cache(maxsize=4096)
def spell(cron: str, timezone: str, lasts: timedelta, after: datetime) -> tuple[datetime, datetime]:
    """Return the beginning and end of the first time that a window is open and that is not over by then.

    Where it comes again at the moment in which it ends, that is one time.
    """
    begins = next_time([cron], timezone, after - lasts)
    last, ends = begins, begins + lasts
    for _ in range(_CHAINED):
        last = next_time([cron], timezone, last)
        if last > ends:
            break
        ends = last + lasts
    return begins, ends


def _hours(gap: timedelta) -> str:
    hours, minutes = divmod(int(gap.total_seconds()) // 60, 60)
    return (f"{hours}h" if hours else "") + (f"{minutes}m" if minutes or not hours else "")
