"""The resources of all stacks."""

from __future__ import annotations

import contextlib
import re
from typing import Annotated

from fastapi import APIRouter, Query

from reconciler.core.results import Resource
from reconciler.store.stored import Place, ResourceFilter
from reconciler.web.api import convert
from reconciler.web.api.auth import CallerIn, PortsIn, Right
from reconciler.web.api.drift import drifted_addresses
from reconciler.web.api.errors import invalid
from reconciler.web.api.paging import CursorIn, LimitIn, SpaceIn, SubtreeIn, chosen_spaces, page
from reconciler.web.api.schemas.shapes import Page
from reconciler.web.api.schemas.stacks import PlacedResourceJson
from spaces.names import StackId

router = APIRouter(prefix="/resources", tags=["stacks"])

_CURSOR = re.compile(r"([^/]+/[^/]+)/([0-9]{1,9})", re.ASCII)


@router.get("")
def list_all_resources(
    ports: PortsIn,
    caller: CallerIn,
    *,
    space: SpaceIn = None,
    subtree: SubtreeIn = False,
    stack: Annotated[
        str | None, Query(max_length=130, description="Only those of this stack, as `space/name`.")
    ] = None,
    type: Annotated[str | None, Query(max_length=200, description="Only resources of this type.")] = None,  # noqa: A002
    provider: Annotated[str | None, Query(max_length=400, description="Only resources of this provider.")] = None,
    q: Annotated[
        str | None, Query(max_length=400, description="Part of the address, or of an attribute such as an identifier.")
    ] = None,
    limit: LimitIn = 100,
    cursor: CursorIn = None,
) -> Page[PlacedResourceJson]:
    """List what the last successful runs of all stacks left behind, in the order of `space/name`."""
    wanted = ResourceFilter(
        spaces=chosen_spaces(ports.tree(), caller, Right.STACK_READ, space, subtree=subtree),
        stack=_stack(stack),
        type=type,
        provider=provider,
        text=q,
    )
    with ports.store.reading() as reading:
        found = reading.list_resources(wanted, _place(cursor), limit + 1)
        marks = drifted_addresses(reading, caller, {place.stack for place, _ in found[:limit]})

    def shown(item: tuple[Place, Resource]) -> PlacedResourceJson:
        place, resource = item
        drift = marks.get((place.stack, resource.address))
        return PlacedResourceJson(stack=str(place.stack), drift=drift, **dict(convert.resource_json(resource)))

    return page(found, limit, _key, shown)


def _key(item: tuple[Place, Resource]) -> str:
    return f"{item[0].stack}/{item[0].position}"


def _place(cursor: str | None) -> Place | None:
    if cursor is None:
        return None
    parts = _CURSOR.fullmatch(cursor)
    if parts is not None:
        with contextlib.suppress(ValueError):
            return Place(StackId.parse(parts[1]), int(parts[2]))
    raise invalid("cursor", "this is not the `next` of a page")


def _stack(name: str | None) -> StackId | None:
    try:
        return None if name is None else StackId.parse(name)
    except ValueError:
        raise invalid("stack", f"write space/name, not {name!r}") from None
