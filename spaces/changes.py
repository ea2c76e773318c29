"""Documents against documents: what was created, updated, deleted, and what moved."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from spaces.names import Kind, ResourceRef
from spaces.placed import Placed, PlacedDocuments
from spaces.references import moved_from


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
