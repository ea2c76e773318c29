"""The saved plan: exactly what an apply does, and what must still be as the plan saw it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reconciler.tools.base import StepFailed, ToolJob
from reconciler.tools.files import read_json, write_scratch
from reconciler.tools.kubernetes.inventory import AppliedObject, Inventory, entry_from_data, to_data
from reconciler.tools.kubernetes.objects import Key, Manifest, content, key_of
from reconciler.tools.kubernetes.plan import ApplyStep, PlanDecision


@dataclass(frozen=True, slots=True)
class SavedStep:
    """One object to apply, and what the plan saw of it."""

    manifest: Manifest
    force: bool
    lookup: Manifest | None
    """What names it to kubectl before the apply; None for an object of a new kind."""
    seen: str | None
    """The digest of what the plan changes in it, as it was; None: it was not there."""
    paths: tuple[tuple[str, ...], ...] = ()
    """What the plan changes in it; empty for an object that could not be tried."""


@dataclass(frozen=True, slots=True)
class SavedPlan:
    """Everything that an apply needs to know."""

    name: str
    namespace: str
    steps: tuple[SavedStep, ...]
    deletes: tuple[Manifest, ...]
    """What names each object to delete, with the uid that it had."""
    wanted: tuple[Manifest, ...]
    """What names each object of the source."""
    before: tuple[AppliedObject, ...]
    entries: tuple[AppliedObject, ...]


def path_of(job: ToolJob) -> Path:
    """Return where the plan is saved."""
    return job.scratch / "plan.json"


def save(job: ToolJob, answer: PlanDecision, inventory: Inventory, name: str, namespace: str) -> None:
    """Write the plan. It holds the values of Secrets in clear, as every saved plan does."""
    data = {
        "name": name,
        "namespace": namespace,
        "steps": [_step_to_data(step) for step in answer.steps],
        "deletes": [_named(manifest) for manifest in answer.deletes],
        "wanted": [_named(manifest) for manifest in answer.wanted],
        "before": to_data(inventory.values()),
        "entries": to_data(answer.entries),
    }
    write_scratch(path_of(job), json.dumps(data).encode())


def load(job: ToolJob) -> SavedPlan:
    """Read the plan back; StepFailed where it is something else."""
    data = read_json(path_of(job))
    try:
        return SavedPlan(
            data["name"],
            data["namespace"],
            tuple(_step_from_data(step) for step in data["steps"]),
            tuple(data["deletes"]),
            tuple(data["wanted"]),
            tuple(map(entry_from_data, data["before"])),
            tuple(map(entry_from_data, data["entries"])),
        )
    except (AttributeError, KeyError, TypeError, ValueError):
        raise StepFailed("the saved plan cannot be read") from None


def outdated(plan: SavedPlan, live: Mapping[Key, Manifest]) -> Iterator[str]:
    """Yield a sentence for each object that is not as the plan saw it, in what the plan changes of it."""
    for step in plan.steps:
        key = key_of(step.manifest)
        found = live.get(key)
        if found is None and step.seen is not None:
            yield f"{key.words} is not there any more"
        elif found is not None and step.seen is None:
            yield f"{key.words} is there by now"
        elif found is not None and step.seen != _digest(found, step.paths):
            yield f"{key.words} has changed"
    for manifest in plan.deletes:
        found = live.get(key_of(manifest))
        if found is not None and found["metadata"].get("uid") != manifest["metadata"].get("uid"):
            yield f"{key_of(manifest).words} is another one by now"


def _step_to_data(step: ApplyStep) -> dict[str, Any]:
    before, after = step.before, step.after
    paths = () if before is None or after is None else tuple(_differences(content(before), content(after)))
    return {
        "manifest": step.manifest,
        "force": step.force,
        "lookup": step.lookup,
        "seen": None if before is None else _digest(before, paths),
        "paths": paths,
    }


def _step_from_data(data: Mapping[str, Any]) -> SavedStep:
    paths = tuple(map(tuple, data["paths"]))
    return SavedStep(data["manifest"], bool(data["force"]), data["lookup"], data["seen"], paths)


def _named(manifest: Manifest) -> dict[str, Any]:
    metadata = {name: value for name, value in manifest["metadata"].items() if name in {"name", "namespace", "uid"}}
    return {"apiVersion": manifest["apiVersion"], "kind": manifest["kind"], "metadata": metadata}


def _differences(one: Any, other: Any, above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the paths at which two objects differ; a list counts as one value."""
    if isinstance(one, dict) and isinstance(other, dict):
        for name in sorted({*one, *other}):
            yield from _differences(one.get(name), other.get(name), (*above, name))
    elif one != other:
        yield above


def _digest(manifest: Manifest, paths: Sequence[Sequence[str]]) -> str:
    seen = content(manifest)
    values = [[list(path), _at(seen, path)] for path in paths]
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def _at(value: Any, path: Sequence[str]) -> Any:
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value
