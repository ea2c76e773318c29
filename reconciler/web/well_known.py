"""The issuer's two documents, which clouds fetch without any token to check those of runs. They hold no secret."""

from __future__ import annotations

from fastapi import APIRouter, Response
from starlette.concurrency import run_in_threadpool

from reconciler.issuer.issuer import DISCOVERY_PATH, JWKS_PATH, Issuer
from reconciler.web.api.auth import PortsIn
from reconciler.web.api.errors import not_found
from reconciler.web.ports import Ports

router = APIRouter(tags=["issuer"])

PREFIX = "/.well-known/"
_HEADERS = {"Cache-Control": "public, max-age=300"}


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


def _issuer(ports: Ports) -> Issuer:
    if ports.issuer is None:
        raise not_found("issuer: the setting issuer_url is not set")
    return ports.issuer
