"""Reads the plan that a script writes to `$STATION_PLAN`: the same shape that policies get as `input.plan`.

Every mistake is a StepFailed that names the place and never a value: policies must not judge what was misread.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from reconciler.core.results import Action, OutputChange, Planned, ResourceChange
from reconciler.tools.base import StepFailed
from reconciler.tools.files import check_depth, parse_json, read_result
from reconciler.tools.veil import MASK

_LIMIT = 64 * 1024 * 1024
_LONGEST = 1024
_WHAT = "what script.plan wrote to $STATION_PLAN"
_PLAN = ("changes", "outputs")
_CHANGE = ("address", "type", "provider", "action", "before", "after", "movedFrom", "importedId")
_OUTPUT = ("name", "action", "before", "after", "sensitive")
_OUTPUT_ACTIONS = (Action.CREATE, Action.UPDATE, Action.DELETE)


def read_plan(path: Path) -> Planned:
    """Return the plan in the file, `has_changes` left open; an empty one if there is no file, or nothing in it."""
    data = read_result(path, _LIMIT)
    if data is None or not data.strip():
        return Planned(has_changes=False)
    plan = parse_json(data, _WHAT)
    check_depth(plan, _WHAT)
    _check_keys(plan, "it", _PLAN)
    changes = tuple(_change(item, where) for where, item in _list(plan, "changes"))
    seen: set[str] = set()
    for at, change in enumerate(changes):
        if change.address in seen:
            raise _wrong(f"changes[{at}].address", "is the address of an earlier change, too")
        seen.add(change.address)
    return Planned(False, changes, outputs=tuple(_output(item, where) for where, item in _list(plan, "outputs")))


def _change(item: Any, where: str) -> ResourceChange:
    _check_keys(item, where, _CHANGE)
    return ResourceChange(
        _text(item, "address", where),
        _text(item, "type", where),
        _text(item, "provider", where) if item.get("provider") is not None else "script",
        _action(item, where, tuple(Action)),
        item.get("before"),
        item.get("after"),
        _text(item, "movedFrom", where) if item.get("movedFrom") is not None else None,
        _text(item, "importedId", where) if item.get("importedId") is not None else None,
    )


def _output(item: Any, where: str) -> OutputChange:
    _check_keys(item, where, _OUTPUT)
    name, action = _text(item, "name", where), _action(item, where, _OUTPUT_ACTIONS)
    sensitive = item.get("sensitive", False)
    if not isinstance(sensitive, bool):
        raise _wrong(f"{where}.sensitive", "must be true or false")
    before, after = (MASK if sensitive and value is not None else value for value in map(item.get, ("before", "after")))
    return OutputChange(name, action, before, after, sensitive)


def _list(plan: Mapping[str, Any], key: str) -> Iterator[tuple[str, Any]]:
    items = plan.get(key, [])
    if not isinstance(items, list):
        raise _wrong(key, "must be a list")
    return ((f"{key}[{at}]", item) for at, item in enumerate(items))


def _check_keys(item: Any, where: str, known: tuple[str, ...]) -> None:
    if not isinstance(item, dict):
        raise _wrong(where, f"must be an object with {', '.join(known)}")
    for key in item:
        if key not in known:
            raise _wrong(where, f"has the unknown key {key[:40]!r}; there are {', '.join(known)}")


def _text(item: Mapping[str, Any], key: str, where: str) -> str:
    value = item.get(key)
    if not isinstance(value, str) or not value.strip() or not value.isprintable() or len(value) > _LONGEST:
        raise _wrong(f"{where}.{key}", f"must be one line of text, at most {_LONGEST} characters")
    return value


def _action(item: Mapping[str, Any], where: str, known: tuple[Action, ...]) -> Action:
    value = item.get("action")
    if value not in known:
        raise _wrong(f"{where}.action", f"must be one of {', '.join(known)}")
    return Action(value)


def _wrong(where: str, rule: str) -> StepFailed:
    return StepFailed(f"{_WHAT} cannot be used: {where} {rule}")
