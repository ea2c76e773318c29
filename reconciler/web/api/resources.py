"""The resources of all stacks."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, Query

from reconciler.core.resources import identity
from reconciler.core.results import Resource
from reconciler.core.runs import Run, RunId
from reconciler.core.state import ConditionStatus, ConditionType, StackState
from reconciler.store.listed import ResourceBy, SharedIn
from reconciler.store.queries import Reading
from reconciler.store.stored import Place, PlacedResource, ResourceFilter
from reconciler.tools.kubernetes.health import HealthStatus
from reconciler.tools.registry import tool
from reconciler.web.api import convert
from reconciler.web.api.auth import Caller, CallerIn, PortsIn, Right
from reconciler.web.api.drift import drifted_addresses
from reconciler.web.api.errors import invalid
from reconciler.web.api.explain import author_json
from reconciler.web.api.paging import CursorIn, LimitIn, Part, SpaceIn, SubtreeIn, chosen_spaces, page
from reconciler.web.api.schemas.explain import AuthorRunJson
from reconciler.web.api.schemas.resources import PlacedResourceJson, ResourceGroupJson
from reconciler.web.api.schemas.shapes import Page
from spaces.names import StackId

router = APIRouter(prefix="/resources", tags=["stacks"])

_CURSOR = re.compile(r"([^/]+/[^/]+)/([0-9]{1,9})", re.ASCII)


def wanted_resources(
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
    shared: Annotated[
        bool, Query(description="Only those that another stack has, too, by their ARN or identifier.")
    ] = False,
) -> ResourceFilter:
    """Return which resources a request asks for, of those that the caller may see."""
    return ResourceFilter(
        spaces=chosen_spaces(ports.tree(), caller, Right.STACK_READ, Part(space, subtree)),
        stack=_stack(stack),
        type=type,
        provider=provider,
        text=q,
        # A stack that somebody may not see does not exist for them.
        shared_in=SharedIn(caller.spaces(Right.STACK_READ)) if shared else None,
    )


WantedIn = Annotated[ResourceFilter, Depends(wanted_resources)]


@router.get("")
def list_all_resources(
    ports: PortsIn, caller: CallerIn, wanted: WantedIn, limit: LimitIn = 100, cursor: CursorIn = None
) -> Page[PlacedResourceJson]:
    """List what the last successful runs of all stacks left behind, in the order of `space/name`."""
    with ports.store.reading() as reading:
        found = reading.list_resources(wanted, _at(cursor), limit + 1)
        marks = Marks.of(reading, caller, found[:limit])
    return page(found, limit, _key, marks.shown)


@router.get("/groups")
def group_resources(
    ports: PortsIn,
    wanted: WantedIn,
    by: Annotated[ResourceBy, Query(description="What they are grouped by.")],
    limit: LimitIn = 100,
    cursor: CursorIn = None,
) -> Page[ResourceGroupJson]:
    """List how many resources there are by space, stack, provider or type."""
    with ports.store.reading() as reading:
        found = reading.group_resources(wanted, by, cursor, limit + 1)
    return page(found, limit, lambda group: group.name, ResourceGroupJson.model_validate)


@dataclass(frozen=True, slots=True)
class Marks:
    """What is to be said beside some resources, as far as a caller may know it."""

    drift: Mapping[tuple[StackId, str], str]
    states: Mapping[StackId, StackState]
    runs: Mapping[RunId, Run]
    others: Mapping[str, Sequence[StackId]]

    @classmethod
    def of(cls, reading: Reading, caller: Caller, found: Sequence[PlacedResource]) -> Marks:
        """Gather it in a few questions for all of them."""
        stacks = {each.place.stack for each in found}
        able = caller.spaces(Right.RUN_READ)
        runs = {
            run
            for each in found
            if able is None or each.place.stack.space in able
            for run in (each.provenance.made, each.provenance.changed)
            if run is not None
        }
        known = {each for it in found if (each := identity(it.resource)) is not None}
        return cls(
            drifted_addresses(reading, caller, stacks),
            reading.peek(stacks) if stacks else {},
            reading.runs_by_id(runs) if runs else {},
            reading.stacks_with(known, caller.spaces(Right.STACK_READ)) if known else {},
        )

    def shown(self, item: PlacedResource) -> PlacedResourceJson:
        """Return one of them."""
        place, resource, provenance = item
        state, here = self.states.get(place.stack), identity(resource)
        ready = state.conditions.get(ConditionType.READY) if state is not None else None
        return PlacedResourceJson(
            stack=str(place.stack),
            drift=self.drift.get((place.stack, resource.address)),
            health=_health(resource, state),
            ready=ready.status == ConditionStatus.TRUE if ready is not None else None,
            reason=state.reason if state is not None else None,
            made=self._author(provenance.made),
            changed=self._author(provenance.changed),
            also_in=[str(stack) for stack in self.others.get(here or "", ()) if stack != place.stack],
            **dict(convert.resource_json(resource)),
        )

    def _author(self, name: RunId | None) -> AuthorRunJson | None:
        run = self.runs.get(name) if name is not None else None
        return author_json(run) if run is not None else None


def _health(resource: Resource, state: StackState | None) -> str | None:
    """Return the health of a resource, where its tool says one."""
    if state is None or state.desired is None or not tool(state.desired.tool).abilities.says_health:
        return None
    health = resource.attributes.get("health")
    status = health.get("status") if isinstance(health, dict) else None
    return status if status in set(HealthStatus) else None


def _key(item: PlacedResource) -> str:
    return f"{item.place.stack}/{item.place.position}"


def _at(cursor: str | None) -> Place | None:
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
