"""How long something takes, as people write it: `90s`, `30m`, `1h30m`."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Annotated

from pydantic import BeforeValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

DURATION = r"^([0-9]{1,6}h)?([0-9]{1,6}m)?([0-9]{1,6}s)?$"
_PARTS = re.compile(DURATION)
_LONGEST = 7 * 24 * 3600


@lru_cache(maxsize=256)
def parse_duration(text: str) -> int:
    """Parse `90s`, `30m`, `1h` or `1h30m` and return seconds; raise ValueError with the reason for any other text."""
    parts = _PARTS.fullmatch(text)
    if not parts or not text:
        raise ValueError("must be a duration such as 90s, 30m or 1h30m")
    hours, minutes, seconds = (int(part[:-1]) if part else 0 for part in parts.groups())
    total = 3600 * hours + 60 * minutes + seconds
    if not 1 <= total <= _LONGEST:
        raise ValueError("must be a duration from 1s to 168h")
    return total


def _duration(value: object) -> int:
    try:
        return parse_duration(value if isinstance(value, str) else "")
    except ValueError as wrong:
        raise PydanticCustomError("invalid-duration", "{why}", {"why": str(wrong)}) from None


Duration = Annotated[
    int, BeforeValidator(_duration), WithJsonSchema({"type": "string", "pattern": DURATION, "minLength": 2})
]
"""Seconds."""
