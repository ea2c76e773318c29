"""The issuer's two documents, which clouds fetch without any token to check those of runs. They hold no secret."""

from __future__ import annotations

from fastapi import APIRouter, Response
from starlette.concurrency import run_in_threadpool
from starlette.types import ASGIApp, Receive, Scope, Send

from reconciler.issuer.issuer import DISCOVERY_PATH, JWKS_PATH, Issuer
from reconciler.web.api.auth import PortsIn
from reconciler.web.api.errors import not_found
from reconciler.web.ports import Ports

router = APIRouter(tags=["issuer"])

PREFIX = "/.well-known/"
_HEADERS = {"Cache-Control": "public, max-age=300"}
_RAW_HEADERS = [(name.lower().encode(), value.encode()) for name, value in _HEADERS.items()]


@router.get(DISCOVERY_PATH)
async def openid_configuration(ports: PortsIn) -> Response:
    """Return the discovery document of the issuer of run tokens."""
    return Response(_issuer(ports).discovery(), headers=_HEADERS, media_type="application/json")


@router.get(JWKS_PATH)
async def jwks(ports: PortsIn) -> Response:
    """Return the public keys of the issuer of run tokens."""
    issuer, now = _issuer(ports), ports.now()
    fresh = issuer.keyring.is_fresh(now)
    body = issuer.jwks(now) if fresh else await run_in_threadpool(issuer.jwks, now)
    return Response(body, headers=_HEADERS, media_type="application/json")


class Published:
    """Answers for both documents in front of the app, as long as they are at hand.

    Clouds ask for them at every exchange of a token. On the way through the app an answer costs a hundred times more.
    """

    def __init__(self, app: ASGIApp, ports: Ports) -> None:
        """Stand in front of `app`."""
        self._app = app
        self._issuer = ports.issuer
        self._now = ports.now

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or hand it on."""
        body = self._at_hand(scope) if scope["type"] == "http" else None
        if body is None:
            await self._app(scope, receive, send)
            return
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()), *_RAW_HEADERS]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def _at_hand(self, scope: Scope) -> bytes | None:
        issuer = self._issuer
        if issuer is None or scope["method"] != "GET" or scope["query_string"]:
            return None
        if scope["path"] == DISCOVERY_PATH:
            return issuer.discovery()
        now = self._now()
        return issuer.jwks(now) if scope["path"] == JWKS_PATH and issuer.keyring.is_fresh(now) else None


def _issuer(ports: Ports) -> Issuer:
    if ports.issuer is None:
        raise not_found("issuer: the setting issuer_url is not set")
    return ports.issuer
