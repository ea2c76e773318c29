"""The service itself: its settings, what its doctor finds, and its worker pools."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus

from fastapi import APIRouter, Request, Response

from reconciler.web.api import service
from reconciler.web.api.auth import PortsIn
from reconciler.web.api.errors import ApiError
from reconciler.web.api.schemas.service import FindingJson
from reconciler.web.pages.render import render
from reconciler.web.pages.route import PageRoute
from reconciler.web.pages.viewer import OwnFieldsIn, Viewer, ViewerIn
from reconciler.web.ports import Ports
from reconciler.web.views.tones import Tone

router = APIRouter(prefix="/service", route_class=PageRoute)

_TONES = {"ok": Tone.GOOD, "warning": Tone.WAITING, "error": Tone.BAD}


@router.get("")
def service_page(request: Request, ports: PortsIn, viewer: ViewerIn) -> Response:
    """Show how the service is set up."""
    return _show(request, ports, viewer)


@router.post("/doctor")
def examine(request: Request, ports: PortsIn, viewer: ViewerIn, sent: OwnFieldsIn) -> Response:
    """Show what the doctor finds."""
    _ = sent
    try:
        return _show(request, ports, viewer, findings=service.examine_service(ports, viewer.caller).items)
    except ApiError as error:
        if error.status is not HTTPStatus.CONFLICT:
            raise
        return _show(request, ports, viewer, refused=error.detail)


def _show(
    request: Request,
    ports: Ports,
    viewer: Viewer,
    *,
    findings: Sequence[FindingJson] | None = None,
    refused: str = "",
) -> Response:
    settings = service.list_settings(ports, viewer.caller).items
    return render(
        request,
        viewer,
        "service.html",
        HTTPStatus.CONFLICT if refused else HTTPStatus.OK,
        nav="service",
        settings=sorted(settings, key=lambda it: it.place == "default"),
        findings=findings,
        refused=refused,
        tones=_TONES,
        trouble=ports.trouble(),
        ready=ports.ready(),
        holder=ports.holder,
    )
