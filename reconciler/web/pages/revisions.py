"""The revisions that made stacks run, and how far each got."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response

from reconciler.web.api import overview, revisions
from reconciler.web.api.auth import PortsIn
from reconciler.web.pages.choices import PartIn, PollIn, space_names
from reconciler.web.pages.render import mark, render, unchanged
from reconciler.web.pages.route import PageRoute
from reconciler.web.pages.viewer import ViewerIn
from reconciler.web.views.revisions import RevisionView

router = APIRouter(prefix="/revisions", route_class=PageRoute)

_PAGE = 50


@router.get("")
def revisions_page(request: Request, ports: PortsIn, viewer: ViewerIn, poll: PollIn, part: PartIn) -> Response:
    """Show a page of the table, or only its rows."""
    caller = viewer.caller
    listed = revisions.list_revisions(ports, caller, part.asked(_PAGE))
    status = overview.configuration_json(ports, caller)
    now = mark(listed, status.admitted_revision, status.attempted_revision, status.halted, now=ports.now())
    if poll.knows(now):
        return unchanged()
    values: dict[str, Any] = {
        "revisions": [RevisionView(each) for each in listed.items],
        "status": status,
        "next_page": listed.next,
        "filters": part.filters,
        "cursor": part.cursor,
        "mark": now,
    }
    if poll.part:
        return render(request, viewer, "revisions_rows.html", **values)
    return render(request, viewer, "revisions.html", nav="revisions", spaces=space_names(ports, caller), **values)
