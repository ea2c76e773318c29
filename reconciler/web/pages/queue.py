"""What runs, what waits in the queue and why, and how many places there are."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response

from reconciler.web.api import pools, queue
from reconciler.web.api.auth import Caller, PortsIn, Right
from reconciler.web.api.errors import not_found
from reconciler.web.pages.choices import PartIn, PollIn, space_names
from reconciler.web.pages.render import mark, redirect, render, unchanged
from reconciler.web.pages.route import PageRoute
from reconciler.web.pages.viewer import OwnFieldsIn, ViewerIn
from reconciler.web.views.actions import May, pool_action
from spaces.names import SpaceName

router = APIRouter(prefix="/queue", route_class=PageRoute)

_PAGE = 100


@router.get("")
def queue_page(request: Request, ports: PortsIn, viewer: ViewerIn, poll: PollIn, part: PartIn) -> Response:
    """Show the runs at work and in the queue, or only what has changed of them."""
    caller = viewer.caller
    listed = queue.list_queue(ports, caller, part.asked(_PAGE))
    workers = queue.list_workers(ports, caller).items
    found = pools.list_pools(ports, caller).items
    now = mark(listed, workers, found, now=ports.now())
    if poll.knows(now):
        return unchanged()
    values: dict[str, Any] = {
        "listed": listed,
        "workers": workers,
        "pools": [(each, pool_action(each, _may(caller, each.space))) for each in found],
        "filters": part.filters,
        "cursor": part.cursor,
        "mark": now,
    }
    if poll.part:
        return render(request, viewer, "queue_rows.html", **values)
    return render(request, viewer, "queue.html", nav="queue", spaces=space_names(ports, caller), **values)


@router.post("/pools/{space}/{name}/{verb}")
def act(  # noqa: PLR0917
    request: Request, ports: PortsIn, viewer: ViewerIn, space: str, name: str, verb: str, sent: OwnFieldsIn
) -> Response:
    """Drain a pool, or let it start runs again."""
    _ = request, sent
    match verb:
        case "drain":
            pools.drain_pool(ports, viewer.caller, space, name)
        case "resume":
            pools.resume_pool(ports, viewer.caller, space, name)
        case _:
            raise not_found("such action")
    return redirect("/queue")


def _may(caller: Caller, space: str) -> May:
    return lambda right: caller.allows(Right(right), SpaceName(space))
