"""Signing in with a token or with a one-time code, and signing out."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import APIRouter, Query, Request, Response

from reconciler.web import sessions
from reconciler.web.api.auth import PortsIn
from reconciler.web.pages.render import redirect, render
from reconciler.web.pages.route import PageRoute
from reconciler.web.pages.viewer import FieldsIn, OwnFieldsIn, ViewerIn, give_cookie, secret_in, take_cookie

router = APIRouter(route_class=PageRoute)

_LONGEST = 2000
_WRONG = (
    "This token is not valid here. It may be mistyped, revoked or expired. "
    "A token that a CI system issued works for the API, and does not sign you in."
)
_USED = "This address was used already, or is too old: restart the service to get another one, or sign in with a token."


@router.get("/sign-in")
def ask(
    request: Request,
    next: Annotated[str, Query(max_length=_LONGEST)] = "/",  # noqa: A002
    code: Annotated[str, Query(max_length=200)] = "",
) -> Response:
    """Ask for a token, or show a button for the code in the address."""
    return render(request, None, "sign_in.html", next=own_path(next), code=code, wrong="")


@router.post("/sign-in")
def sign_in(request: Request, ports: PortsIn, sent: FieldsIn) -> Response:
    """Sign in, and go on to where the person wanted to."""
    there, code = own_path(sent.get("next", "/")), sent.get("code", "")
    if code:
        secret = sessions.begin_as_operator(ports) if ports.codes.take(code, ports.now()) else None
    else:
        secret = sessions.begin(ports, sent.get("token", "").strip())
    if secret is None:
        wrong = _USED if code else _WRONG
        return render(request, None, "sign_in.html", HTTPStatus.UNAUTHORIZED, next=there, code="", wrong=wrong)
    old = secret_in(request)
    if old is not None:
        sessions.end(ports, old)
    answer = redirect(there)
    give_cookie(request, answer, secret)
    return answer


@router.post("/sign-out")
def sign_out(request: Request, ports: PortsIn, viewer: ViewerIn, sent: OwnFieldsIn) -> Response:
    """End the session."""
    _ = sent
    sessions.end(ports, viewer.secret)
    answer = redirect("/sign-in")
    take_cookie(request, answer)
    return answer


def own_path(path: str) -> str:
    """Return a path of this service as it is, and the start page for anything that leads elsewhere."""
    # A browser reads a backslash as a slash, and two slashes at the beginning as another host.
    if not path.startswith("/") or path.startswith("//") or "\\" in path or not path.isprintable():
        return "/"
    try:
        parts = urlsplit(path)
    except ValueError:
        return "/"
    return "/" if parts.scheme or parts.netloc else path
