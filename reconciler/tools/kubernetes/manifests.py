"""Renders a source into objects: plain manifests, a kustomization, or a chart."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from reconciler.tools.base import Do, StepFailed, ToolJob
from reconciler.tools.files import read_result, remove, write_scratch
from reconciler.tools.kubernetes.kubectl import Kinds, Kubectl
from reconciler.tools.kubernetes.objects import CRD, Key, group_of, key_of, type_of
from reconciler.tools.kubernetes.shown import is_secret

KUSTOMIZATIONS = ("kustomization.yaml", "kustomization.yml", "Kustomization")
"""The names that a kustomization's file may have."""
_EVERYWHERE = frozenset(
    (
        "v1",
        "admissionregistration",
        "apiextensions",
        "apiregistration",
        "apps",
        "authentication",
        "authorization",
        "autoscaling",
        "batch",
        "certificates",
        "coordination",
        "discovery",
        "events",
        "flowcontrol.apiserver",
        "networking",
        "node",
        "policy",
        "rbac.authorization",
        "resource",
        "scheduling",
        "storage",
        "storagemigration",
    )
)
"""The API groups that every cluster has: helm knows them by itself."""
_READ = {".yaml", ".yml", ".json"}


def rendered(job: ToolJob, do: Do, kubectl: Kubectl, kinds: Kinds, namespace: str) -> list[dict[str, Any]]:
    """Return the objects of the source, as it is written."""
    helm = job.options.get("helm")
    if helm:
        command = _helm(job, do, helm, kubectl, kinds, namespace)
    elif _is_kustomized(job):
        command = (job.binary, "kustomize", ".")
    else:
        return _read(job, kubectl, "--recursive", "--filename=.")
    file = job.scratch / "rendered.yaml"
    try:
        do(command, stdout=file)
        return _read(job, kubectl, f"--filename={file}") if _holds_something(file) else []
    finally:
        remove(file)
        remove(_values(job))


def _read(job: ToolJob, kubectl: Kubectl, *source: str) -> list[dict[str, Any]]:
    if "--recursive" in source and not _has_manifests(job.directory):
        return []
    return kubectl.read_manifests(*source)


def _has_manifests(directory: Path) -> bool:
    """Whether kubectl finds anything to read: it fails where there is nothing."""
    files = (Path(top, name) for top, _, names in os.walk(directory) for name in names)
    return any(file.is_symlink() or _holds_something(file) for file in files if file.suffix in _READ)


def _holds_something(file: Path) -> bool:
    """Whether there is more than comments in a file."""
    lines = (read_result(file) or b"").splitlines()
    return any(line.strip() and not line.startswith((b"#", b"---")) for line in lines)


def _is_kustomized(job: ToolJob) -> bool:
    said = job.options.get("kustomize")
    if isinstance(said, bool):
        return said
    return any((job.directory / name).is_file() for name in KUSTOMIZATIONS)


def _values(job: ToolJob) -> Path:
    return job.scratch / "values.json"


def _helm(  # noqa: PLR0917
    job: ToolJob, do: Do, helm: Mapping[str, Any], kubectl: Kubectl, kinds: Kinds, namespace: str
) -> tuple[str, ...]:
    binary = shutil.which("helm", path=job.env.get("PATH", os.environ.get("PATH", "")))
    if binary is None:
        raise StepFailed("helm is not installed: there is no helm on the search path")
    chart, repository = str(helm["chart"]), helm.get("repository")
    flags = [f"--version={helm['version']}"] if helm.get("version") else []
    if not repository:
        place = _local(job, chart)
    elif repository.startswith("oci://"):
        place = f"{repository.rstrip('/')}/{chart}"
    elif job.charts is not None and (name := job.charts.name_of(repository)):
        place = f"{name}/{chart}"
        known = (f"--repository-config={job.charts.file}", f"--repository-cache={job.scratch / 'charts'}")
        do((binary, "repo", "update", *known, "--", name))
        flags += known
    else:
        place = chart
        flags.append(f"--repo={repository}")
    values = [f"--values={file}" for file in helm.get("valueFiles") or ()]
    if helm.get("values"):
        write_scratch(_values(job), json.dumps(helm["values"]).encode())
        values.append(f"--values={_values(job)}")
    named = (f"{version}/{kind.partition('.')[0]}" for kind, (version, _) in kinds.known.items())
    versions = sorted(version for version in {*kubectl.versions(), *named} if _group(version) not in _EVERYWHERE)
    return (
        binary,
        "template",
        f"--namespace={namespace}",
        "--include-crds",
        "--skip-tests",
        "--no-hooks",
        f"--kube-version={kubectl.server_version()}",
        *(f"--api-versions={version}" for version in versions),
        *values,
        *flags,
        "--",
        str(helm.get("release") or job.stack.rpartition("/")[2] or "release"),
        place,
    )


def _local(job: ToolJob, chart: str) -> str:
    if not (job.directory / chart).exists():
        hint = ": the stack's include has to name it" if chart.startswith("../") else ""
        raise StepFailed(f"the source has no chart {chart}{hint}")
    # A path without a dot could be taken for the name of a repository and a chart in it.
    return chart if chart.startswith("../") else f"./{chart.removeprefix('./')}"


