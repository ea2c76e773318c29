"""Kubernetes: the API server itself says what an apply would change, applies it, and says who else manages a field.

A plan renders the source and tries it with a server-side apply that is not carried out. It saves the objects that
differ. An apply applies these, waits until everything is ready, and then deletes what left the source. What a stack has
applied is listed in an inventory of its own in the cluster.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from reconciler.core.results import Applied, Planned, Resource
from reconciler.tools.base import Abilities, Do, References, SourceReader, StepFailed, ToolJob, leaving
from reconciler.tools.kubernetes import inventory as inventories
from reconciler.tools.kubernetes import saved
from reconciler.tools.kubernetes.carry_out import CarryOut
from reconciler.tools.kubernetes.health import health
from reconciler.tools.kubernetes.kubectl import Kinds, Kubectl
from reconciler.tools.kubernetes.look import Look
from reconciler.tools.kubernetes.manifests import prepared, rendered
from reconciler.tools.kubernetes.objects import NAMESPACE, Key, Manifest, key_of
from reconciler.tools.kubernetes.plan import PlanInput, decide
from reconciler.tools.kubernetes.shown import resource, secrets_of
from reconciler.tools.kubernetes.waiting import wait_until_ready

_WAIT = 300
"""Seconds that objects may take to become ready, unless a document says otherwise."""
_VERSION = re.compile(r"^Client Version: v(\S+)", re.MULTILINE)


class Kubernetes:
    """Runs `kubectl`, and `helm` for a chart."""

    name = "kubernetes"
    binaries: tuple[str, ...] = ("kubectl",)
    abilities = Abilities(plans_drift=True, managed_tfstate=False, says_health=True)

    def version_command(self, binary: str) -> Sequence[str] | None:
        """Return the command that prints the version of kubectl."""
        return (binary, "version", "--client")

    def read_version(self, printed: str) -> str:
        """Return the version of kubectl; ValueError if there is none."""
        found = _VERSION.search(printed)
        if found is None:
            raise ValueError("no line that says 'Client Version: v…'")
        return found.group(1)

    def references(self, reader: SourceReader, path: str) -> References:
        """Follow the directories and files that kustomizations name."""
        from reconciler.tools.kubernetes.kustomizations import follow  # noqa: PLC0415 - only the service needs it

        return follow(reader, path)

    def init(self, job: ToolJob, do: Do) -> None:
        """Do nothing: hooks may still write manifests."""

    def plan(self, job: ToolJob, do: Do) -> Planned:
        """Render the source, have the API server try it, and save what is to be done."""
        name = inventories.name_of(_stack(job))
        kubectl = Kubectl(job, do, name)
        kinds = kubectl.kinds()
        namespace = str(job.options.get("namespace") or kubectl.current_namespace())
        wanted = [] if job.destroy else _wanted(job, do, kubectl, kinds, namespace)
        look = Look(kubectl, kinds, wanted, inventories.reference(name, namespace))
        question = PlanInput(
            name,
            wanted,
            look.unchecked,
            look.lookups,
            look.live,
            look.tried,
            look.inventory,
            prune=job.destroy or bool(job.options.get("prune", True)),
            force=bool(job.options.get("forceConflicts", False)),
            protected=tuple(job.options.get("protected", inventories.PROTECTED)),
        )
        answer = decide(question)
        if answer.conflicts:
            way = "leave these fields out of the source, or set kubernetes.forceConflicts"
            raise StepFailed(f"{'; '.join(answer.conflicts)}: {way}")
        _check_namespaces(kubectl, answer.deletes, name)
        saved.save(job, answer, look.inventory, name, namespace)
        if answer.changes or job.destroy:
            return Planned(bool(answer.changes) or bool(look.inventory), answer.changes, answer.drifted)
        live = {key: look.live[key] for key in map(key_of, answer.wanted) if key in look.live}
        if _wait(job) and not all(health(manifest).is_ready for manifest in look.live.values()):
            # Otherwise a rollout that failed once would pass for one that is complete, as nothing is left to apply.
            live = wait_until_ready(kubectl, answer.wanted, _wait(job))
        return Planned(has_changes=False, there=_resources(live))

    def apply(self, job: ToolJob, do: Do) -> Applied:
        """Apply the saved objects, wait for all of them, and then delete what left the source."""
        plan = saved.load(job)
        work = CarryOut(Kubectl(job, do, plan.name), plan, _stack(job), _wait(job))
        work.check()

        def left() -> Applied | None:
            there = work.left()
            return None if there is None else Applied(_resources(there))

        with leaving(left):
            live = {} if job.destroy else work.make()
            work.remove()
            if job.destroy:
                work.forget()
            else:
                work.note()
        return Applied(_resources(live))

    def environment(self, job: ToolJob) -> Mapping[str, str]:  # noqa: ARG002 - the protocol's signature
        """Return nothing: the documents' own variables are all that its commands need."""
        return {}

    def plan_files(self, job: ToolJob) -> Sequence[Path]:
        """Name the saved plan."""
        return (saved.path_of(job),)


def _resources(live: Mapping[Key, Manifest]) -> tuple[Resource, ...]:
    secrets = secrets_of(live.values())
    return tuple(resource(manifest, health(manifest), secrets) for _, manifest in sorted(live.items()))


def _check_namespaces(kubectl: Kubectl, deletes: Sequence[Manifest], own: str) -> None:
    """Refuse to delete a namespace in which another stack keeps its inventory: its objects would go along unseen."""
    for manifest in deletes:
        key = key_of(manifest)
        others = kubectl.inventories_in(key.name) if key.type == NAMESPACE else ()
        stacks = [name.removeprefix(inventories.PREFIX).replace(".", "/", 1) for name in others if name != own]
        if stacks:
            raise StepFailed(f"{key.words} would be deleted, and {' and '.join(stacks)} would lose what is in it")


def _stack(job: ToolJob) -> str:
    return str(job.options.get("inventory") or job.stack)


def _wait(job: ToolJob) -> int:
    return int(job.options.get("wait", _WAIT))


def _wanted(job: ToolJob, do: Do, kubectl: Kubectl, kinds: Kinds, namespace: str) -> list[dict[str, object]]:
    wanted = prepared(rendered(job, do, kubectl, kinds, namespace), kinds, namespace, _stack(job))
    if not wanted:
        raise StepFailed("the source holds no object: to remove everything, destroy the stack")
    return wanted
