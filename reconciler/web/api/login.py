"""Signing in a program that has no browser: it asks for a code, and collects a token once its person said yes.

Nobody has a token yet, so these two routes ask for none. A code opens nothing by itself: see `web.device`.
"""

from __future__ import annotations

from http import HTTPStatus

from fastapi import APIRouter

from reconciler.web import device
from reconciler.web.api.auth import PortsIn
from reconciler.web.api.errors import ApiError, not_found
from reconciler.web.api.schemas.access import CollectRequest, LoginJson, LoginRequest, LoginTokenJson

router = APIRouter(prefix="/login", tags=["tokens"])

SECONDS = 2
"""How often a program may ask whether somebody said yes."""


@router.post("", status_code=HTTPStatus.CREATED)
def begin_login(ports: PortsIn, wanted: LoginRequest) -> LoginJson:
    """Ask for a code that somebody confirms on the page, under `/device`. It is good for ten minutes."""
    try:
        secret, login = device.ask(ports, wanted.client)
    except device.TooManyLogins:
        detail = "too many programs wait for a sign-in: try again in a few minutes"
        raise ApiError(HTTPStatus.SERVICE_UNAVAILABLE, "TooManyLogins", detail) from None
    return LoginJson(
        secret=secret, code=login.code, path=f"/device?code={login.code}", interval=SECONDS, expires_at=login.expires_at
    )


@router.post("/token", status_code=HTTPStatus.CREATED)
def collect_login(ports: PortsIn, wanted: CollectRequest) -> LoginTokenJson:
    """Collect the token, once. 409 `LoginPending` while nobody has said yes; 404 when it is too late."""
    try:
        made = device.collect(ports, wanted.secret)
    except device.NotConfirmed:
        raise ApiError(HTTPStatus.CONFLICT, "LoginPending", "nobody has confirmed the code yet") from None
    if made is None:
        raise not_found("such sign-in, or not any more")
    text, token = made
    return LoginTokenJson(token=text, id=token.id, subject=token.subject, expires_at=token.expires_at)
