"""Documents whose directory's space is another one now than when they were put there, or cannot be known."""

from __future__ import annotations

from collections.abc import Iterator
from posixpath import dirname

from rbac.access.actions import on_document
from rbac.admission.held import HeldChange
from spaces.catalog import Catalog
from spaces.documents.changes import DocumentChange
from spaces.documents.documents import Placed
from spaces.held_documents import HeldDocument
from spaces.names import ROOT, Kind, ResourceRef, Revision, SpaceName


def elsewhere(here: Catalog) -> Iterator[tuple[Placed, HeldDocument]]:
    """Give the documents that count and say what is held of their file, each with what is held under another name."""
    for path in here.held.by_file.keys() & here.files.keys():
        file = here.files[path]
        left = set(here.held.by_file[path])
        for placed in file.held:
            left -= {next(it for it in here.held.meaning(placed.resource) if it in left and it.ref == placed.ref)}
        for placed in file.placed:
            found = next((each for each in here.held.meaning(placed.resource) if each in left), None)
            if found is not None:
                left.remove(found)
                yield placed, found


def held_here(hold: HeldChange, change: DocumentChange, document: HeldDocument, revision: Revision) -> HeldChange:
    """Make the hold of a document where it lies now: it is still about who put it there."""
    ref, verb = change.ref, change.verb
    missing = on_document(ref.kind, verb), ref.space
    _, _, reason = hold.message.partition(": ")
    was = f"{hold.ref} ({reason})" if reason else f"{hold.ref}"
    message = f"{hold.person} may not {verb} {ref}: it was held as {was}, and {document.file} lies in {ref.space} now"
    return HeldChange.of(
        ref,
        verb,
        hold.person,
        missing,
        revision,
        message,
        change.origin,
        file=document.file,
        documents=(document,),
    )


def unplaced(here: Catalog, path: str) -> Iterator[Placed]:
    """Give a file's documents whose space nobody knows, each where it would lie without the broken space file."""
    file = here.files.get(path)
    if file is None or not file.misplaced:
        return
    known = {id(each.resource) for each in (*file.placed, *file.held, *file.second)}
    space = _known_above(here, dirname(path))
    for resource in file.parsed.resources:
        if id(resource) not in known:
            own = SpaceName(resource.name) if resource.kind is Kind.SPACE else None
            yield Placed(ResourceRef(resource.kind, own or space, resource.name), resource, space if own else None)


def _known_above(here: Catalog, directory: str) -> SpaceName:
    while directory:
        directory = dirname(directory)
        space = here.space_of(directory)
        if space is not None:
            return space
    return ROOT
