"""The versions of a stack's tfstate, and its lock."""

from __future__ import annotations

from datetime import datetime

from reconciler.web.api.schemas.shapes import Shape


class TfstateVersionJson(Shape):
    """One version, without its content. `run` wrote it, or `person` did, with a `note` that says why.

    `unit` is empty where the stack has only one tfstate.
    """

    version: int
    unit: str
    serial: int | None
    lineage: str | None
    run: str | None
    person: str | None
    note: str | None
    created_at: datetime


class TfstateLockJson(Shape):
    """Who holds the lock of a tfstate, as the tool has told."""

    id: str
    unit: str
    who: str | None
    operation: str | None
    run: str | None
    since: datetime


class TfstateJson(Shape):
    """The newest version of a tfstate and its lock; null where there is none."""

    newest: TfstateVersionJson | None
    lock: TfstateLockJson | None
