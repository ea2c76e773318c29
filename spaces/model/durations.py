"""How long something takes, as people write it: `90s`, `30m`, `1h30m`, `14d`."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Annotated

from pydantic import BeforeValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

DURATION = r"^([0-9]{1,6}d)?([0-9]{1,6}h)?([0-9]{1,6}m)?([0-9]{1,6}s)?$"
_PARTS = re.compile(DURATION)
_DAY = 24 * 3600
_SHORT = 7 * _DAY
LONG = 3660 * _DAY
"""The longest of the durations that people count in days, in seconds."""


@lru_cache(maxsize=256)
def parse_duration(text: str, longest: int = _SHORT) -> int:
    """Parse `90s`, `30m`, `1h30m` or `2d` and return seconds; raise ValueError with the reason for any other text."""
    parts = _PARTS.fullmatch(text)
    if not parts or not text:
        raise ValueError("must be a duration such as 90s, 30m, 1h30m or 2d")
    days, hours, minutes, seconds = (int(part[:-1]) if part else 0 for part in parts.groups())
    total = _DAY * days + 3600 * hours + 60 * minutes + seconds
    if not 1 <= total <= longest:
        raise ValueError(f"must be a duration from 1s to {longest // _DAY}d")
    return total


def _duration(value: object) -> int:
    try:
        return parse_duration(value if isinstance(value, str) else "")
    except ValueError as wrong:
        raise PydanticCustomError("invalid-duration", "{why}", {"why": str(wrong)}) from None


def _long_duration(value: object) -> int:
    try:
        return parse_duration(value if isinstance(value, str) else "", LONG)
    except ValueError as wrong:
        raise PydanticCustomError("invalid-duration", "{why}", {"why": str(wrong)}) from None


Duration = Annotated[
    int, BeforeValidator(_duration), WithJsonSchema({"type": "string", "pattern": DURATION, "minLength": 2})
]
"""Seconds."""

LongDuration = Annotated[
    int, BeforeValidator(_long_duration), WithJsonSchema({"type": "string", "pattern": DURATION, "minLength": 2})
]
"""Seconds, up to ten years."""
