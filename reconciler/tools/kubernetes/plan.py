"""Decides what an apply would do to the cluster: pure, from what is wanted, what is there and what was applied."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from reconciler.core.results import Action, ResourceChange
from reconciler.tools.kubernetes.conflicts import Loss, applied_by, losses
from reconciler.tools.kubernetes.inventory import PREFIX, AppliedObject, Inventory, is_protected
from reconciler.tools.kubernetes.objects import Key, Manifest, content, fingerprint, in_order, key_of
from reconciler.tools.kubernetes.shown import PROVIDER, is_secret, secrets_of, shown
from reconciler.tools.veil import Secrets

NOT_CHECKED = "not checked"
"""A key in what a plan shows of an object that the API could not try: the reason."""
_KEEP = {"stationkeeper/prune": "false", "helm.sh/resource-policy": "keep"}
"""Annotations that keep an object when it leaves the source."""


@dataclass(frozen=True, slots=True)
class PlanInput:
    """What there is to decide about. `own` is our name as a manager of fields, and the inventory's name."""

    own: str
    wanted: Sequence[Manifest]
    unchecked: Mapping[Key, str]
    """The objects that the API could not try yet, each with the reason."""
    lookups: Mapping[Key, Manifest]
    """What names each object to kubectl as the cluster is now; nothing for an object of a new kind."""
    live: Mapping[Key, Manifest]
    tried: Mapping[Key, Manifest]
    """What each object would be after its apply."""
    inventory: Inventory
    prune: bool = True
    force: bool = False
    protected: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class ApplyStep:
    """One object to apply. `force` takes fields over from others, which is what puts drift back."""

    manifest: Manifest
    lookup: Manifest | None
    before: Manifest | None
    after: Manifest | None
    """What it would be; None where nobody could try."""
    force: bool


@dataclass(frozen=True, slots=True)
class PlanDecision:
    """What was decided."""

    wanted: tuple[Manifest, ...]
    steps: tuple[ApplyStep, ...]
    deletes: tuple[Manifest, ...]
    """Live objects to delete, in that order."""
    changes: tuple[ResourceChange, ...]
    drifted: tuple[ResourceChange, ...]
    entries: tuple[AppliedObject, ...]
    """What the inventory lists once all of this is done."""
    conflicts: tuple[str, ...]
    """A sentence for each object with fields that somebody else manages; nothing may be applied then."""


def decide(question: PlanInput) -> PlanDecision:
    """Compare, object by object."""
    secrets = secrets_of([*question.wanted, *question.live.values(), *question.tried.values()])
    wanted = sorted(question.wanted, key=in_order)
    steps: list[ApplyStep] = []
    changes: list[ResourceChange] = []
    drifted: list[ResourceChange] = []
    conflicts: list[str] = []
    for manifest in wanted:
        key = key_of(manifest)
        lost = _lost(question, key)
        against = [] if question.force else [loss.words for loss in lost if not _is_drift(question, key, loss)]
        if against:
            conflicts.append(f"{key.words}: {'; '.join(against)}")
            continue
        force = question.force or bool(lost)
        step = ApplyStep(manifest, question.lookups.get(key), question.live.get(key), question.tried.get(key), force)
        change = _change(question, key, step, secrets)
        if change is not None:
            steps.append(step)
            changes.append(change)
            drifted += _drift(question, key, step, change)
    gone = list(_gone(question))
    deletes = [manifest for manifest, deletes in gone if deletes]
    for manifest, is_deleted in gone:
        before = shown(manifest, secrets)
        changes.append(_resource_change(key_of(manifest), Action.DELETE if is_deleted else Action.FORGET, before, None))
    entries = (*(_entry(question, manifest) for manifest in wanted), *_kept(question))
    return PlanDecision(
        tuple(wanted), tuple(steps), tuple(deletes), tuple(changes), tuple(drifted), entries, tuple(conflicts)
    )


def _lost(question: PlanInput, key: Key) -> tuple[Loss, ...]:
    before, after = question.live.get(key), question.tried.get(key)
    return () if before is None or after is None else losses(before, after, question.own)


