"""Documents that would lie elsewhere, or nowhere, because another document is held.

`step` asks after each trial. Nothing leaves for a place that does not work, and nothing ends up in a space that its
author did not mean.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from posixpath import dirname
from typing import TYPE_CHECKING

from spaces.catalog import SPACE_FILES, inside, is_space_file
from spaces.composition.carriers import carriers
from spaces.composition.changed_file import Unit
from spaces.composition.holds import Because, Hold
from spaces.composition.trial import Trial
from spaces.diagnostics import Diagnostic, Position, Severity, error
from spaces.documents.changes import DocumentChange, Verb
from spaces.documents.documents import Placed
from spaces.documents.references import moved_from
from spaces.model.space import SpaceSpec
from spaces.model.template import TEMPLATE_KINDS
from spaces.names import ROOT, Kind, ResourceRef
from spaces.reading.texts import UNKNOWN
from spaces.rules.messages import name_position

if TYPE_CHECKING:
    from spaces.composition.step import Step


def abandoned(step: Step, trial: Trial) -> bool:
    """Hold space files that would leave although unchanged documents take their space from the directory."""
    again = False
    for path, told in trial.abandoned():
        again |= step.hold(step.open_units(path), Hold(Because.BROKEN, (told,), wakes=frozenset({"Space"})))
    return again


def astray(step: Step, trial: Trial) -> bool:
    """Hold what its author means for a space whose own file is held: it must not end up in the space above."""
    again = False
    for path in step.files:
        known = {placed.ref for placed in step.before.placed.get(path, ())}
        for placed in trial.after.placed.get(path, ()):
            unit = step.unit_of(placed, before=False)
            if placed.ref in known or unit is None or not step.is_open(unit):
                continue
            directory = _directory(placed)
            waits = _governed(step, directory, trial, step.owner(unit)) if directory is not None else None
            if waits is not None:
                named = f"{placed.resource.kind} {placed.resource.name}"
                why = f"which space {named} lies in is not known: {waits.path}, which says so, is held"
                told = error(
                    "space-not-known",
                    why,
                    name_position(placed.resource),
                    "say metadata.space, or see why it is held",
                )
                again |= step.hold([unit], Hold(Because.WAITS, (told,), frozenset({waits}), frozenset({waits.path})))
    return again


def _governed(step: Step, directory: str, trial: Trial, owner: str) -> Unit | None:
    """Return the held space file of the same owner that a directory would belong to."""
    others = {unit: hold for unit, hold in step.standing.items() if unit.path not in step.files}
    while True:
        for name in SPACE_FILES:
            path = inside(directory, name)
            for unit in (*step.held_in(path), *(each for each in others if each.path == path)):
                if unit.key.kind in (Kind.SPACE, UNKNOWN, "") and step.owner(unit) == owner:
                    return unit
        if not directory or directory in trial.after.claims:
            return None
        directory = dirname(directory)


def leaving(step: Step, trial: Trial) -> bool:
    """Hold what leaves for a document that is held: nothing is deleted because its new place does not work."""
    again = False
    deletions = [each for each in trial.changes if each.verb is Verb.DELETE and each.before is not None]
    moved = (
        {moved_from(placed.resource) for path in step.files for placed in trial.after.placed.get(path, ())}
        if deletions
        else set()
    )
    for change in deletions:
        units = carriers(step, trial, change)
        if not units or change.ref in moved:
            continue
        waits = frozenset(_waits_for(step, change, units))
        if waits:
            paths = frozenset(unit.path for unit in waits)
            named = ", ".join(sorted(paths))
            summary = f"{change.ref} left its file; it stays in force until {named} is in order"
            told = Diagnostic(Severity.WARNING, "kept-in-force", summary, None, Position(min(paths)))
            elsewhere = change.before is not None and change.before.resource.file not in paths
            hold = Hold(Because.WAITS, (told,) if elsewhere else (), waits, paths)
            again |= step.hold(units, hold)
    return again


def _waits_for(step: Step, change: DocumentChange, units: Collection[Unit]) -> Iterator[Unit]:
    before = change.before
    assert before is not None  # noqa: S101 - it is a deletion
    owners = {step.owner(unit) for unit in units}
    written = before.resource.made is None
    linked = {each for unit in units if (old := step.standing.get(unit)) for each in old.linked}
    for unit, hold in step.held.items():
        if unit in units:
            continue
        new = not step.files[unit.path].was_there(unit.key)
        if hold.because is Because.NO_RIGHT and step.owner(unit) not in owners:
            continue
        if (written and (unit in step.hiding or (unit in linked and hold.because is Because.BROKEN))) or (
            new and _may_be(step, unit, change.ref, before)
        ):
            yield unit
    for unit, hold in step.standing.items():
        if unit.path in step.files:
            continue
        foreign = hold.because is Because.NO_RIGHT and step.owner(unit) not in owners
        if not foreign and unit in linked:
            yield unit


def _may_be(step: Step, unit: Unit, ref: ResourceRef, before: Placed) -> bool:
    """Whether a held document may be the one that leaves: by its name, by where it moved from, by its file."""
    file = step.files[unit.path]
    key = unit.key
    if key.kind == Kind.BLUEPRINT_INSTANCE and ref.kind in TEMPLATE_KINDS:
        return True
    if file.origin(key) == ref:
        return True
    if key.kind != ref.kind:
        return False
    return key.name == ref.name or unit.path == before.resource.file


def _directory(placed: Placed) -> str | None:
    """Return the directory that says where a document lies; None where the document says so itself."""
    resource, directory = placed.resource, dirname(placed.resource.file)
    if isinstance(resource.spec, SpaceSpec):
        if resource.name == ROOT or resource.spec.parent is not None:
            return None
        if is_space_file(resource.file):
            return dirname(directory) if directory else None
        return directory
    return None if resource.space is not None else directory
