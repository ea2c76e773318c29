"""The inventory: a ConfigMap of our own that lists what a stack has applied, so that what leaves the source is found.

It lies in the stack's namespace and is named after the stack. Labels of objects play no part in it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from reconciler.tools.base import StepFailed
from reconciler.tools.files import parse_json, shape_of
from reconciler.tools.kubernetes.objects import Key, Manifest, type_of

PREFIX = "stationkeeper."
PROTECTED = ("Namespace", "CustomResourceDefinition", "PersistentVolume", "PersistentVolumeClaim")
"""Kinds whose objects take others along when they go, unless a document says otherwise."""
LABELS = {"app.kubernetes.io/managed-by": "stationkeeper", "app.kubernetes.io/component": "inventory"}
"""Labels of every inventory."""
_LONGEST = 128
_OBJECTS = "objects.json"


@dataclass(frozen=True, slots=True)
class AppliedObject:
    """One object that the stack has applied."""

    key: Key
    version: str
    """The API version in which it was applied: `apps/v1`."""
    was_there: bool = False
    """Whether it had been there before the stack."""
    digest: str = ""
    """The digest of what was applied; empty for a Secret, whose value could be guessed from it."""

    @property
    def reference(self) -> dict[str, Any]:
        """Return what names the object to kubectl."""
        metadata = {"name": self.key.name, **({"namespace": self.key.namespace} if self.key.namespace else {})}
        return {"apiVersion": self.version, "kind": self.key.kind, "metadata": metadata}


Inventory = Mapping[Key, AppliedObject]


def name_of(stack: str) -> str:
    """Return the name of a stack's inventory, which is also its name as a manager of fields."""
    name = PREFIX + stack.replace("/", ".")
    if len(name) <= _LONGEST:
        return name
    return f"{name[: _LONGEST - 17].rstrip('.-')}.{hashlib.sha256(name.encode()).hexdigest()[:16]}"


def reference(name: str, namespace: str) -> dict[str, Any]:
    """Return what names the inventory's object to kubectl."""
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": namespace}}


def written(entries: Iterable[AppliedObject], name: str, namespace: str, stack: str) -> dict[str, Any]:
    """Return the inventory as an object."""
    about = {"stationkeeper/about": f"What the stack {stack} has applied. Without it nothing of that is ever removed."}
    manifest = reference(name, namespace)
    lines = ",\n".join(json.dumps(_to_data(entry), sort_keys=True) for entry in sorted(entries, key=lambda it: it.key))
    return {
        **manifest,
        "metadata": {**manifest["metadata"], "labels": LABELS, "annotations": about},
        "data": {_OBJECTS: f"[\n{lines}\n]"},
    }


def read(manifest: Manifest | None) -> Inventory:
    """Read an inventory; without one nothing was applied yet. StepFailed for one that is not ours."""
    if manifest is None:
        return {}
    text = (manifest.get("data") or {}).get(_OBJECTS)
    what = f"the inventory {manifest['metadata'].get('name')}"
    if not isinstance(text, str):
        raise StepFailed(f"{what} has a shape that is not known")
    return _entries(parse_json(text.encode(), what))


@shape_of("the inventory")
def _entries(data: Any) -> Inventory:
    found = (entry_from_data(item) for item in data)
    return {entry.key: entry for entry in found}


def entry_from_data(data: Mapping[str, Any]) -> AppliedObject:
    """Read back one entry."""
    version = data["apiVersion"]
    group, slash, _ = version.partition("/")
    key = Key(group if slash else "", data["kind"], data.get("namespace", ""), data["name"])
    return AppliedObject(key, version, bool(data.get("wasThere", False)), data.get("digest", ""))


def to_data(entries: Iterable[AppliedObject]) -> list[dict[str, Any]]:
    """Return entries as plain JSON data."""
    return [_to_data(entry) for entry in entries]


def _to_data(entry: AppliedObject) -> dict[str, Any]:
    data: dict[str, Any] = {"apiVersion": entry.version, "kind": entry.key.kind, "name": entry.key.name}
    if entry.key.namespace:
        data["namespace"] = entry.key.namespace
    if entry.was_there:
        data["wasThere"] = True
    if entry.digest:
        data["digest"] = entry.digest
    return data


def is_protected(key: Key, kinds: Iterable[str]) -> bool:
    """Whether an object is of one of the kinds, written as `Kind` or `Kind.group`."""
    return bool({key.kind, type_of(key.group, key.kind)} & set(kinds))
