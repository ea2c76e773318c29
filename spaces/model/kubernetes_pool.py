"""The pods of a WorkerPool on Kubernetes: what a document may say of them, and what no document can take away.

A pool's pods are always as the Pod Security Standard "restricted" wants them, and each does one leg and is never
started again. The overlay is checked against a list of what it may say, so that a field that is new in Kubernetes is
refused until somebody has thought about it. `reconciler.engine.kubernetes` makes the pods.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import Field, StrictStr, StringConstraints

from spaces.model.base import IMAGE, NAME, QUANTITY, Model, Number, Path, Problem
from spaces.model.tools import ToolName

RUNNER = "runner"
"""The container that does the leg."""
OWN = "station-"
"""How the names of Jobs, Secrets and volumes begin that are the service's own."""
OWN_MOUNTS = ("/station", "/tmp")  # noqa: S108 - of the pod's own
"""Where the pod has volumes of its own."""

_NAME = Annotated[str, StringConstraints(strict=True, pattern=NAME)]
_IMAGE = Annotated[str, StringConstraints(strict=True, max_length=512, pattern=IMAGE)]
_QUANTITY = Annotated[str, StringConstraints(strict=True, pattern=QUANTITY)]
_START = 600


class PodResources(Model):
    """What a pod asks for, and what it gets at most."""

    requests: Mapping[str, _QUANTITY] = Field(default_factory=dict, description="Such as {cpu: 500m, memory: 1Gi}.")
    limits: Mapping[str, _QUANTITY] = Field(default_factory=dict, description="Such as {memory: 4Gi}.")


class KubernetesPool(Model):
    """Where the pods of a pool run, and how they look."""

    cluster: StrictStr | None = Field(
        None,
        min_length=1,
        max_length=253,
        description="The cluster: a context of the file that the setting kubernetes_config names. Default: its current "
        "context, or without that setting the cluster that the service itself runs in.",
    )
    namespace: _NAME = Field(description="The namespace of the pods. The service needs its Role there.")
    image: _IMAGE = Field(description="The image of the pods. It has to have the service's version of station in it.")
    images: Mapping[ToolName, _IMAGE] = Field(default_factory=dict, description="Other images, by tool.")
    service_account: _NAME | None = Field(
        None, description="The service account of the pods, by which clouds may know them. Default: the namespace's."
    )
    mount_token: bool = Field(
        default=False, description="Whether runs can use the service account in the cluster itself."
    )
    resources: PodResources | None = Field(None, description="What a pod asks for, and what it gets at most.")
    node_selector: Mapping[str, StrictStr] = Field(default_factory=dict, description="The labels of fitting nodes.")
    tolerations: tuple[Mapping[str, Any], ...] = Field((), description="The taints of nodes that are no obstacle.")
    start_seconds: Number = Field(
        _START, ge=10, le=86_400, description="How long a pod may take to begin before its run fails."
    )
    overlay: Mapping[str, Any] = Field(
        default_factory=dict,
        description="More of the pod template, merged into it: metadata and spec as Kubernetes has them.",
    )


MERGED = frozenset(("containers", "initContainers", "volumes", "volumeMounts", "env", "imagePullSecrets"))
"""The lists of an overlay that are merged into those of the pod by name: each is checked here."""
_SPEC = frozenset(
    (
        *("affinity", "containers", "dnsConfig", "dnsPolicy", "enableServiceLinks", "hostAliases", "imagePullSecrets"),
        *("initContainers", "nodeSelector", "priorityClassName", "runtimeClassName", "schedulerName"),
        *("securityContext", "tolerations", "topologySpreadConstraints", "volumes"),
    )
)
_POD_SECURITY = frozenset(
    ("runAsUser", "runAsGroup", "fsGroup", "fsGroupChangePolicy", "supplementalGroups", "seccompProfile")
)
_CONTAINER = frozenset(("name", "image", "imagePullPolicy", "env", "envFrom", "resources", "volumeMounts"))
_BESIDE = _CONTAINER | {"command", "args", "workingDir", "restartPolicy", "securityContext", "startupProbe"}
_CONTAINER_SECURITY = frozenset(("runAsUser", "runAsGroup", "seccompProfile"))
_SETTINGS = frozenset(("STATION_TERRAFORM_CLI_CONFIG", "STATION_TOOL_PATH", "STATION_TOOL_PATHS"))
"""The settings of a pod that are the pool's business."""
_VOLUME = frozenset(
    ("name", "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret")
)
_SECRETS = frozenset(("secret", "secretref", "secretkeyref", "nodepublishsecretref"))
_HINT = 'the pod stays as Kubernetes\' standard "restricted" wants it, and as the service needs it: see docs/engines.md'


