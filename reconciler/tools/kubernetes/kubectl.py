"""Runs kubectl. What it reads goes into files of the run's own, and what it prints for machines comes back as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reconciler.tools.base import Do, NotUnderstood, StepFailed, ToolJob
from reconciler.tools.files import parse_json, read_result, remove, shape_of, write_scratch
from reconciler.tools.kubernetes.inventory import LABELS
from reconciler.tools.kubernetes.objects import Key, Manifest, items_of, key_of, type_of


@dataclass(frozen=True, slots=True)
class Kinds:
    """The kinds that a cluster knows: by `Deployment.apps`, the version to ask for and whether it has namespaces."""

    known: Mapping[str, tuple[str, bool]]
    groups: frozenset[str] = field(default_factory=frozenset)
    """The groups with their versions, as `apps/v1`."""
    is_complete: bool = True
    """False: an API of the cluster did not answer, so a kind that is missing here may be there all the same."""


class Kubectl:
    """The commands of one run."""

    def __init__(self, job: ToolJob, do: Do, manager: str) -> None:
        self._job, self._do = job, do
        self._manager = manager
        context = job.options.get("context")
        self._base = (job.binary, *((f"--context={context}",) if context else ()))

    def read_manifests(self, *source: str) -> list[dict[str, Any]]:
        """Return the objects in manifests, read just as kubectl reads them, without asking the cluster."""
        command = (self._job.binary, "patch", "--local", "--type=merge", "--patch={}", *source, "--output=json")
        return _stream(self._printed(command, shown=True))

    def kinds(self) -> Kinds:
        """Ask the cluster for its kinds."""
        # kubectl fails as well where only some of the APIs answer, and prints what it has.
        table, is_complete = self._printed_at_all((*self._base, "api-resources", "--no-headers"))
        known: dict[str, tuple[str, bool]] = {}
        for line in table.decode(errors="replace").splitlines():
            match line.split()[-3:]:
                case [version, ("true" | "false") as namespaced, kind]:
                    group, slash, _ = version.partition("/")
                    known[type_of(group if slash else "", kind)] = version, namespaced == "true"
                case _:
                    continue
        if not known:
            raise StepFailed("the cluster does not say which kinds it knows")
        return Kinds(known, frozenset(version for version, _ in known.values()), is_complete=is_complete)

    def versions(self) -> frozenset[str]:
        """Ask the cluster for all versions of its APIs, as `apps/v1`."""
        return frozenset(self._printed((*self._base, "api-versions")).decode(errors="replace").split())

    def server_version(self) -> str:
        """Ask the cluster for its version, as `v1.33.1`."""
        answer = self._json((*self._base, "get", "--raw=/version"))
        version = answer.get("gitVersion") if isinstance(answer, dict) else None
        if not isinstance(version, str):
            raise StepFailed("the cluster does not say which version it has")
        return version

    def current_namespace(self) -> str:
        """Return the namespace that the kubeconfig names for its context, or `default`."""
        path = "--output=jsonpath={.contexts[0].context.namespace}"
        printed = self._printed((*self._base, "config", "view", "--minify", path), ok=(0, 1))
        return printed.decode(errors="replace").strip() or "default"

    def get(self, manifests: Sequence[Manifest]) -> dict[Key, dict[str, Any]]:
        """Return those of the objects that are there."""
        if not manifests:
            return {}
        with self._file([_identity(manifest) for manifest in manifests]) as file:
            command = (*self._base, "get", f"--filename={file}", "--ignore-not-found", "--show-managed-fields")
            return _by_key(self._json((*command, "--output=json")))

    def inventories_in(self, namespace: str) -> list[str]:
        """Return the names of the inventories that lie in a namespace."""
        selector = ",".join(f"{name}={value}" for name, value in LABELS.items())
        command = (*self._base, "get", "configmaps", f"--namespace={namespace}", f"--selector={selector}")
        return sorted(key.name for key in _by_key(self._json((*command, "--output=json"))))

    def try_apply(self, manifests: Sequence[Manifest]) -> dict[Key, dict[str, Any]]:
        """Return what the objects would be after a forced apply, without applying anything."""
        if not manifests:
            return {}
        with self._file(manifests) as file:
            command = (*self._apply(file), "--force-conflicts", "--dry-run=server", "--show-managed-fields")
            return _by_key(self._json((*command, "--output=json")))

    def apply(self, manifests: Sequence[Manifest], *, force: bool = False) -> None:
        """Apply the objects, one after the other."""
        if not manifests:
            return
        with self._file(manifests) as file:
            self._do((*self._apply(file), *(("--force-conflicts",) if force else ())))

    def delete(self, manifests: Sequence[Manifest], seconds: int) -> None:
        """Delete the objects, one after the other, and wait until they are gone; 0 seconds: do not wait."""
        if not manifests:
            return
        with self._file([_identity(manifest) for manifest in manifests]) as file:
            wait = ("--wait=true", f"--timeout={seconds}s") if seconds else ("--wait=false",)
            self._do((*self._base, "delete", f"--filename={file}", "--ignore-not-found", *wait))

    def show_warnings(self, namespace: str) -> None:
        """Write the latest warnings of a namespace into the run's log: why its objects do not become ready."""
        command = (*self._base, "get", "events", f"--namespace={namespace}", "--field-selector=type=Warning")
        self._do((*command, "--sort-by=.metadata.creationTimestamp"), ok=(0, 1))

    def say(self, text: str) -> None:
        """Write a line into the run's log."""
        self._do(("printf", "%s\\n", text), shown=False)

    def _apply(self, file: Path) -> tuple[str, ...]:
        return (*self._base, "apply", "--server-side", f"--field-manager={self._manager}", f"--filename={file}")

    def _unreachable(self, failed: StepFailed) -> StepFailed:
        if "KUBECONFIG" in self._job.env:
            return failed
        return StepFailed(f"{failed}; no document sets KUBECONFIG", failed.code)

    @contextmanager
    def _file(self, manifests: Iterable[Manifest]) -> Iterator[Path]:
        """Write the objects into a file, which is removed afterwards: there may be Secrets among them."""
        path = self._job.scratch / "objects.json"
        document = {"apiVersion": "v1", "kind": "List", "items": list(manifests)}
        write_scratch(path, json.dumps(document).encode())
        try:
            yield path
        finally:
            remove(path)

    def _printed(self, command: Sequence[str], *, ok: Sequence[int] = (0,), shown: bool = False) -> bytes:
        path = self._job.scratch / "printed"
        try:
            self._do(command, ok=ok, stdout=path, shown=shown)
            return read_result(path) or b""
        finally:
            remove(path)

    def _printed_at_all(self, command: Sequence[str]) -> tuple[bytes, bool]:
        """Return what a command printed, and whether it came to a good end; StepFailed where it printed nothing."""
        path = self._job.scratch / "printed"
        try:
            self._do(command, stdout=path, shown=False)
            return read_result(path) or b"", True
        except StepFailed as failed:
            printed = read_result(path) or b""
            if not printed.strip():
                raise self._unreachable(failed) from None
            return printed, False
        finally:
            remove(path)

    def _json(self, command: Sequence[str]) -> Any:
        printed = self._printed(command)
        return parse_json(printed, "what kubectl printed") if printed.strip() else None


@shape_of("what kubectl printed")
def _by_key(found: Any) -> dict[Key, dict[str, Any]]:
    return {key_of(item): item for item in items_of(found)}


def _identity(manifest: Manifest) -> dict[str, Any]:
    metadata = {name: manifest["metadata"][name] for name in ("name", "namespace") if manifest["metadata"].get(name)}
    return {"apiVersion": manifest["apiVersion"], "kind": manifest["kind"], "metadata": metadata}


def _stream(data: bytes) -> list[dict[str, Any]]:
    """Return the JSON objects that were printed one after the other."""
    decoder, text, at = json.JSONDecoder(), data.decode(errors="replace").strip(), 0
    found: list[dict[str, Any]] = []
    while at < len(text):
        try:
            document, at = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            raise NotUnderstood("what kubectl printed of the manifests is not JSON that can be read", data) from None
        found += items_of(document)
        while at < len(text) and text[at].isspace():
            at += 1
    return found
