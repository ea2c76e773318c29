"""What of an object may be shown: never the values of a Secret, nor the same values anywhere else."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from reconciler.core.results import Resource
from reconciler.tools.kubernetes.health import ObjectHealth
from reconciler.tools.kubernetes.objects import CRD, Key, Manifest, content, key_of
from reconciler.tools.veil import MASK, Secrets, veiled

PROVIDER = "kubernetes"
_HOLD_VALUES = ("data", "stringData")
_SHORTEST = 8  # a shorter one is the name of a namespace or a user as often as it is a secret


def secrets_of(manifests: Iterable[Manifest]) -> Secrets:
    """Return the values of all Secrets among the objects, as they are and as the API writes them."""
    values = (value for manifest in manifests if is_secret(manifest) for value in _values(manifest))
    return Secrets(value for value in values if len(value) >= _SHORTEST)


def is_secret(manifest: Manifest) -> bool:
    """Whether an object is a Secret."""
    return manifest.get("kind") == "Secret" and manifest.get("apiVersion") == "v1"


def shown(manifest: Manifest, secrets: Secrets) -> dict[str, Any]:
    """Return the content of an object; of a Secret the keys only."""
    seen = content(manifest)
    if is_secret(manifest):
        for part in _HOLD_VALUES:
            if isinstance(seen.get(part), dict):
                seen[part] = dict.fromkeys(seen[part], MASK)
    result: dict[str, Any] = veiled(seen, None, secrets)
    return result


def resource(manifest: Manifest, health: ObjectHealth, secrets: Secrets) -> Resource:
    """Return a live object as one of the stack's resources."""
    key = key_of(manifest)
    seen = shown(manifest, secrets)
    attributes = {
        "id": manifest["metadata"].get("uid", ""),
        **_brief(key, seen),
        "health": {"status": str(health.status), "message": secrets.hide(health.message)},
    }
    return Resource(key.address, key.type, PROVIDER, attributes)


def _brief(key: Key, seen: Mapping[str, Any]) -> Mapping[str, Any]:
    if key.type != CRD:
        return seen
    # The schemas of a CRD can be larger than everything else that a stack makes.
    spec = {name: value for name, value in seen["spec"].items() if name in {"group", "names", "scope"}}
    versions = [version.get("name") for version in seen["spec"].get("versions") or ()]
    return {**seen, "spec": {**spec, "versions": versions}}


def _values(manifest: Manifest) -> Iterator[str]:
    for part in _HOLD_VALUES:
        values = manifest.get(part)
        for value in values.values() if isinstance(values, dict) else ():
            if not isinstance(value, str):
                continue
            yield value
            if part == "data":
                try:
                    yield base64.b64decode(value, validate=True).decode()
                except (binascii.Error, UnicodeDecodeError):
                    continue
