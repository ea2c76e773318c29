"""Where somebody says yes to a program of theirs that wants to sign in."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from reconciler.web import device
from reconciler.web.api.auth import PortsIn
from reconciler.web.pages.render import render
from reconciler.web.pages.route import PageRoute
from reconciler.web.pages.viewer import OwnFieldsIn, Viewer, ViewerIn
from reconciler.web.ports import Ports

router = APIRouter(prefix="/device", route_class=PageRoute)


@router.get("")
def look(
    request: Request, ports: PortsIn, viewer: ViewerIn, code: Annotated[str, Query(max_length=40)] = ""
) -> Response:
    """Ask for a code, or whether the program with this code may sign in."""
    return _page(request, ports, viewer, code)


@router.post("")
def confirm(request: Request, ports: PortsIn, viewer: ViewerIn, sent: OwnFieldsIn) -> Response:
    """Let the program with this code sign in."""
    code = sent.get("code", "")
    login = device.waiting(ports, code)
    if login is None or not device.can_confirm(viewer.caller):
        return _page(request, ports, viewer, code)
    done = device.confirm(ports, viewer.caller, login)
    return _page(request, ports, viewer, code, done=done)


def _page(request: Request, ports: Ports, viewer: Viewer, code: str, *, done: bool = False) -> Response:
    login = device.waiting(ports, code) if code and not done else None
    wrong = ""
    if not device.can_confirm(viewer.caller):
        wrong = "Sign in as a user: a program cannot sign in as the operator, nor as an API key."
    elif code and login is None and not done:
        wrong = "No program waits with this code. It may be mistyped, used, or older than ten minutes."
    return render(
        request, viewer, "device.html", nav="", code=code, login=login if not wrong else None, wrong=wrong, done=done
    )
