"""Reads the events that our callback plugin writes: what a check run would change, what a run did, where it failed."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from reconciler.core.results import Action, Applied, JsonValue, Planned, Resource, ResourceChange
from reconciler.tools.base import NotUnderstood
from reconciler.tools.files import shape_of

_EVENTS = "the events of the ansible run"
UNFORESEEN = "(cannot be foreseen in check mode)"
"""Stands in `after` of a task that a check run leaves out: a command, or a module without check mode."""
DONE = "(done by the plan itself: the task says check_mode: false)"
"""Stands in `after` of a task that changes its host in a check run too."""
_PROVIDER = "ansible"
_ABOUT_NOTHING = frozenset(
    ("gather_facts", "setup", "set_fact", "debug", "meta", "include_role", "include_tasks", "include_vars")
)
"""Modules whose tasks are about the play itself, and nothing on a host."""


@dataclass(frozen=True, slots=True)
class Events:
    """The end of each task on each host, in order, and each host's totals; `hosts` is None where the run broke off."""

    tasks: tuple[Mapping[str, Any], ...] = ()
    hosts: Mapping[str, Mapping[str, int]] | None = None


def parse(data: bytes) -> Events:
    """Read the events file; NotUnderstood if it is not what the plugin writes. A last line cut short is left out."""
    tasks: list[Mapping[str, Any]] = []
    hosts: Mapping[str, Mapping[str, int]] | None = None
    for line in data.split(b"\n")[:-1]:
        try:
            event = _printable(json.loads(line, parse_constant=str))
        except (ValueError, RecursionError):
            raise NotUnderstood(f"{_EVENTS} cannot be read", data) from None
        match event:
            case {"event": "task"}:
                tasks.append(event)
            case {"event": "end", "hosts": dict(found)}:
                hosts = found
            case _:
                raise NotUnderstood(f"{_EVENTS} cannot be read", data)
    return Events(tuple(tasks), hosts)


def _printable(value: Any) -> Any:
    """Return the event; where ansible met bytes that are no text, with a question mark for each."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    try:
        text.encode()
    except UnicodeEncodeError:
        return json.loads(text.encode(errors="replace"))
    return value


@shape_of("a record of the ansible run")
def planned(events: Events, *, foreseen_only: bool = False) -> Planned:
    """Turn a check run into changes: one for each task that would change a host, or that nobody can foresee.

    Writing the outputs file is something to do, but changes nothing in the world: each run has a new one.
    With `foreseen_only` neither counts: it is asked what differs on the hosts, not what there is to do.
    """
    changes = []
    writes_outputs = False
    for address, event in _addressed(events.tasks):
        if event["status"] != "changed" and (foreseen_only or not event["unforeseen"]):
            continue
        if event["outputs"]:
            writes_outputs = not foreseen_only
            continue
        before, after = _difference(event)
        changes.append(ResourceChange(address, event["module"], _PROVIDER, Action.UPDATE, before, after))
    return Planned(has_changes=writes_outputs or bool(changes), changes=tuple(changes))


@shape_of("a record of the ansible run")
def applied(events: Events) -> Applied:
    """Turn a run into resources: each task that ran on a host, with how it ended there."""
    return Applied(
        resources=tuple(
            Resource(address, event["module"], _PROVIDER, {"status": event["status"]})
            for address, event in _addressed(events.tasks)
            if event["status"] != "skipped" and event["module"].rpartition(".")[2] not in _ABOUT_NOTHING
        )
    )


@dataclass(frozen=True, slots=True)
class FailureCause:
    """Why a run failed, in one line; `unreachable`: nothing failed but the way to a host."""

    message: str
    unreachable: bool


@shape_of("a record of the ansible run")
def failure(events: Events) -> FailureCause | None:
    """Return which task failed first and where, and which hosts cannot be reached; None if no task is to blame.

    A task whose failure was ignored or rescued is not to blame: a host's last failure is what stopped it.
    """
    last: dict[str, Mapping[str, Any]] = {}
    stopped = {
        host for host, totals in (events.hosts or {}).items() if totals.get("failures") or totals.get("unreachable")
    }
    for event in events.tasks:
        if event["status"] in {"failed", "unreachable"} and (events.hosts is None or event["host"] in stopped):
            last.pop(event["host"], None)
            last[event["host"]] = event
    failed = [event for event in last.values() if event["status"] == "failed"]
    away = [event for event in last.values() if event["status"] == "unreachable"]
    if not failed and not away:
        return None
    said = [_first(f"task '{it['task']}' failed on {it['host']}", it, failed) for it in failed[:1]]
    said += [_first(f"host {it['host']} cannot be reached, at task '{it['task']}'", it, away) for it in away[:1]]
    return FailureCause("; ".join(said), unreachable=not failed)


def _first(text: str, event: Mapping[str, Any], alike: Sequence[Any]) -> str:
    others = f" (and on {len(alike) - 1} more)" if len(alike) > 1 else ""
    message = " ".join((event["message"] or "").split())
    # Not cut here: of a secret that is cut, nobody could mask the rest.
    return f"{text}{others}: {message}" if message else f"{text}{others}"


def _addressed(tasks: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield each task's end on each host, by host and name."""
    seen: Counter[str] = Counter()
    for event in _in_order(tasks):
        address = f"{event['host']}/{event['task']}"
        seen[address] += 1
        # Tasks need no names of their own, and a file of tasks can be included twice.
        yield (address if seen[address] == 1 else f"{address} #{seen[address]}"), event


def _in_order(tasks: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Sort the hosts of each task, which end in whatever order they please."""
    first: dict[str, int] = {}
    return sorted(tasks, key=lambda event: (first.setdefault(event["task"], len(first)), event["host"]))


def _difference(event: Mapping[str, Any]) -> tuple[JsonValue, JsonValue]:
    diffs = event["diffs"]
    befores = [diff["before"] for diff in diffs if "before" in diff]
    afters = [diff.get("after", diff.get("prepared")) for diff in diffs if "after" in diff or "prepared" in diff]
    marks = [mark for mark, holds in ((UNFORESEEN, event["unforeseen"]), (DONE, event["done"])) if holds]
    return _one_or_all(befores), _one_or_all([*afters, *marks])


def _one_or_all(values: list[JsonValue]) -> JsonValue:
    match values:
        case []:
            return None
        case [one]:
            return one
        case _:
            return values
