"""Run ids: sorted by time, safe in a path and in a URL."""

from __future__ import annotations

from datetime import datetime

from reconciler.core.runs import RunId

_DIGITS = "0123456789abcdefghjkmnpqrstvwxyz"


def run_id(now: datetime, randomness: bytes) -> RunId:
    """Make an id of 26 characters from a time and 10 random bytes (the layout of a ULID, in lower case)."""
    if len(randomness) != 10:
        raise ValueError("a run id needs 10 random bytes")
    number = int(now.timestamp() * 1000) << 80 | int.from_bytes(randomness)
    return RunId("".join(_DIGITS[number >> shift & 31] for shift in range(125, -5, -5)))
