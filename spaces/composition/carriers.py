"""Who brings a change of a document about: which documents of the changed files."""

from __future__ import annotations

from collections.abc import Iterator
from posixpath import dirname
from typing import TYPE_CHECKING

from spaces.catalog import SPACE_FILES, inside
from spaces.composition.changed_file import Unit
from spaces.composition.trial import Trial
from spaces.documents.changes import DocumentChange
from spaces.documents.documents import Placed

if TYPE_CHECKING:
    from spaces.composition.step import Step


def carriers(step: Step, trial: Trial, change: DocumentChange) -> frozenset[Unit]:
    """Return what of the changed files makes a change: the document itself, else what decides about it.

    Where neither is found, everything that is still open is held, rather than admit what nobody answers for.
    """
    for found in (_own(step, trial, change), _around(step, trial, change)):
        if here := frozenset(found).difference(step.held):
            return here
    return step.everything()


def _own(step: Step, trial: Trial, change: DocumentChange) -> Iterator[Unit]:
    sides = [(change.before, True), (change.after, False)]
    if change.origin is not None:
        sides.append((trial.after.documents.written(change.origin), False))
    for placed, before in sides:
        made = placed.resource.made if placed is not None else None
        if made is not None:
            catalog = trial.before if before else trial.after
            yield from _open_document(step, catalog.documents.written(made.root), before=before)
        else:
            yield from _open_document(step, placed, before=before)


def _around(step: Step, trial: Trial, change: DocumentChange) -> Iterator[Unit]:
    for placed in (change.before, change.after):
        if placed is None:
            continue
        directory = dirname(placed.resource.file)
        if placed.resource.made is not None:
            for catalog in (trial.before, trial.after):
                expansion = catalog.documents.expansions.get(placed.resource.made.root)
                if expansion is None:
                    continue
                for used in expansion.uses.values():
                    yield from _open_document(step, used, before=catalog is trial.before)
                directory = dirname(expansion.instance.resource.file)
        while True:
            for name in SPACE_FILES:
                yield from step.open_units(inside(directory, name))
            if not directory:
                break
            directory = dirname(directory)


def _open_document(step: Step, placed: Placed | None, *, before: bool) -> Iterator[Unit]:
    unit = step.unit_of(placed, before=before) if placed is not None else None
    if unit is not None and placed is not None:
        if step.is_open(unit):
            yield unit
        for path in placed.resource.attachments:
            yield from step.open_units(path)
