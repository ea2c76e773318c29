"""The Job of a leg and its Secret, as Kubernetes takes them: pure.

Nothing secret is in the Job. The Secret holds the token of the leg alone, and goes with the Job. What the pool's
document may not change is set after its overlay, whatever that says.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from reconciler.engine.ends import LegId
from spaces.model.kubernetes_pool import MERGED, OWN, RUNNER, KubernetesPool

Json = dict[str, Any]

PREFIX = "stationkeeper.io/"
HOLDER, RUN, ATTEMPT, LEG = (f"{PREFIX}{name}" for name in ("service", "run", "attempt", "leg"))
STACK = f"{PREFIX}stack"
MANAGER = "app.kubernetes.io/managed-by"

KEPT_SECONDS = 600
"""How long Kubernetes keeps what is left of a Job, for whoever wants to look at its pod."""
_PLACE, _TOKEN = "/station", "token"
_MERGED_BY = {"volumeMounts": "mountPath"}
_USER = 10001


@dataclass(frozen=True, slots=True)
class LegPod:
    """What the pod of a leg has to know. Times in seconds."""

    which: LegId
    stack: str
    tool: str
    url: str
    """Where the pod reaches the service."""
    holder: str
    """The service, which other services leave alone."""
    timeout: float
    """How long the leg's phases may take in all."""
    grace: float
    """How long its tool has to stop."""


def name_of(which: LegId) -> str:
    """Return the name of a leg's Job and Secret, always the same for one leg."""
    return f"{OWN}{which.run.lower()}-{which.attempt}-{which.leg}"


def holder_label(holder: str) -> str:
    """Return a service's name as the value of a label."""
    return hashlib.blake2b(holder.encode(), digest_size=16).hexdigest()


def job_of(pod: LegPod, pool: KubernetesPool) -> Json:
    """Return the Job of a leg."""
    labels = _labels(pod)
    template = _forced(_merged(_template(pod, pool), deepcopy(dict(pool.overlay))), pod, pool)
    template["metadata"]["labels"] |= labels
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name_of(pod.which), "labels": labels, "annotations": {STACK: pod.stack}},
        "spec": {
            "backoffLimit": 0,
            "completions": 1,
            "parallelism": 1,
            "podReplacementPolicy": "Failed",
            "activeDeadlineSeconds": int(pool.start_seconds + pod.timeout + 2 * pod.grace + 300),
            "ttlSecondsAfterFinished": KEPT_SECONDS,
            "template": template,
        },
    }


def secret_of(pod: LegPod, token: str, job_uid: str) -> Json:
    """Return the Secret with a leg's token, which goes with the Job."""
    name = name_of(pod.which)
    owner = {"apiVersion": "batch/v1", "kind": "Job", "name": name, "uid": job_uid, "blockOwnerDeletion": False}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "Opaque",
        "metadata": {"name": name, "labels": _labels(pod), "ownerReferences": [owner]},
        "data": {_TOKEN: base64.b64encode(token.encode()).decode()},
    }


def _labels(pod: LegPod) -> Json:
    which = pod.which
    return {
        MANAGER: "stationkeeper",
        HOLDER: holder_label(pod.holder),
        RUN: which.run.lower(),
        ATTEMPT: str(which.attempt),
        LEG: str(which.leg),
    }


def _template(pod: LegPod, pool: KubernetesPool) -> Json:
    """Return the pod as the pool's fields have it, before the overlay."""
    runner: Json = {
        "name": RUNNER,
        "image": {str(tool): image for tool, image in pool.images.items()}.get(pod.tool, pool.image),
    }
    if pool.resources is not None:
        runner["resources"] = {"requests": dict(pool.resources.requests), "limits": dict(pool.resources.limits)}
    spec: Json = {"containers": [runner], "enableServiceLinks": False}
    if pool.node_selector:
        spec["nodeSelector"] = dict(pool.node_selector)
    if pool.tolerations:
        spec["tolerations"] = [dict(each) for each in pool.tolerations]
    security = {"runAsUser": _USER, "runAsGroup": _USER, "fsGroup": _USER}
    spec["securityContext"] = {**security, "seccompProfile": {"type": "RuntimeDefault"}}
    return {"metadata": {"labels": {}, "annotations": {}}, "spec": spec}


def _forced(template: Json, pod: LegPod, pool: KubernetesPool) -> Json:
    """Set what no overlay may change: one start, no privileges, and the service's own volumes and variables."""
    spec = template["spec"]
    spec["restartPolicy"] = "Never"
    spec["terminationGracePeriodSeconds"] = int(pod.grace) + 60
    spec["automountServiceAccountToken"] = pool.mount_token
    if pool.service_account is not None:
        spec["serviceAccountName"] = pool.service_account
    spec["securityContext"] |= {"runAsNonRoot": True}
    for container in (*spec["containers"], *spec.get("initContainers", ())):
        security = container.setdefault("securityContext", {})
        security |= {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "runAsNonRoot": True}
        security["capabilities"] = {"drop": ["ALL"]}
    (runner,) = spec["containers"]
    # The worker's name is that of its host, which is the pod's.
    runner["command"] = ["station", "worker", "--leg-token-file", f"{_PLACE}/leg/{_TOKEN}"]
    runner.pop("args", None)
    own = {
        "STATION_URL": pod.url,
        "STATION_DATA_DIR": f"{_PLACE}/work/data",
        "HOME": f"{_PLACE}/work",
        # Where bubblewrap works in the pod it is used; elsewhere the pod alone is the sandbox.
        "STATION_REQUIRE_SANDBOX": "false",
        # Nothing of it is there for the next run.
        "STATION_PROVIDER_CACHE": "0",
    }
    runner["env"] = [*runner.get("env", ()), *({"name": name, "value": value} for name, value in own.items())]
    runner["volumeMounts"] = [
        *runner.get("volumeMounts", ()),
        {"name": f"{OWN}work", "mountPath": f"{_PLACE}/work"},
        {"name": f"{OWN}leg", "mountPath": f"{_PLACE}/leg", "readOnly": True},
        {"name": f"{OWN}tmp", "mountPath": "/tmp"},  # noqa: S108 - the pod's own
    ]
    spec["volumes"] = [
        *spec.get("volumes", ()),
        {"name": f"{OWN}work", "emptyDir": {}},
        {"name": f"{OWN}tmp", "emptyDir": {}},
        {"name": f"{OWN}leg", "secret": {"secretName": name_of(pod.which), "defaultMode": 0o440}},
    ]
    return template


def _merged(value: Any, patch: Any, key: str = "") -> Any:
    """Merge as Kubernetes merges patches: objects by key, and lists of named things by their name."""
    if isinstance(value, dict) and isinstance(patch, Mapping):
        found = dict(value)
        for name, inner in patch.items():
            found[name] = _merged(found.get(name), inner, name)
        return found
    if key in MERGED and isinstance(value, list) and isinstance(patch, list | tuple):
        by = _MERGED_BY.get(key, "name")
        known = {each.get(by): each for each in value}
        for each in patch:
            known[each.get(by)] = _merged(known.get(each.get(by), {}), each)
        return list(known.values())
    return list(patch) if isinstance(patch, tuple) else patch