def _is_drift(question: PlanInput, key: Key, loss: Loss) -> bool:
    return loss.by_hand and _is_ours(question, key)


def _change(question: PlanInput, key: Key, step: ApplyStep, secrets: Secrets) -> ResourceChange | None:
    if key in question.unchecked:
        after = {NOT_CHECKED: question.unchecked[key], **shown(step.manifest, secrets)}
        before = None if step.before is None else shown(step.before, secrets)
        action = Action.CREATE if step.before is None else Action.UPDATE
        return _resource_change(key, action, before, after)
    assert step.after is not None  # noqa: S101 - whatever is not unchecked was tried
    after = shown(step.after, secrets)
    if step.before is None:
        return _resource_change(key, Action.CREATE, None, after)
    before = shown(step.before, secrets)
    taken = None if key in question.inventory else str(step.before["metadata"].get("uid", ""))
    if content(step.before) != content(step.after):
        return _resource_change(key, Action.UPDATE, before, after, taken)
    return None if taken is None else _resource_change(key, Action.IMPORT, before, after, taken)


def _is_ours(question: PlanInput, key: Key) -> bool:
    """Whether the stack has applied the object, be it that the inventory was lost since."""
    return key in question.inventory or question.own in applied_by(question.live[key])


def _drift(question: PlanInput, key: Key, step: ApplyStep, change: ResourceChange) -> Iterator[ResourceChange]:
    """Yield what the world changed by itself: the source still says what was applied last."""
    entry = question.inventory.get(key)
    if entry is None or not entry.digest or entry.digest != _digest(step.manifest):
        return
    if step.before is None:
        yield _resource_change(key, Action.DELETE, change.after, None)
    elif change.action is Action.UPDATE:
        yield _resource_change(key, Action.UPDATE, change.after, change.before)


def _gone(question: PlanInput) -> Iterator[tuple[Manifest, bool]]:
    """Yield the live objects that left the source, and whether they are deleted; the last to be made first."""
    if not question.prune:
        return
    wanted = {key_of(manifest) for manifest in question.wanted}
    left = [entry for key, entry in question.inventory.items() if key not in wanted and key in question.live]
    for entry in sorted(left, key=lambda it: in_order(it.reference), reverse=True):
        live = question.live[entry.key]
        yield live, not _stays(question, entry, live)


def _stays(question: PlanInput, entry: AppliedObject, live: Manifest) -> bool:
    annotations = live["metadata"].get("annotations") or {}
    if any(annotations.get(name) == value for name, value in _KEEP.items()):
        return True
    appliers = applied_by(live)
    if question.own not in appliers or any(name.startswith(PREFIX) for name in appliers - {question.own}):
        return True  # somebody made it anew, or another stack has it too
    return entry.was_there and is_protected(entry.key, question.protected)


def _entry(question: PlanInput, manifest: Manifest) -> AppliedObject:
    key = key_of(manifest)
    live, known = question.live.get(key), question.inventory.get(key)
    was_there = known.was_there if known is not None else live is not None and question.own not in applied_by(live)
    return AppliedObject(key, manifest["apiVersion"], was_there, _digest(manifest))


def _kept(question: PlanInput) -> Iterable[AppliedObject]:
    """Return the entries of objects that left the source and stay listed.

    Those are all where nothing is pruned, and those of kinds that the cluster does not know: an API that does not
    answer looks the same as one that is gone, and an entry too many harms nobody.
    """
    wanted = {key_of(manifest) for manifest in question.wanted}
    left = ((key, entry) for key, entry in question.inventory.items() if key not in wanted)
    return [entry for key, entry in left if not question.prune or key not in question.lookups]


def _digest(manifest: Manifest) -> str:
    return "" if is_secret(manifest) else fingerprint(manifest)


def _resource_change(
    key: Key, action: Action, before: Any, after: Any, imported_id: str | None = None
) -> ResourceChange:
    return ResourceChange(key.address, key.type, PROVIDER, action, before, after, imported_id=imported_id)
