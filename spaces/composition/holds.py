"""Why documents of a step stay as they were."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

from spaces.composition.changed_file import Unit
from spaces.diagnostics import Diagnostic
from spaces.documents.changes import DocumentChange
from spaces.names import ResourceRef


class Because(StrEnum):
    """Why a document stays as it was."""

    NO_RIGHT = "no-right"
    """Somebody who changed it had not the right."""
    BROKEN = "broken"
    """It cannot be read, or does not work among the others."""
    DENIED = "denied"
    """A policy over documents denies it."""
    WAITS = "waits"
    """It waits for another one that stays as it was."""


class Objection(NamedTuple):
    """A change that may not be made. `why` is for whoever objected."""

    change: DocumentChange
    units: frozenset[Unit]
    why: Any
    because: Because = Because.NO_RIGHT
    wakes: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Hold:
    """Why a document in a file stays as it was.

    `linked` come into force with it or not at all. `wakes` names what may end it: paths, and documents as `Kind name`.
    """

    because: Because
    told: tuple[Diagnostic, ...] = ()
    linked: frozenset[Unit] = frozenset()
    wakes: frozenset[str] = frozenset()
    objection: Objection | None = None


def name_of(ref: ResourceRef) -> str:
    """Return by which name of `Hold.wakes` a document is known."""
    return f"{ref.kind} {ref.name}"
