"""A run's log as numbered lines: a window of it, or what was added since somebody looked."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from reconciler.web.views.ansi import StyledText, spans, without_controls

WINDOW = 1000
"""Lines that are shown at once."""
_LONGEST_LINE = 4000
_OWN = re.compile(r"station\[(?P<phase>\w+)\]: ")


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line of a log, numbered from 1. `phase`: the service itself wrote it, in this phase."""

    number: int
    spans: tuple[StyledText, ...]
    phase: str | None = None


@dataclass(frozen=True, slots=True)
class LogView:
    """Some lines of a log. `first` and `last` are their numbers, `total` is how many there are.

    `offset` is where the next bytes come. `found`: how many lines match a search.
    """

    lines: tuple[LogLine, ...]
    total: int
    offset: int
    found: int | None = None

    @property
    def first(self) -> int:
        """The number of the first line that is shown; 0 if there is none."""
        return self.lines[0].number if self.lines else 0

    @property
    def last(self) -> int:
        """The number of the last line that is shown; 0 if there is none."""
        return self.lines[-1].number if self.lines else 0


def window(data: bytes, *, around: int | None, search: str, ended: bool) -> LogView:
    """Return the lines around a line of a whole log, or its last ones. With `search`: the first that contain it."""
    rows, offset = split(data, ended=ended)
    if search:
        found = _matching(data[:offset], search)
        lines = tuple(_line(at, rows[at - 1]) for at in found[:WINDOW])
        return LogView(lines, len(rows), offset, len(found))
    last = len(rows) if around is None else min(len(rows), max(around + WINDOW // 2, WINDOW))
    first = max(0, last - WINDOW)
    return LogView(tuple(_line(at + 1, rows[at]) for at in range(first, last)), len(rows), offset)


def added(data: bytes, number: int, offset: int, *, ended: bool) -> LogView:
    """Return the lines in the bytes of a log from an offset on, which follow the line with this number."""
    rows, length = split(data, ended=ended)
    lines = tuple(_line(number + at, row) for at, row in enumerate(rows, 1))
    return LogView(lines, number + len(rows), offset + length)


def split(data: bytes, *, ended: bool) -> tuple[Sequence[bytes], int]:
    """Return the lines in these bytes, and how many bytes they are; a line that is still being written is left out."""
    length = len(data) if ended else data.rfind(b"\n") + 1
    rows = data[:length].split(b"\n")
    if rows[-1] == b"":
        rows.pop()
    return rows, length


def _matching(data: bytes, search: str) -> list[int]:
    """Return the numbers of the lines that contain a text, whatever its colours, in upper or lower case."""
    wanted = search.casefold()
    shown = without_controls(data.decode(errors="replace")).casefold()
    return [at for at, text in enumerate(shown.split("\n"), 1) if wanted in text]


def _line(number: int, row: bytes) -> LogLine:
    text = _text(row)
    own = _OWN.match(text)
    return LogLine(number, tuple(spans(text)), own["phase"] if own else None)


def _text(row: bytes) -> str:
    text = row[: 4 * _LONGEST_LINE].decode(errors="replace")
    return text if len(text) <= _LONGEST_LINE else f"{text[:_LONGEST_LINE]}…"
