"""Objects of Kubernetes as plain JSON: what tells one from another, their order, and what counts as their content."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from reconciler.tools.base import NotUnderstood

Manifest = Mapping[str, Any]
"""An object as JSON, from a source or from the API."""

CRD = "CustomResourceDefinition.apiextensions.k8s.io"
NAMESPACE = "Namespace"

# Each kind after those that it refers to. What is not listed comes between those who are asked about every new object
# and everything else.
_ORDER = (
    "PriorityClass",
    "StorageClass",
    "RuntimeClass",
    "IngressClass",
    "ResourceQuota",
    "LimitRange",
    "NetworkPolicy",
    "ServiceAccount",
    "Role",
    "ClusterRole",
    "RoleBinding",
    "ClusterRoleBinding",
    "Secret",
    "ConfigMap",
    "PersistentVolume",
    "PersistentVolumeClaim",
    "Service",
    "PodDisruptionBudget",
    "Pod",
    "ReplicaSet",
    "Deployment",
    "StatefulSet",
    "DaemonSet",
    "Job",
    "CronJob",
    "HorizontalPodAutoscaler",
    "Ingress",
    "APIService",
)
_PLACES = {kind: place for place, kind in enumerate(_ORDER)}
_LAST = {
    "MutatingWebhookConfiguration",
    "ValidatingWebhookConfiguration",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
}

_SERVERS_OWN = ("managedFields", "resourceVersion", "generation", "uid", "creationTimestamp", "selfLink")
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
"""An annotation of kubectl's with the whole object in it, secrets too: never shown, never compared."""


@dataclass(frozen=True, slots=True, order=True)
class Key:
    """What tells one object of a cluster from another, whatever the version in which it is written."""

    group: str
    kind: str
    namespace: str
    """Empty for an object of the whole cluster."""
    name: str

    @property
    def type(self) -> str:
        """The kind as kubectl writes it: `Deployment.apps`, `ConfigMap`."""
        return type_of(self.group, self.kind)

    @property
    def address(self) -> str:
        """Return `Deployment.apps/shop/web`, or `Namespace/shop` for an object of the whole cluster."""
        return "/".join(part for part in (self.type, self.namespace, self.name) if part)

    @property
    def words(self) -> str:
        """Return `Deployment shop/web`, for messages."""
        return f"{self.kind} {'/'.join(part for part in (self.namespace, self.name) if part)}"


def type_of(group: str, kind: str) -> str:
    """Return `Deployment.apps`; the kind alone in the core group."""
    return f"{kind}.{group}" if group else kind


def key_of(manifest: Manifest) -> Key:
    """Return the key of an object that has a kind and a name."""
    metadata = manifest["metadata"]
    return Key(group_of(manifest), manifest["kind"], metadata.get("namespace") or "", metadata["name"])


def group_of(manifest: Manifest) -> str:
    """Return an object's API group; empty for the core."""
    group, slash, _ = str(manifest["apiVersion"]).partition("/")
    return group if slash else ""


def items_of(document: Any) -> list[dict[str, Any]]:
    """Return the objects in what kubectl printed: nothing, one object, or a list of them."""
    if document is None:
        return []
    if isinstance(document, dict) and document.get("kind") == "List" and isinstance(document.get("items"), list):
        return [item for item in document["items"] if isinstance(item, dict)]
    if not isinstance(document, dict):
        raise NotUnderstood("what kubectl printed has a shape that is not known", str(document).encode())
    return [document]


def in_order(manifest: Manifest) -> tuple[int, int, str]:
    """Return a sort key: an object comes after what it refers to, and objects of one kind by name."""
    kind = manifest["kind"]
    first = {CRD: 0, NAMESPACE: 1}.get(type_of(group_of(manifest), kind))
    if first is not None:
        return first, 0, key_of(manifest).address
    if kind in _LAST:
        return 4, 0, key_of(manifest).address
    return (2, _PLACES[kind], key_of(manifest).address) if kind in _PLACES else (3, 0, key_of(manifest).address)


def content(manifest: Manifest) -> dict[str, Any]:
    """Return what a person or a controller wrote into an object, without what the server adds by itself."""
    metadata = {name: value for name, value in manifest["metadata"].items() if name not in _SERVERS_OWN}
    annotations = metadata.get("annotations")
    if isinstance(annotations, dict):
        kept = {name: value for name, value in annotations.items() if name != LAST_APPLIED}
        metadata = {**metadata, "annotations": kept} if kept else _without(metadata, "annotations")
    return {**_without(manifest, "status"), "metadata": metadata}


def _without(mapping: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in mapping.items() if key != name}


def fingerprint(manifest: Manifest) -> str:
    """Return a short digest of an object as its source has it."""
    return hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()[:16]


def managers(manifest: Manifest) -> list[Mapping[str, Any]]:
    """Return the entries of who manages which fields of a live object."""
    return [entry for entry in manifest["metadata"].get("managedFields") or () if isinstance(entry, dict)]
