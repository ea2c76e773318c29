"""Run ids: sorted by time, safe in a path and in a URL."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from reconciler.core.runs import RunId
from reconciler.core.state import StackState

_DIGITS = "0123456789abcdefghjkmnpqrstvwxyz"


def run_id(now: datetime, randomness: bytes) -> RunId:
    """Make an id of 26 characters from a time and 10 random bytes (the layout of a ULID, in lower case)."""
    if len(randomness) != 10:
        raise ValueError("a run id needs 10 random bytes")
    number = int(now.timestamp() * 1000) << 80 | int.from_bytes(randomness)
    return RunId("".join(_DIGITS[number >> shift & 31] for shift in range(125, -5, -5)))


def next_run_id(state: StackState, now: datetime, randomness: bytes) -> RunId:
    """Make the id of a stack's next run: it comes after those that are known of it, also where the clock was set back.

    Which run is the newest is read from the ids.
    """
    known = (state.last, state.observed, state.failed)
    newest = max((_made_at(each.run) for each in known if each is not None), default=None)
    return run_id(now if newest is None else max(now, newest + timedelta(milliseconds=1)), randomness)


def _made_at(run: str) -> datetime:
    """Return the time in a run id, to the millisecond."""
    number = 0
    for digit in run[:10]:
        number = number << 5 | _DIGITS.index(digit)
    return datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=number)