def overlay_problems(overlay: object, at: Path) -> Iterator[Problem]:
    """Yield what an overlay says and may not; `at` is its path."""
    if not isinstance(overlay, Mapping):
        return
    yield from _only(overlay, {"metadata", "spec"}, at)
    metadata = overlay.get("metadata", {})
    yield from _only(metadata, {"labels", "annotations"}, (*at, "metadata"))
    for part in ("labels", "annotations"):
        words = metadata.get(part, {}) if isinstance(metadata, Mapping) else {}
        for key in words if isinstance(words, Mapping) else ():
            if "stationkeeper.io/" in str(key) or str(key).startswith("app.kubernetes.io/"):
                yield _refused((*at, "metadata", part, key), f"{key} is the service's own")
    yield from _spec_problems(overlay.get("spec", {}), (*at, "spec"))
    yield from _everywhere(overlay, at)


def _spec_problems(spec: object, at: Path) -> Iterator[Problem]:
    yield from _only(spec, _SPEC, at)
    if not isinstance(spec, Mapping):
        return
    yield from _security_problems(spec, _POD_SECURITY, at)
    for path, container in _items(spec, "containers", at):
        if container.get("name") != RUNNER:
            yield _refused(path, f"only the container {RUNNER} is there", "put others into initContainers")
        yield from _container_problems(container, _CONTAINER, path)
    for path, container in _items(spec, "initContainers", at):
        yield from _container_problems(container, _BESIDE, path)
        yield from _security_problems(container, _CONTAINER_SECURITY, path)
    for path, volume in _items(spec, "volumes", at):
        yield from _only(volume, _VOLUME, path)
        if str(volume.get("name", "")).startswith(OWN):
            yield _refused((*path, "name"), f"names with {OWN} are the service's own")
    for key in MERGED & spec.keys():
        yield from _list_problems(spec[key], (*at, key))


def _container_problems(container: Mapping[str, Any], allowed: frozenset[str], at: Path) -> Iterator[Problem]:
    yield from _only(container, allowed, at)
    for path, variable in _items(container, "env", at):
        name = str(variable.get("name", ""))
        if name == "HOME" or (name.startswith("STATION_") and name not in _SETTINGS):
            yield _refused((*path, "name"), f"{name} is the service's own", f"free are {', '.join(sorted(_SETTINGS))}")
    for path, mount in _items(container, "volumeMounts", at):
        place = str(mount.get("mountPath", "")).rstrip("/")
        if any(f"{place}/".startswith(f"{own}/") or f"{own}/".startswith(f"{place}/") for own in OWN_MOUNTS):
            yield _refused((*path, "mountPath"), f"{place or '/'} covers what the service has there")
        if str(mount.get("name", "")).startswith(OWN):
            yield _refused((*path, "name"), f"volumes with {OWN} are the service's own")
    for key in MERGED & container.keys():
        yield from _list_problems(container[key], (*at, key))


def _security_problems(around: Mapping[str, Any], allowed: frozenset[str], at: Path) -> Iterator[Problem]:
    context, path = around.get("securityContext", {}), (*at, "securityContext")
    yield from _only(context, allowed, path)
    if not isinstance(context, Mapping):
        return
    if context.get("runAsUser") == 0:
        yield _refused((*path, "runAsUser"), "a pod never runs as root")
    profile = context.get("seccompProfile", {"type": "RuntimeDefault"})
    if not isinstance(profile, Mapping) or profile.get("type") not in {"RuntimeDefault", "Localhost"}:
        yield _refused((*path, "seccompProfile"), "the type of a seccompProfile is RuntimeDefault or Localhost")


def _list_problems(value: object, at: Path) -> Iterator[Problem]:
    """Yield what is no list of mappings: the overlay could not be merged."""
    if not isinstance(value, list | tuple) or not all(isinstance(each, Mapping) for each in value):
        yield _refused(at, "must be a list of mappings", "as Kubernetes has it")


def _everywhere(value: object, at: Path, key: object = None) -> Iterator[Problem]:
    """Yield what may stand nowhere: nothing, which would remove something, and Secrets with the tokens of legs."""
    match value:
        case None:
            yield _refused(at, "an overlay adds and changes, and removes nothing", "leave it out")
        case Mapping():
            for name, inner in value.items():
                named = name == "secretName" or (name == "name" and str(key).lower() in _SECRETS)
                if named and str(inner).startswith(OWN):
                    yield _refused((*at, name), f"Secrets with {OWN} are the service's own")
                yield from _everywhere(inner, (*at, name), name)
        case list() | tuple():
            for index, inner in enumerate(value):
                yield from _everywhere(inner, (*at, index), key)


def _only(value: object, allowed: frozenset[str] | set[str], at: Path) -> Iterator[Problem]:
    if not isinstance(value, Mapping):
        yield _refused(at, "must be a mapping", "as Kubernetes has it")
        return
    for key in value:
        if key not in allowed:
            yield _refused((*at, key), f"an overlay cannot set {key}", at_key=True)


def _items(value: Mapping[str, Any], key: str, at: Path) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    found = value.get(key)
    for index, item in enumerate(found if isinstance(found, list | tuple) else ()):
        if isinstance(item, Mapping):
            yield (*at, key, index), item


def _refused(path: Path, summary: str, hint: str = _HINT, *, at_key: bool = False) -> Problem:
    return Problem(path, "invalid-value", summary, hint, at_key=at_key)
