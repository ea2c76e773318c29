"""The documents in force: what kinds of things there are, by name, with the file that each stands in."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from rbac.access.actions import to_read
from reconciler.web.api.auth import CallerIn, PortsIn
from reconciler.web.api.paging import PartIn, behind, named_spaces, page
from reconciler.web.api.schemas.overview import DocumentJson
from reconciler.web.api.schemas.shapes import Page
from spaces.diagnostics import printable
from spaces.documents.documents import Placed
from spaces.names import Kind

router = APIRouter(prefix="/documents", tags=["overview"])

KindIn = Annotated[Kind, Query(description="The kind: `Context`, `Policy`, `Repository`, `User`, `Group`, ….")]


@router.get("")
def list_documents(
    ports: PortsIn,
    caller: CallerIn,
    part: PartIn,
    *,
    kind: KindIn,
) -> Page[DocumentJson]:
    """List the documents of a kind in force, by `space/name`, in the spaces where the caller may read them."""
    documents = ports.documents()
    wanted = named_spaces(documents.tree, caller, part)
    able = None if caller.access is None else caller.access.spaces_where(caller.subject, to_read(kind))
    found = [
        each
        for each in documents.of_kind(kind)
        if (wanted is None or each.ref.space in wanted) and (able is None or each.ref.space in able)
    ]
    cut = behind(sorted(found, key=_key), part.cursor, part.limit, _key)
    return page(cut, part.limit, _key, _shown)


def _key(placed: Placed) -> str:
    return f"{placed.ref.space}/{placed.ref.name}"


def _shown(placed: Placed) -> DocumentJson:
    metadata = placed.resource.metadata
    return DocumentJson(
        kind=placed.ref.kind,
        space=placed.ref.space,
        name=placed.ref.name,
        labels=dict(metadata.labels),
        description=metadata.description,
        file=printable(placed.resource.file),
    )
