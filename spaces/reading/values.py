"""How two versions of a document differ, value by value, so that each change of a value has an author of its own.

Admission asks. A place is a path of keys. An item of a list is found by what it is about and not by its number, since
items move when others come and go; so is a line of a longer text.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from difflib import SequenceMatcher
from typing import Any

REMOVED = "removed"
"""The value of an item that is gone with nothing in its place: whoever writes beside it does not mean that."""

_NAMING = ("name", "stack", "user", "group", "apiKey", "cron")
"""The keys by which a list's item says what it is about."""


def differences(one: Any, other: Any) -> dict[str, str]:
    """Return what is otherwise in `other` than in `one`, by place: the value there as text."""
    return dict(_compare((), one, other))


def line_differences(one: bytes | None, other: bytes | None) -> dict[str, str]:
    """Return which lines of a file are otherwise, for a file that is no document. None: there is no file."""
    found = dict(_compare_items((), _lines(one), _lines(other)))
    if (one is None) != (other is None):
        found[place("file")] = json.dumps(other is not None)
    return found


def place(*path: str) -> str:
    """Return a path of keys as a place."""
    return json.dumps(path, separators=(",", ":"), ensure_ascii=False)


def _lines(data: bytes | None) -> list[str]:
    return [] if data is None else data.decode(errors="replace").split("\n")


def _compare(path: tuple[str, ...], one: Any, other: Any) -> Iterator[tuple[str, str]]:
    text = isinstance(one, str | None) and isinstance(other, str | None)
    if text and (_is_text(one) or _is_text(other)):
        yield from _compare_items((*path, "|"), (one or "").split("\n"), (other or "").split("\n"))
    elif _is_a(dict, one, other):
        before, after = one or {}, other or {}
        for key in {**before, **after}:
            yield from _compare((*path, str(key)), before.get(key), after.get(key))
    elif _is_a(list, one, other):
        yield from _compare_items(path, one or [], other or [])
    elif json.dumps(one, default=str) != json.dumps(other, default=str):
        yield place(*path), json.dumps(other, default=str)


def _is_a(kind: type, one: Any, other: Any) -> bool:
    """Whether both are of a kind, or one of them is and the other is not there."""
    given = [each for each in (one, other) if each is not None]
    return bool(given) and all(isinstance(each, kind) and each for each in given)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and "\n" in value


def _compare_items(path: tuple[str, ...], one: list[Any], other: list[Any]) -> Iterator[tuple[str, str]]:
    before, after = _named(one), _named(other)
    matcher = SequenceMatcher(None, before, after, autojunk=False)
    for tag, i1, i2, j1, j2 in matcher.get_opcodes():
        if tag == "equal":
            for i, j in zip(range(i1, i2), range(j1, j2), strict=True):
                yield from _compare((*path, before[i]), one[i], other[j])
            continue
        instead = json.dumps(after[j1:j2]) if j1 < j2 else REMOVED
        for i in range(i1, i2):
            yield place(*path, before[i], "-"), instead
        for j in range(j1, j2):
            yield place(*path, after[j], "+"), json.dumps(other[j], default=str)


def _named(items: list[Any]) -> list[str]:
    """Name the items of a list, those that are alike by number."""
    seen: dict[str, int] = {}
    names = []
    for item in items:
        name = _name(item)
        seen[name] = seen.get(name, 0) + 1
        names.append(f"{name}#{seen[name]}")
    return names


def _name(item: Any) -> str:
    if isinstance(item, dict):
        metadata = item.get("metadata")
        if isinstance(metadata, dict) and isinstance(metadata.get("name"), str):
            return f"{item.get('kind')} {metadata['name']}"
        named = next((f"{key}={item[key]}" for key in _NAMING if isinstance(item.get(key), str)), None)
        if named is not None:
            return named
    return json.dumps(item, sort_keys=True, default=str)
