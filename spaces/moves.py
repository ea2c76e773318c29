"""Stacks that say they were another one before, which nobody knows: most likely its name is misspelt."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from spaces.changes import DocumentChange, Verb
from spaces.diagnostics import Diagnostic, Severity
from spaces.model.explain import did_you_mean
from spaces.names import Kind, ResourceRef
from spaces.placed import Placed, PlacedDocuments
from spaces.references import moved_from


@dataclass(frozen=True, slots=True)
class Unfounded:
    """A new stack whose `origin` was not in force, and the stacks that leave with the same change."""

    stack: Placed
    origin: ResourceRef
    leaving: tuple[ResourceRef, ...]

    def holds(self, documents: PlacedDocuments) -> bool:
        """Say whether the very document is still there."""
        return documents.placed(self.stack.ref) is self.stack

    def tell(self) -> Diagnostic:
        """Warn that it is made from nothing."""
        origin = _title(self.origin)
        summary = (
            f"movedFrom names {origin}, which is no stack that anybody knows: {_title(self.stack.ref)} is made anew"
        )
        hint = did_you_mean(origin, [_title(ref) for ref in self.leaving]) or "leave it out, or name what it was before"
        at = self.stack.resource.position(("metadata", "movedFrom"))
        return Diagnostic(Severity.WARNING, "moved-from-unknown", summary, hint, at)


def unfounded(before: PlacedDocuments, found: Iterable[DocumentChange]) -> Iterator[Unfounded]:
    """List the stacks among these changes that are new, and did not move from where they say."""
    stacks = [change for change in found if change.ref.kind is Kind.STACK]
    leaving = tuple(change.ref for change in stacks if change.verb is Verb.DELETE)
    for change in stacks:
        if change.verb is not Verb.CREATE or change.after is None:
            continue
        origin = moved_from(change.after.resource)
        if origin is not None and before.placed(origin) is None:
            yield Unfounded(change.after, origin, leaving)


def _title(ref: ResourceRef) -> str:
    return f"{ref.space}/{ref.name}"
