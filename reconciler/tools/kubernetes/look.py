"""Gathers what a plan is decided from: what the source wants, what is there, and what the API server makes of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from reconciler.tools.base import StepFailed
from reconciler.tools.kubernetes.inventory import read
from reconciler.tools.kubernetes.kubectl import Kinds, Kubectl
from reconciler.tools.kubernetes.manifests import is_crd, served_by
from reconciler.tools.kubernetes.objects import NAMESPACE, Key, Manifest, content, key_of

NEW_KIND = "its kind is new"
NEW_VERSION = "its version of the API is new"
NEW_NAMESPACE = "its namespace is new"
CHANGED_KIND = "the definition of its kind changes"


class Look:
    """One look: the `inventory` at `place`, and `lookups`, `live`, `unchecked` and `tried`, each by object."""

    def __init__(self, kubectl: Kubectl, kinds: Kinds, wanted: Sequence[Manifest], place: Manifest) -> None:
        self._kubectl, self._kinds = kubectl, kinds
        self._made = {served: key_of(crd) for crd in wanted if is_crd(crd) for served in served_by(crd)}
        self._wanted = {key_of(manifest): manifest for manifest in wanted}
        self._new_versions = self._find_new_versions()
        self.lookups = dict(self._references())
        # The inventory comes along: a second look is for what left the source, which is seldom.
        found = kubectl.get([place, *self.lookups.values()])
        self.inventory = read(found.pop(key_of(place), None))
        left = dict(self._left())
        self.lookups |= left
        self.live: Mapping[Key, dict[str, Any]] = {**found, **kubectl.get(list(left.values()))}
        self.unchecked = dict(self._not_ready())
        self.tried = self._try(key for key in self._wanted if key not in self.unchecked and not self._crd_of(key))
        changed = {key for key in self._made.values() if self._changes(key)}
        self.unchecked |= {
            key: CHANGED_KIND for key in self._wanted if key not in self.unchecked and self._crd_of(key) in changed
        }
        self.tried |= self._try(key for key in self._wanted if key not in self.unchecked and key not in self.tried)

    def _find_new_versions(self) -> frozenset[str]:
        """Return versions that only this source makes, of kinds that are there in another one."""
        asked = {
            manifest["apiVersion"]
            for key, manifest in self._wanted.items()
            if key.type in self._kinds.known and self._crd_of(key)
        }
        asked -= self._kinds.groups
        return frozenset(asked) - self._kubectl.versions() if asked else frozenset()

    def _references(self) -> Iterator[tuple[Key, dict[str, Any]]]:
        for key, manifest in self._wanted.items():
            known = self._kinds.known.get(key.type)
            if known is not None:
                version = manifest["apiVersion"]
                yield key, _reference(key, known[0] if version in self._new_versions else version)

    def _left(self) -> Iterator[tuple[Key, dict[str, Any]]]:
        for key in self.inventory:
            if key in self._wanted:
                continue
            known = self._kinds.known.get(key.type)
            if known is not None:
                yield key, _reference(key, known[0])
            elif not self._kinds.is_complete and not self._wanted:
                raise StepFailed(f"an API of the cluster does not answer, so nobody knows whether {key.words} is there")

    def _not_ready(self) -> Iterator[tuple[Key, str]]:
        """Yield the objects that the API server cannot try before others are applied, with the reason."""
        new = {key.name for key in self._wanted if key.type == NAMESPACE and key not in self.live}
        for key, manifest in self._wanted.items():
            if key.type not in self._kinds.known:
                yield key, NEW_KIND
            elif manifest["apiVersion"] in self._new_versions:
                yield key, NEW_VERSION
            elif key.namespace in new:
                yield key, NEW_NAMESPACE

    def _crd_of(self, key: Key) -> Key | None:
        manifest = self._wanted[key]
        return self._made.get((manifest["apiVersion"], manifest["kind"]))

    def _changes(self, key: Key) -> bool:
        live, tried = self.live.get(key), self.tried.get(key)
        return live is None or tried is None or content(live) != content(tried)

    def _try(self, keys: Iterable[Key]) -> dict[Key, dict[str, Any]]:
        chosen = list(keys)
        tried = self._kubectl.try_apply([self._wanted[key] for key in chosen])
        for key in chosen:
            if key not in tried:
                raise StepFailed(f"kubectl did not say what {key.words} would be")
        return tried


def _reference(key: Key, version: str) -> dict[str, Any]:
    metadata = {"name": key.name, **({"namespace": key.namespace} if key.namespace else {})}
    return {"apiVersion": version, "kind": key.kind, "metadata": metadata}
