"""Documents against documents: what was created, updated, deleted, and what moved."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from spaces.diagnostics import Diagnostic, Severity
from spaces.documents.documents import Placed, PlacedDocuments
from spaces.documents.references import moved_from
from spaces.model.explain import did_you_mean
from spaces.names import Kind, ResourceRef


class Verb(StrEnum):
    """What happened to a document."""

    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"
    MOVE = "move"


@dataclass(frozen=True, slots=True)
class DocumentChange:
    """One document's change. A move has `ref` as its new place and `origin` as its old one, `before` from there."""

    ref: ResourceRef
    verb: Verb
    before: Placed | None
    after: Placed | None
    origin: ResourceRef | None = None


def changes(
    before: PlacedDocuments, after: PlacedDocuments, refs: Iterable[ResourceRef] | None = None
) -> tuple[DocumentChange, ...]:
    """List what changed between two sets of documents, by reference.

    `refs` are the documents that may have changed (those of `in_force.differing`, for one); without them all are
    compared. A stack that moved is one change, if both of its ends are among them.
    """
    found: dict[ResourceRef, DocumentChange] = {}
    for ref in {*before.refs(), *after.refs()} if refs is None else set(refs):
        old, new = before.placed(ref), after.placed(ref)
        if new is None:
            if old is not None:
                found[ref] = DocumentChange(ref, Verb.DELETE, old, None)
        elif old is None:
            found[ref] = DocumentChange(ref, Verb.CREATE, None, new)
        elif not new.same(old):
            found[ref] = DocumentChange(ref, Verb.UPDATE, old, new)
    for change in [each for each in found.values() if each.ref.kind is Kind.STACK and each.after is not None]:
        origin = moved_from(change.after.resource) if change.after and change.verb is Verb.CREATE else None
        left = found.get(origin) if origin else None
        if origin is not None and left is not None and left.verb is Verb.DELETE:
            del found[origin]
            found[change.ref] = DocumentChange(change.ref, Verb.MOVE, left.before, change.after, origin)
    return tuple(sorted(found.values(), key=lambda change: change.ref))


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
