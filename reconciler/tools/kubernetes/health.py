"""Tells from a live object alone whether it is ready, is getting there, or has failed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from reconciler.tools.kubernetes.objects import Manifest, group_of, type_of


class HealthStatus(StrEnum):
    """How an object is."""

    READY = "ready"
    PROGRESSING = "progressing"
    FAILED = "failed"
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class ObjectHealth:
    """How an object is, with the reason where it is not ready."""

    status: HealthStatus
    message: str = ""

    @property
    def is_ready(self) -> bool:
        """Whether there is nothing to wait for."""
        return self.status is HealthStatus.READY


READY = ObjectHealth(HealthStatus.READY)
MISSING = ObjectHealth(HealthStatus.MISSING, "it is not there")


def health(manifest: Manifest) -> ObjectHealth:
    """Return the health of a live object; one that says nothing about itself is ready."""
    metadata, status = manifest["metadata"], _mapping(manifest.get("status"))
    if metadata.get("deletionTimestamp"):
        return _progressing("it is being deleted")
    seen = status.get("observedGeneration")
    if isinstance(seen, int) and isinstance(metadata.get("generation"), int) and seen < metadata["generation"]:
        return _progressing("its controller has not seen it yet")
    look = _KINDS.get(type_of(group_of(manifest), manifest["kind"]), _by_conditions)
    return look(_mapping(manifest.get("spec")), status)


def _progressing(message: str) -> ObjectHealth:
    return ObjectHealth(HealthStatus.PROGRESSING, message)


def _failed(message: str) -> ObjectHealth:
    return ObjectHealth(HealthStatus.FAILED, message)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _count(status: Mapping[str, Any], name: str, without: int = 0) -> int:
    value = status.get(name, without)
    return value if isinstance(value, int) else without


def _condition(status: Mapping[str, Any], kind: str) -> tuple[str, str]:
    """Return a condition's status and what it says; empty where there is none."""
    conditions = status.get("conditions")
    for condition in conditions if isinstance(conditions, list) else ():
        if isinstance(condition, dict) and condition.get("type") == kind:
            said = condition.get("message") or condition.get("reason") or kind
            return str(condition.get("status", "")), " ".join(str(said).split())
    return "", ""


def _by_conditions(_: Mapping[str, Any], status: Mapping[str, Any]) -> ObjectHealth:
    stalled, why = _condition(status, "Stalled")
    if stalled == "True":
        return _failed(why)
    reconciling, why = _condition(status, "Reconciling")
    if reconciling == "True":
        return _progressing(why)
    ready, why = _condition(status, "Ready")
    return _progressing(why) if ready in {"False", "Unknown"} else READY


def _deployment(spec: Mapping[str, Any], status: Mapping[str, Any]) -> ObjectHealth:
    progressing, why = _condition(status, "Progressing")
    if progressing == "False":
        return _failed(why)
    wanted = _count(spec, "replicas", 1)
    updated, available = _count(status, "updatedReplicas"), _count(status, "availableReplicas")
    if "observedGeneration" not in status:
        return _progressing("its controller has not seen it yet")
    if updated < wanted:
        return _progressing(f"{updated} of {wanted} replicas are updated")
    if _count(status, "replicas") > updated:
        return _progressing(f"{_count(status, 'replicas') - updated} old replicas are still there")
    return READY if available >= wanted else _progressing(f"{available} of {wanted} replicas are available")


def _stateful_set(spec: Mapping[str, Any], status: Mapping[str, Any]) -> ObjectHealth:
    wanted = _count(spec, "replicas", 1)
    strategy = _mapping(spec.get("updateStrategy"))
    if "observedGeneration" not in status:
        return _progressing("its controller has not seen it yet")
    ready = _count(status, "readyReplicas")
    if ready < wanted:
        return _progressing(f"{ready} of {wanted} replicas are ready")
    if strategy.get("type") == "OnDelete":
        return READY
    to_update = wanted - _count(_mapping(strategy.get("rollingUpdate")), "partition")
    updated = _count(status, "updatedReplicas")
    return READY if updated >= to_update else _progressing(f"{updated} of {to_update} replicas are updated")


def _daemon_set(spec: Mapping[str, Any], status: Mapping[str, Any]) -> ObjectHealth:
    if "observedGeneration" not in status:
        return _progressing("its controller has not seen it yet")
    wanted, available = _count(status, "desiredNumberScheduled"), _count(status, "numberAvailable")
    updated = _count(status, "updatedNumberScheduled")
    if updated < wanted and _mapping(spec.get("updateStrategy")).get("type") != "OnDelete":
        return _progressing(f"{updated} of {wanted} Pods are updated")
    return READY if available >= wanted else _progressing(f"{available} of {wanted} Pods are available")


def _replica_set(spec: Mapping[str, Any], status: Mapping[str, Any]) -> ObjectHealth:
    wanted, available = _count(spec, "replicas", 1), _count(status, "availableReplicas")
    return READY if available >= wanted else _progressing(f"{available} of {wanted} replicas are available")


def _job(spec: Mapping[str, Any], status: Mapping[str, Any]) -> ObjectHealth:
    failed, why = _condition(status, "Failed")
    if failed == "True":
        return _failed(why)
    if _condition(status, "Complete")[0] == "True" or spec.get("suspend") is True:
        return READY
    return _progressing(f"{_count(status, 'succeeded')} of {_count(spec, 'completions', 1)} Pods have succeeded")


def _pod(_: Mapping[str, Any], status: Mapping[str, Any]) -> ObjectHealth:
    phase = status.get("phase")
    ready, why = _condition(status, "Ready")
    if phase == "Failed":
        return _failed(str(status.get("message") or "it has failed"))
    return READY if phase == "Succeeded" or ready == "True" else _progressing(why or f"it is {phase or 'new'}")


def _claim(_: Mapping[str, Any], status: Mapping[str, Any]) -> ObjectHealth:
    phase = status.get("phase")
    if phase == "Lost":
        return _failed("its volume is lost")
    return READY if phase == "Bound" else _progressing("no volume is bound to it")


def _namespace(_: Mapping[str, Any], status: Mapping[str, Any]) -> ObjectHealth:
    return READY if status.get("phase") == "Active" else _progressing("it is not active")


def _crd(_: Mapping[str, Any], status: Mapping[str, Any]) -> ObjectHealth:
    accepted, why = _condition(status, "NamesAccepted")
    if accepted == "False":
        return _failed(why)
    return READY if _condition(status, "Established")[0] == "True" else _progressing("it is not established")


_KINDS: Mapping[str, Callable[[Mapping[str, Any], Mapping[str, Any]], ObjectHealth]] = {
    "Deployment.apps": _deployment,
    "StatefulSet.apps": _stateful_set,
    "DaemonSet.apps": _daemon_set,
    "ReplicaSet.apps": _replica_set,
    "Job.batch": _job,
    "Pod": _pod,
    "PersistentVolumeClaim": _claim,
    "Namespace": _namespace,
    "CustomResourceDefinition.apiextensions.k8s.io": _crd,
}
