"""What differs between two values, in lines: of everything only as much as a page shows."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from reconciler.web.views.values import LONGEST, MOST_CHARACTERS, MOST_LINES, lines_of

_COMPARED = 1000
"""Lines of one value that are compared line by line: the time grows with the square of them."""
_EACH = MOST_LINES // 2 - 1
"""Lines of each of two values that are shown where they are not compared."""


class DiffLine(NamedTuple):
    """One line: `+`, `-`, or a space for what stays; "@" for a heading."""

    sign: str
    text: str


@dataclass(frozen=True, slots=True)
class Diff:
    """The first lines of what differs. `left_out`: lines that are too many to be shown."""

    lines: tuple[DiffLine, ...]
    left_out: int = 0


def compared(before: Any, after: Any) -> Diff:
    """Return what differs between two values, attribute by attribute if they have any."""
    found = _Collected()
    if isinstance(before or {}, dict) and isinstance(after or {}, dict):
        old, new = before or {}, after or {}
        for name in sorted({*old, *new}):
            _differences(found, name, old.get(name), new.get(name))
    else:
        _differences(found, "", before, after)
    return found.diff()


def compared_whole(before: Any, after: Any) -> Diff:
    """Return what differs between two values, even if they have attributes."""
    found = _Collected()
    _differences(found, "", before, after)
    return found.diff()


class _Collected:
    """Takes lines while there is room, and counts the others."""

    def __init__(self) -> None:
        self._lines: list[DiffLine] = []
        self._length = 0
        self._left_out = 0

    def add(self, sign: str, text: str) -> None:
        short = text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
        if len(self._lines) < MOST_LINES and self._length + len(short) <= MOST_CHARACTERS:
            self._lines.append(DiffLine(sign, short))
            self._length += len(short)
        else:
            self._left_out += 1

    def add_some(self, sign: str, lines: Sequence[str]) -> None:
        for line in lines[:_EACH]:
            self.add(sign, f"  {line}")
        self._left_out += max(0, len(lines) - _EACH)

    def diff(self) -> Diff:
        return Diff(tuple(self._lines), self._left_out)


def _differences(found: _Collected, name: str, before: Any, after: Any) -> None:
    if before == after:
        return
    old, new = lines_of(before), lines_of(after)
    label = f"{name} = " if name else ""
    if len(old) <= 1 and len(new) <= 1:
        for sign, lines in (("-", old), ("+", new)):
            for line in lines:
                found.add(sign, label + line)
        return
    if name:
        found.add("@", name)
    if not old or not new or max(len(old), len(new)) > _COMPARED:
        found.add_some("-", old)
        found.add_some("+", new)
        return
    for line in list(difflib.unified_diff(old, new, n=2, lineterm=""))[2:]:
        if not line.startswith("@@"):
            found.add(line[0], f"  {line[1:]}")