def _group(version: str) -> str:
    return version.partition("/")[0].removesuffix(".k8s.io")


_NOT_FOR_A_CLUSTER = {("v1", "Config"), ("kustomize.config.k8s.io/v1beta1", "Kustomization")}


def prepared(found: Iterable[dict[str, Any]], kinds: Kinds, namespace: str, stack: str) -> list[dict[str, Any]]:
    """Return the objects as they are applied: each with its namespace, once, of a kind that is known or made here.

    The service's own documents and kubeconfigs that lie beside manifests are left out. StepFailed names all objects
    that cannot be applied.
    """
    objects = [manifest for manifest in found if not _is_no_object(manifest)]
    scopes = {**{kind: namespaced for kind, (_, namespaced) in kinds.known.items()}, **dict(_made_kinds(objects))}
    problems: list[str] = []
    result: dict[Key, dict[str, Any]] = {}
    for manifest in objects:
        problem = _problem(manifest, scopes, is_complete=kinds.is_complete)
        if problem is not None:
            problems.append(problem)
            continue
        placed = _placed(manifest, namespace if scopes[type_of(group_of(manifest), manifest["kind"])] else "")
        key = key_of(placed)
        if key in result:
            problems.append(f"{key.words} is in the source twice")
        result[key] = _with_mark(_without_plain_values(placed) if is_secret(placed) else placed, stack)
    if problems:
        raise StepFailed("; ".join(dict.fromkeys(problems)))
    return list(result.values())


def served_by(crd: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the versions that a CustomResourceDefinition serves, as (`example.com/v1`, kind)."""
    spec = crd.get("spec") or {}
    try:
        for version in spec["versions"]:
            if version.get("served", True) and isinstance(spec["names"]["kind"], str):
                yield f"{spec['group']}/{version['name']}", spec["names"]["kind"]
    except (AttributeError, KeyError, TypeError):
        return  # the API explains a broken one best


def _made_kinds(objects: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, bool]]:
    for manifest in objects:
        if is_crd(manifest):
            for version, kind in served_by(manifest):
                yield type_of(version.partition("/")[0], kind), manifest["spec"].get("scope") != "Cluster"


def is_crd(manifest: Mapping[str, Any]) -> bool:
    """Whether an object defines a kind."""
    return type_of(group_of(manifest), str(manifest.get("kind"))) == CRD


def _is_no_object(manifest: Mapping[str, Any]) -> bool:
    version, kind = str(manifest.get("apiVersion", "")), str(manifest.get("kind", ""))
    return version.startswith("stationkeeper/") or (version, kind) in _NOT_FOR_A_CLUSTER


def _problem(manifest: Mapping[str, Any], scopes: Mapping[str, bool], *, is_complete: bool) -> str | None:
    metadata = manifest.get("metadata")
    kind, version = manifest.get("kind"), manifest.get("apiVersion")
    if not isinstance(kind, str) or not isinstance(version, str) or not version:
        return f"an object of the kind {kind} has no apiVersion"
    if not isinstance(metadata, dict) or not isinstance(metadata.get("name"), str) or not metadata["name"]:
        return f"an object of the kind {kind} has no metadata.name, which a server-side apply needs"
    if not isinstance(metadata.get("namespace", ""), str | None):
        return f"{kind} {metadata['name']} has a metadata.namespace that is no text"
    if type_of(group_of(manifest), kind) not in scopes:
        knows = "knows no" if is_complete else "names no (an API of it does not answer)"
        return f'the cluster {knows} kind {kind} in {version}, which "{metadata["name"]}" is of'
    return None


def _placed(manifest: Mapping[str, Any], namespace: str) -> dict[str, Any]:
    """Return the object in its namespace; an object of the whole cluster has none."""
    metadata = {name: value for name, value in manifest["metadata"].items() if name != "namespace"}
    if namespace:
        metadata["namespace"] = manifest["metadata"].get("namespace") or namespace
    kept = {name: value for name, value in manifest.items() if name != "status"}
    return {**kept, "metadata": {name: value for name, value in metadata.items() if name != "creationTimestamp"}}


def _with_mark(manifest: dict[str, Any], stack: str) -> dict[str, Any]:
    """Return an object in which there is something to manage.

    The API server remembers nobody as the manager of an object without any field, such as a bare namespace, and two
    stacks that share it would not know of each other.
    """
    if set(manifest) - {"apiVersion", "kind", "metadata"} or set(manifest["metadata"]) - {"name", "namespace"}:
        return manifest
    mark = {f"stationkeeper/of-{hashlib.sha256(stack.encode()).hexdigest()[:16]}": stack}
    return {**manifest, "metadata": {**manifest["metadata"], "annotations": mark}}


def _without_plain_values(secret: dict[str, Any]) -> dict[str, Any]:
    """Return a Secret without `stringData`: the API would never remove a value that was once given that way."""
    plain, data = secret.get("stringData"), secret.get("data") or {}
    if not isinstance(plain, dict) or not isinstance(data, dict):
        return secret  # the API explains a broken one best
    if not all(isinstance(value, str) for value in plain.values()):
        return secret
    encoded = {name: base64.b64encode(value.encode()).decode() for name, value in plain.items()}
    rest = {name: value for name, value in secret.items() if name != "stringData"}
    return {**rest, "data": {**data, **encoded}}
