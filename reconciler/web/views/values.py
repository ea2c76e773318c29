"""Values of attributes and outputs as lines that people read, cut where somebody stored a whole file in one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from reconciler.tools.veil import MASK, UNKNOWN

MOST_LINES = 300
LONGEST = 1000
"""Characters of one line."""
MOST_CHARACTERS = 20_000
"""Characters of all lines of one value or resource: a page shows a hundred of them."""


def lines_of(value: Any) -> list[str]:
    """Return a value as lines: none for null, text as it is, and everything else as indented JSON."""
    match value:
        case None:
            return []
        case str() if value in {MASK, UNKNOWN}:
            return [value]
        case str():
            inner = _json_in(value)
            if inner is not None:
                return _json_lines(inner)
            return value.splitlines() if "\n" in value else [json.dumps(value, ensure_ascii=False)]
        case _:
            return _json_lines(value)


def pretty(value: Any) -> str:
    """Return a value as indented JSON."""
    return _joined(json.dumps(value, indent=2, ensure_ascii=False, default=str).splitlines())


def clipped(text: str) -> str:
    """Return a text as it is, cut if it is too long."""
    return _joined(text.split("\n"))


def _joined(lines: Sequence[str]) -> str:
    shown: list[str] = []
    length = 0
    for line in lines[:MOST_LINES]:
        short = line if len(line) <= LONGEST else f"{line[:LONGEST]}…"
        length += len(short)
        if length > MOST_CHARACTERS:
            break
        shown.append(short)
    left_out = len(lines) - len(shown)
    return "\n".join([*shown, f"… {left_out} more lines"] if left_out else shown)


def _json_lines(value: Any) -> list[str]:
    flat = json.dumps(value, ensure_ascii=False)
    return [flat] if len(flat) <= 60 else json.dumps(value, indent=2, ensure_ascii=False).splitlines()


def _json_in(text: str) -> Any:
    """Return the JSON object or array that a text is; None for any other text."""
    if text[:1] not in {"{", "["}:
        return None
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict | list) else None
