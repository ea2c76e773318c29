"""Who looks at a page: the person who is signed in, by the cookie of their browser."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated
from urllib.parse import parse_qsl

from fastapi import Depends, Request, Response

from reconciler.web import sessions
from reconciler.web.api.auth import Caller, ports_of
from reconciler.web.api.errors import ApiError, invalid

COOKIE, SECURE_COOKIE = "station-session", "__Host-station-session"
"""The name of the cookie, without and with TLS. Browsers accept the second one only from this host itself."""

QUESTION, SECURE_QUESTION = "station-sign-in", "__Host-station-sign-in"
"""The name of the cookie with what was asked of the identity provider."""

_MOST_FIELDS = 50


class NotSignedIn(Exception):
    """Nobody is signed in, or not any more."""


@dataclass(frozen=True, slots=True)
class Viewer:
    """A person with the session in which they look at pages."""

    caller: Caller
    secret: str

    @property
    def form_token(self) -> str:
        """The value that each of their forms carries."""
        return sessions.form_token(self.secret)


def viewer_of(request: Request) -> Viewer:
    """Return who is signed in; raise NotSignedIn if nobody is."""
    secret = secret_in(request)
    caller = None if secret is None else sessions.caller_in(ports_of(request), secret)
    if secret is None or caller is None:
        raise NotSignedIn
    return Viewer(caller, secret)


def secret_in(request: Request) -> str | None:
    """Return the secret of a session from a request's cookie."""
    return request.cookies.get(SECURE_COOKIE) or request.cookies.get(COOKIE)


def give_cookie(request: Request, response: Response, secret: str) -> None:
    """Let the browser keep the secret until it is closed; scripts and other sites cannot use it."""
    secure = _is_secure(request)
    response.set_cookie(
        SECURE_COOKIE if secure else COOKIE, secret, httponly=True, samesite="strict", secure=secure, path="/"
    )


def take_cookie(request: Request, response: Response) -> None:
    """Let the browser forget the secret."""
    for name in (SECURE_COOKIE, COOKIE):
        if name in request.cookies:
            response.delete_cookie(name, path="/", httponly=True, samesite="strict", secure=name == SECURE_COOKIE)


def give_question(request: Request, response: Response, question: str) -> None:
    """Let the browser keep what was asked of the identity provider until it comes back from there."""
    secure = _is_secure(request)
    name = SECURE_QUESTION if secure else QUESTION
    # Lax: a strict cookie would not come back from another site.
    response.set_cookie(name, question, max_age=600, httponly=True, samesite="lax", secure=secure, path="/")


def question_in(request: Request) -> str:
    """Return what was asked of the identity provider, from a request's cookie; empty if nothing was."""
    return request.cookies.get(SECURE_QUESTION) or request.cookies.get(QUESTION) or ""


def take_question(request: Request, response: Response) -> None:
    """Let the browser forget what was asked: each question is good once."""
    for name in (SECURE_QUESTION, QUESTION):
        if name in request.cookies:
            response.delete_cookie(name, path="/", httponly=True, samesite="lax", secure=name == SECURE_QUESTION)


async def fields(request: Request) -> dict[str, str]:
    """Return what a form sends; raise 403 if another site sends it."""
    if request.headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}:
        raise _forged()
    body = await request.body()
    try:
        return dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=_MOST_FIELDS))
    except ValueError:
        raise invalid("body", "this is not what a form of this page sends") from None


FieldsIn = Annotated[dict[str, str], Depends(fields)]
ViewerIn = Annotated[Viewer, Depends(viewer_of)]


def own_fields(viewer: ViewerIn, sent: FieldsIn) -> dict[str, str]:
    """Return what a form of the person's own session sends; raise 403 for any other."""
    if not secrets.compare_digest(sent.get("form_token", "").encode(), viewer.form_token.encode()):
        raise _forged()
    return sent


OwnFieldsIn = Annotated[dict[str, str], Depends(own_fields)]


def _forged() -> ApiError:
    detail = "this form is not from a page of your session: open the page again, and repeat what you did"
    return ApiError(HTTPStatus.FORBIDDEN, "ForeignForm", detail)


def _is_secure(request: Request) -> bool:
    # What a proxy says is believed, since it can only make the cookie stricter.
    return request.url.scheme == "https" or request.headers.get("x-forwarded-proto", "").lower() == "https"
