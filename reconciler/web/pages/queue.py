"""What runs, what waits in the queue and why, and how many places there are."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response

from reconciler.web.api import queue
from reconciler.web.api.auth import PortsIn
from reconciler.web.pages.choices import PartIn, PollIn, space_names
from reconciler.web.pages.render import mark, render, unchanged
from reconciler.web.pages.route import PageRoute
from reconciler.web.pages.viewer import ViewerIn

router = APIRouter(prefix="/queue", route_class=PageRoute)

_PAGE = 100


@router.get("")
def queue_page(request: Request, ports: PortsIn, viewer: ViewerIn, poll: PollIn, part: PartIn) -> Response:
    """Show the runs at work and in the queue, or only what has changed of them."""
    caller = viewer.caller
    listed = queue.list_queue(ports, caller, **part.asked(_PAGE))
    workers = queue.list_workers(ports, caller).items
    now = mark(listed, workers, now=ports.now())
    if poll.knows(now):
        return unchanged()
    values: dict[str, Any] = {
        "listed": listed,
        "workers": workers,
        "filters": part.filters,
        "cursor": part.cursor,
        "mark": now,
    }
    if poll.part:
        return render(request, viewer, "queue_rows.html", **values)
    return render(request, viewer, "queue.html", nav="queue", spaces=space_names(ports, caller), **values)
