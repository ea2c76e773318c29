"""Finds out from whom an apply would take fields away.

A server-side apply that is forced tells who managed which field before and who does afterwards: what another manager
loses is what an apply that is not forced would be refused for. A change made with kubectl to an object that the stack
has made is no such conflict: it is drift, and is put back.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from reconciler.tools.kubernetes.objects import Manifest, managers

_BY_HAND = "kubectl"
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Loss:
    """Fields that another manager would lose to an apply."""

    manager: str
    fields: tuple[str, ...]

    @property
    def by_hand(self) -> bool:
        """Whether somebody set the fields with kubectl."""
        return self.manager == _BY_HAND or self.manager.startswith(f"{_BY_HAND}-")

    @property
    def words(self) -> str:
        """Return `"helm" manages .spec.replicas`."""
        shown = [*self.fields[:_SHOWN], *(["…"] if len(self.fields) > _SHOWN else [])]
        return f'"{self.manager}" manages {", ".join(shown)}'


def losses(before: Manifest, after: Manifest, own: str) -> tuple[Loss, ...]:
    """Return what each other manager loses between a live object and the same object after a forced apply."""
    kept = {_identity(entry): set(_paths(entry.get("fieldsV1"))) for entry in managers(after)}
    lost: dict[str, set[str]] = {}
    for entry in managers(before):
        manager = str(entry.get("manager", ""))
        # An older entry of our own may be in another version of the API.
        if manager == own or entry.get("subresource") == "status":
            continue
        gone = set(_paths(entry.get("fieldsV1"))) - kept.get(_identity(entry), set())
        if gone:
            lost.setdefault(manager, set()).update(gone)
    return tuple(Loss(manager, tuple(sorted(fields))) for manager, fields in sorted(lost.items()))


def applied_by(manifest: Manifest) -> frozenset[str]:
    """Return the managers that apply an object, rather than to change some fields of it."""
    return frozenset(str(entry.get("manager")) for entry in managers(manifest) if entry.get("operation") == "Apply")


def _identity(entry: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(entry.get(part) for part in ("manager", "operation", "subresource", "apiVersion"))


def _paths(fields: Any, above: str = "") -> Iterator[str]:
    """Yield the fields of a set as the API server writes them: `.spec.containers[name="web"].image`."""
    if not isinstance(fields, dict):
        return
    for name, below in fields.items():
        if name == ".":
            continue
        path = above + _step(name)
        if isinstance(below, dict) and set(below) - {"."}:
            yield from _paths(below, path)
        else:
            yield path


def _step(name: str) -> str:
    kind, _, rest = name.partition(":")
    match kind:
        case "f":
            return f".{rest}"
        case "k":
            return f"[{','.join(_pairs(rest))}]"
        case "v":
            return f"[={rest}]"
        case _:
            return f"[{rest}]"


def _pairs(text: str) -> Iterable[str]:
    try:
        named = json.loads(text)
        return [f"{name}={json.dumps(value)}" for name, value in named.items()]
    except (ValueError, AttributeError):
        return [text]
