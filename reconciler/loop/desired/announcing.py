"""What notifiers are told of the configuration: changes that are held or broken, and that admission stands still.

The rows are written by the transaction that records what they are about, one for each receiver and revision.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from reconciler.git.errors import GitReason
from reconciler.store.stored import Announcement, AuditEvent, Halt
from spaces.composition.holds import Because
from spaces.documents.documents import PlacedDocuments
from spaces.effective.notifiers import notifiers
from spaces.model.notifier import NotifierEvent
from spaces.names import ROOT, SpaceName

_LISTED = 20
"""How many changes one message lists."""


def about_held(
    documents: PlacedDocuments, events: Iterable[AuditEvent], generation: int, now: datetime
) -> list[Announcement]:
    """Return what is to be told of changes that are held from now on: each to those who hear of its space."""
    told: dict[tuple[str, NotifierEvent], list[Any]] = {}
    for event in events:
        if event.event != "held":
            continue
        change = event.details["change"]
        assert isinstance(change, dict)  # noqa: S101 - `commits` writes it so
        kind = NotifierEvent.BROKEN if change["because"] == Because.BROKEN else NotifierEvent.HELD
        # A space that is not in force yet has nobody who would hear of it.
        space = SpaceName(change["space"]) if documents.tree.exists(SpaceName(change["space"])) else ROOT
        for placed in notifiers(documents, space, kind):
            told.setdefault((f"{placed.ref.space}/{placed.ref.name}", kind), []).append(change)
    return [
        Announcement(
            f"{kind} {generation} {receiver}",
            receiver,
            {"event": kind.value, "changes": changes[:_LISTED], "count": len(changes)},
            now,
        )
        for (receiver, kind), changes in told.items()
    ]


def about_halt(
    documents: PlacedDocuments, before: Halt | None, after: Halt | None, generation: int, now: datetime
) -> list[Announcement]:
    """Return what is to be told where admission begins to stand still: to those who hear of the root."""
    if after is None or after.reason == GitReason.FETCH_FAILED:
        # A fetch that fails for now: nobody has to decide anything.
        return []
    if before is not None and (before.reason, before.revision) == (after.reason, after.revision):
        return []
    about = {"reason": after.reason, "message": after.message, "revision": after.revision}
    body = {"event": NotifierEvent.HALTED.value, "halt": about}
    return [
        Announcement(
            f"halted {generation} {after.reason} {after.revision} {placed.ref.space}/{placed.ref.name}",
            f"{placed.ref.space}/{placed.ref.name}",
            body,
            now,
        )
        for placed in notifiers(documents, ROOT, NotifierEvent.HALTED)
    ]
