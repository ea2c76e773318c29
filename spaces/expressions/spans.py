"""The positions of expressions in a text."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

OPENS, CLOSES = "${{", "}}"

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Span:
    """One expression of a text: `index` is its number in the text, `source` the part between the braces.

    `start` and `end` are the offsets of the expression with its braces. `closed` is False if its end is missing.
    """

    index: int
    source: str
    start: int
    end: int
    closed: bool = True


def spans(text: str) -> list[Span]:
    """Return the expressions of a text, in order. Braces inside an expression's strings do not end it."""
    found: list[Span] = []
    at = text.find(OPENS)
    while at >= 0:
        end = _end(text, at + len(OPENS))
        if end < 0:
            found.append(Span(len(found), text[at + len(OPENS) :], at, len(text), closed=False))
            break
        found.append(Span(len(found), text[at + len(OPENS) : end], at, end + len(CLOSES)))
        at = text.find(OPENS, end + len(CLOSES))
    return found


def is_whole(span: Span, text: str) -> bool:
    """Whether the text consists of this expression alone."""
    return span.closed and span.start == 0 and span.end == len(text)


def texts(value: Any, path: Path = ()) -> Iterator[tuple[Path, str]]:
    """Yield the texts in a value that hold expressions, each with its path. Keys are not among them."""
    todo: list[tuple[Path, Any]] = [(path, value)]
    while todo:
        here, item = todo.pop()
        if isinstance(item, str):
            if OPENS in item:
                yield here, item
        elif isinstance(item, dict):
            todo.extend(((*here, key), item[key]) for key in reversed(item))
        elif isinstance(item, list):
            todo.extend(((*here, index), item[index]) for index in reversed(range(len(item))))


def _end(text: str, at: int) -> int:
    """Return the offset of the braces that close an expression, outside its strings and maps; -1 if there are none."""
    quote, depth = "", 0
    while at < len(text):
        char = text[at]
        if quote:
            if char == "\\":
                at += 1
            elif char == quote:
                quote = ""
        elif char in "\"'":
            quote = char
        elif char == "{":
            depth += 1
        elif char == "}":
            if depth == 0:
                return at if text.startswith(CLOSES, at) else -1
            depth -= 1
        at += 1
    return -1
