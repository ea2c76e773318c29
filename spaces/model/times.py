"""When something happens again: cron expressions, and the time zone that they are read in."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Annotated
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError
from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

from spaces.model.base import LINE, matching

_FIELDS = 5
_ANY_TIME = datetime(2024, 1, 1, tzinfo=UTC)


def check_cron(text: str) -> None:
    """Raise ValueError with the reason where the text is no cron expression, or one that never comes."""
    fields = text.split()
    if len(fields) != _FIELDS:
        raise ValueError(f"has {len(fields)} fields, not 5: minute, hour, day of month, month, day of week")
    try:
        next(CronSim(text, _ANY_TIME))
    except CronSimError as wrong:
        raise ValueError(f"is no cron expression: {str(wrong).lower()}") from None
    except StopIteration:
        raise ValueError("never comes") from None


@lru_cache(maxsize=256)
def zone(name: str) -> ZoneInfo:
    """Return a time zone by its name in the IANA database; raise ValueError where there is none."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ValueError(f"{name!r} is no time zone") from None


def next_time(expressions: Iterable[str], timezone: str, after: datetime) -> datetime:
    """Return when the first of the cron expressions comes next after a time, in UTC.

    A time that a change of the clocks leaves out comes right after it, and one that it repeats comes once.
    """
    local = after.astimezone(zone(timezone))
    return min(next(CronSim(each, local)) for each in expressions).astimezone(UTC)


def _cron(text: str) -> str:
    try:
        check_cron(text)
    except ValueError as wrong:
        raise PydanticCustomError("invalid-cron", "{why}", {"why": str(wrong)}) from None
    return text


def _zone(text: str) -> str:
    try:
        zone(text)
    except ValueError:
        raise PydanticCustomError("invalid-timezone", "is no time zone") from None
    return text


Cron = Annotated[str, matching(LINE, 200), AfterValidator(_cron)]
TimeZone = Annotated[str, matching(LINE, 100), AfterValidator(_zone)]
