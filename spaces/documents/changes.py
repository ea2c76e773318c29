"""Documents against documents: what was created, updated, deleted, and what moved."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
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
    """Return what changed between two sets of documents, by reference.

    `refs` are the documents that may have changed; without them all are compared. A stack that moved is one change, if
    both of its ends are among them; a new stack that takes its old name is a creation.
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
    moves = _moves(found)
    for ref, origin in moves.items():
        left = found.get(origin)
        if left is not None and origin not in moves and left.verb is Verb.UPDATE:
            found[origin] = DocumentChange(origin, Verb.CREATE, None, left.after)
        elif left is not None and origin not in moves and left.verb is Verb.DELETE:
            del found[origin]
        found[ref] = DocumentChange(ref, Verb.MOVE, before.placed(origin), found[ref].after, origin)
    return tuple(sorted(found.values(), key=lambda change: change.ref))


def _moves(found: Mapping[ResourceRef, DocumentChange]) -> dict[ResourceRef, ResourceRef]:
    """Return where stacks moved from: each says so now for the first time, and its origin is not what it was."""
    moves: dict[ResourceRef, ResourceRef] = {}
    for ref, change in sorted(found.items()):
        if ref.kind is not Kind.STACK or change.after is None:
            continue
        origin = moved_from(change.after.resource)
        said_before = change.before is not None and moved_from(change.before.resource) == origin
        left = found.get(origin) if origin is not None and origin != ref else None
        if origin is not None and not said_before and left is not None and left.before is not None:
            moves.setdefault(ref, origin)
    while True:
        # A stack that was there before can only come from elsewhere if it goes elsewhere itself: names are swapped.
        stuck = [ref for ref in moves if found[ref].before is not None and ref not in moves.values()]
        if not stuck:
            return moves
        for ref in stuck:
            del moves[ref]


@dataclass(frozen=True, slots=True)
class Unfounded:
    """A new stack whose `origin` was not in force, and the stacks that leave with the same change."""

    stack: Placed
    origin: ResourceRef
    leaving: tuple[ResourceRef, ...]

    def holds(self, documents: PlacedDocuments) -> bool:
        """Whether the very document is still there."""
        return documents.placed(self.stack.ref) is self.stack

    def tell(self) -> Diagnostic:
        """Warn that it is made from nothing."""
        origin = _title(self.origin)
        summary = (
            f"movedFrom names {origin}, which is not a known stack: {_title(self.stack.ref)} is created as a new stack"
        )
        hint = (
            did_you_mean(origin, [_title(ref) for ref in self.leaving])
            or "remove movedFrom, or name the stack's old name"
        )
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
