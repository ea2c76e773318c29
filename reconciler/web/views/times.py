"""Times and durations in words."""

from __future__ import annotations

from datetime import UTC, datetime

_MINUTE, _HOUR, _DAY = 60, 3600, 86400


def exact(time: datetime) -> str:
    """Return a time with its zone, to the second."""
    return time.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def ago(time: datetime, now: datetime) -> str:
    """Return how long ago a time is, in its largest unit."""
    seconds = (now - time).total_seconds()
    if seconds < 0:
        return f"in {_rough(-seconds)}"
    return "just now" if seconds < 5 else f"{_rough(seconds)} ago"


def duration(seconds: float) -> str:
    """Return a duration in its two largest units."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return _two(whole, _MINUTE, "min", 1, "s")
    if whole < _DAY:
        return _two(whole, _HOUR, "h", _MINUTE, "min")
    return _two(whole, _DAY, "d", _HOUR, "h")


def between(start: datetime | None, end: datetime | None, now: datetime) -> str:
    """Return the time from a start to an end, or until now; empty if it has not started."""
    return "" if start is None else duration(max(0.0, ((end or now) - start).total_seconds()))


def _two(seconds: int, large: int, large_word: str, small: int, small_word: str) -> str:
    rest = seconds % large // small
    return f"{seconds // large} {large_word}" + (f" {rest} {small_word}" if rest else "")


def _rough(seconds: float) -> str:
    for unit, word in ((_DAY, "d"), (_HOUR, "h"), (_MINUTE, "min")):
        if seconds >= unit:
            return f"{int(seconds // unit)} {word}"
    return f"{int(seconds)} s"
