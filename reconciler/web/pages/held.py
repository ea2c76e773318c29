"""The held changes, each with its diff, and the approval of one."""

from __future__ import annotations

from http import HTTPStatus

from fastapi import APIRouter, Request, Response

from reconciler.refusals import OperationRefused
from reconciler.web.api import admission
from reconciler.web.api.auth import PortsIn
from reconciler.web.api.errors import ApiError
from reconciler.web.pages.choices import PartIn, space_names
from reconciler.web.pages.render import redirect, render
from reconciler.web.pages.route import PageRoute
from reconciler.web.pages.viewer import OwnFieldsIn, Viewer, ViewerIn
from reconciler.web.ports import Ports
from reconciler.web.views.held import held_view

router = APIRouter(prefix="/held", route_class=PageRoute)

_PAGE = 20


@router.get("")
def held_page(request: Request, ports: PortsIn, viewer: ViewerIn, part: PartIn) -> Response:
    """Show a page of the held changes."""
    caller = viewer.caller
    listed = admission.list_whole_held(ports, caller, part.asked(_PAGE))
    return render(
        request,
        viewer,
        "held.html",
        nav="held",
        items=[held_view(held) for held in listed.items],
        next_page=listed.next,
        filters=part.filters,
        spaces=space_names(ports, caller),
    )


@router.get("/{held}")
def one_held_page(request: Request, ports: PortsIn, viewer: ViewerIn, held: str) -> Response:
    """Show one held change."""
    return _show(request, ports, viewer, held)


@router.post("/{held}/approve")
def approve(request: Request, ports: PortsIn, viewer: ViewerIn, held: str, sent: OwnFieldsIn) -> Response:
    """Approve a held change, as the API does; what is refused is said on its page."""
    _ = sent
    try:
        approved = admission.approve_held(ports, viewer.caller, held)
    except (ApiError, OperationRefused) as refused:
        return _show(request, ports, viewer, held, refused=str(refused))
    # What has come into force is not held any more, so it has no page.
    return redirect("/held" if approved.in_force else f"/held/{held}")


def _show(request: Request, ports: Ports, viewer: Viewer, held: str, *, refused: str = "") -> Response:
    shown = held_view(admission.get_held(ports, viewer.caller, held))
    status = HTTPStatus.CONFLICT if refused else HTTPStatus.OK
    return render(request, viewer, "held_one.html", status, nav="held", item=shown, refused=refused)
