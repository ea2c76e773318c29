"""Signing in with a token, a one-time code or an identity provider, and signing out."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import APIRouter, Query, Request, Response

from reconciler.credentials.errors import SecretUnreadable
from reconciler.web import sessions
from reconciler.web.api.auth import PortsIn
from reconciler.web.api.errors import not_found
from reconciler.web.pages.render import redirect, render
from reconciler.web.pages.route import PageRoute
from reconciler.web.pages.viewer import (
    FieldsIn,
    OwnFieldsIn,
    ViewerIn,
    give_cookie,
    give_question,
    question_in,
    secret_in,
    take_cookie,
    take_question,
)
from reconciler.web.ports import Ports
from reconciler.web.provider import CALLBACK, CannotSignIn, SignInRequest

_log = logging.getLogger(__name__)

router = APIRouter(route_class=PageRoute)

_LONGEST = 2000
_WRONG = (
    "This token is not valid here. It may be mistyped, revoked or expired. "
    "A token that a CI system issued works for the API, and does not sign you in."
)
_USED = "This address was used already, or is too old: restart the service to get another one, or sign in with a token."


callbacks = APIRouter(route_class=PageRoute)
"""Whatever a provider sends along is none of our parameters, and no error."""


@router.get("/sign-in")
def ask(
    request: Request,
    ports: PortsIn,
    next: Annotated[str, Query(max_length=_LONGEST)] = "/",  # noqa: A002
    code: Annotated[str, Query(max_length=200)] = "",
) -> Response:
    """Ask for a token, or show a button for the code in the address."""
    return _page(request, ports, own_path(next), code=code)


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
        return _page(request, ports, there, wrong=wrong)
    return _signed_in(request, ports, redirect(there), secret)


@router.get("/sign-in/provider")
def ask_provider(
    request: Request,
    ports: PortsIn,
    next: Annotated[str, Query(max_length=_LONGEST)] = "/",  # noqa: A002
) -> Response:
    """Lead the browser to the identity provider, with a question that only it can answer."""
    if ports.provider is None:
        raise not_found("identity provider")
    try:
        address, question = ports.provider.begin(own_path(next))
    except CannotSignIn as error:
        return _refused(request, ports, own_path(next), error)
    answer = redirect(address)
    give_question(request, answer, question.packed())
    return answer


@callbacks.get(CALLBACK)
def come_back(request: Request, ports: PortsIn) -> Response:
    """Sign in whom the identity provider sends back."""
    if ports.provider is None:
        raise not_found("identity provider")
    there = "/"
    try:
        question = SignInRequest.unpacked(question_in(request))
        there = own_path(question.there)
        claims = ports.provider.finish(question, dict(request.query_params), ports.now())
        person = ports.provider.person(claims, ports.documents(), ports.access())
    except (CannotSignIn, SecretUnreadable) as error:
        answer = _refused(request, ports, there, error)
    else:
        # A page and no redirect: the browser sends the strict cookie only where a page of this site leads.
        arrived = render(request, None, "arrive.html", here=there)
        answer = _signed_in(request, ports, arrived, sessions.begin_by_provider(ports, person))
    take_question(request, answer)
    return answer


@router.post("/sign-out")
def sign_out(request: Request, ports: PortsIn, viewer: ViewerIn, sent: OwnFieldsIn) -> Response:
    """End the session."""
    _ = sent
    sessions.end(ports, viewer.secret)
    answer = redirect("/sign-in")
    take_cookie(request, answer)
    return answer


def _page(request: Request, ports: Ports, there: str, *, code: str = "", wrong: str = "") -> Response:
    status = HTTPStatus.UNAUTHORIZED if wrong else HTTPStatus.OK
    provider = "" if ports.provider is None else ports.provider.name
    return render(request, None, "sign_in.html", status, next=there, code=code, wrong=wrong, provider=provider)


def _refused(request: Request, ports: Ports, there: str, error: Exception) -> Response:
    _log.warning("a sign-in was refused: %s", error)
    return _page(request, ports, there, wrong=f"You are not signed in: {error}.")


def _signed_in(request: Request, ports: Ports, answer: Response, secret: str) -> Response:
    old = secret_in(request)
    if old is not None:
        sessions.end(ports, old)
    give_cookie(request, answer, secret)
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
