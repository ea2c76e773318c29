"""Carries out a saved plan: kinds first, then namespaces, then the rest; what left the source goes last."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from reconciler.tools.base import StepFailed
from reconciler.tools.kubernetes import inventory as inventories
from reconciler.tools.kubernetes.conflicts import applied_by
from reconciler.tools.kubernetes.inventory import AppliedObject
from reconciler.tools.kubernetes.kubectl import Kubectl
from reconciler.tools.kubernetes.objects import CRD, NAMESPACE, Key, Manifest, key_of
from reconciler.tools.kubernetes.saved import SavedPlan, SavedStep, outdated
from reconciler.tools.kubernetes.waiting import wait_until_ready

_ESTABLISHED_WITHIN = 60
"""How long, in seconds, a new kind may take at least, whatever `wait` says: nothing of it can be applied before."""


class CarryOut:
    """One apply. `wait` is in seconds, 0 for not at all."""

    def __init__(self, kubectl: Kubectl, plan: SavedPlan, stack: str, wait: int) -> None:
        self._kubectl, self._plan, self._stack, self._wait = kubectl, plan, stack, wait
        self._written = _by_key(plan.before)

    def check(self) -> None:
        """Raise StepFailed where the cluster is not as the plan saw it, in what the plan changes."""
        lookups = [step.lookup for step in self._plan.steps if step.lookup is not None]
        live = self._kubectl.get([*lookups, *self._plan.deletes])
        wrong = list(outdated(self._plan, live))
        if wrong:
            raise StepFailed(f"{'; '.join(wrong)}, so the plan is not true any more: it has to be made again")

    def make(self) -> dict[Key, dict[str, Any]]:
        """Apply everything, and return the objects of the source as they are once they are ready."""
        home = [step for step in self._plan.steps if self._is_home(step)]
        # Whatever may be there is listed before it is made. Only the inventory's own namespace has to come first.
        new = {entry.key: entry for entry in self._plan.entries if entry.key not in self._written}
        self._begin(home, {**self._written, **new})
        rest = [step for step in self._plan.steps if not self._is_home(step)]
        kinds = [step for step in rest if key_of(step.manifest).type == CRD]
        self._apply(kinds)
        if kinds:
            made = [step.manifest for step in kinds]
            wait_until_ready(self._kubectl, made, max(_ESTABLISHED_WITHIN, self._wait))
        self._apply([step for step in rest if key_of(step.manifest).type == NAMESPACE])
        self._apply([step for step in rest if key_of(step.manifest).type not in {CRD, NAMESPACE}])
        if self._wait:
            return wait_until_ready(self._kubectl, self._plan.wanted, self._wait)
        return self._kubectl.get(self._plan.wanted)

    def remove(self) -> None:
        """Delete what left the source, what uses others before these."""
        for manifests in _farewells(self._plan.deletes):
            self._kubectl.delete(manifests, self._wait)

    def note(self) -> None:
        """List in the inventory what is there now."""
        self._write(_by_key(self._plan.entries))

    def forget(self) -> None:
        """Remove the inventory: the stack has nothing any more."""
        self._kubectl.delete([inventories.reference(self._plan.name, self._plan.namespace)], 0)

    def left(self) -> dict[Key, dict[str, Any]] | None:
        """Return the stack's objects that are there after a failure; None: the API does not say."""
        try:
            live = self._kubectl.get([*self._plan.wanted, *self._plan.deletes])
        except StepFailed:
            return None
        # What somebody else made is none of them yet where its apply has failed.
        return {key: manifest for key, manifest in live.items() if self._plan.name in applied_by(manifest)}

    def _is_home(self, step: SavedStep) -> bool:
        return key_of(step.manifest) == Key("", NAMESPACE, "", self._plan.namespace)

    def _begin(self, home: Sequence[SavedStep], listed: Mapping[Key, AppliedObject]) -> None:
        """Apply the inventory and, before it, its own namespace; both at once where both are new."""
        if home and not self._written and not any(step.force for step in home):
            self._kubectl.apply([*(step.manifest for step in home), self._inventory(listed)])
            self._written = dict(listed)
        else:
            self._apply(home)
            self._write(listed)

    def _apply(self, steps: Iterable[SavedStep]) -> None:
        for force, same in groupby(steps, key=lambda step: step.force):
            self._kubectl.apply([step.manifest for step in same], force=force)

    def _write(self, entries: Mapping[Key, AppliedObject]) -> None:
        if entries != self._written:
            self._kubectl.apply([self._inventory(entries)], force=True)
            self._written = dict(entries)

    def _inventory(self, entries: Mapping[Key, AppliedObject]) -> Manifest:
        return inventories.written(entries.values(), self._plan.name, self._plan.namespace, self._stack)


def _by_key(entries: Iterable[AppliedObject]) -> dict[Key, AppliedObject]:
    return {entry.key: entry for entry in entries}


def _farewells(deletes: Sequence[Manifest]) -> Iterator[list[Manifest]]:
    """Yield what may be deleted together: namespaces last, so that whatever else there is goes in its order."""
    places = {CRD: 1, NAMESPACE: 2}
    for place in range(3):
        yield [manifest for manifest in deletes if places.get(key_of(manifest).type, 0) == place]
