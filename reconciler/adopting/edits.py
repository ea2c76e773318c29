"""An edit of a text file: one value is replaced, and everything around it stays as somebody wrote it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Edit:
    """Characters of a file from `start` to before `end`, and what is to stand there."""

    file: str
    start: int
    end: int
    new: str
    line: int
    """Counted from 1."""


@dataclass(frozen=True, slots=True)
class ByHand:
    """A value that only a person can change; `why` is the end of a sentence. `line` 0: not known."""

    why: str
    file: str | None = None
    line: int = 0


@dataclass(frozen=True, slots=True)
class Default:
    """A value that is somebody else's word: by which name, and where its default stands, if it has a plain one."""

    name: str
    file: str
    line: int
    default: Edit | ByHand | None


def line_at(text: str, position: int) -> int:
    """Return the number of the line that a character stands in."""
    return text.count("\n", 0, position) + 1


def edited(text: str, edits: Iterable[Edit]) -> str:
    """Return a file's text after all edits of it, which must not overlap; the same edit may come twice."""
    for edit in sorted(set(edits), key=lambda each: each.start, reverse=True):
        text = text[: edit.start] + edit.new + text[edit.end :]
    return text
