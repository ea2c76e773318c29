"""The endpoints for machines: alive, ready, metrics. Metrics name spaces and stacks, so they need a right."""

from __future__ import annotations

import ipaddress
from collections.abc import AsyncIterator, Iterator
from http import HTTPStatus

from fastapi import APIRouter, Request, Response
from fastapi.responses import PlainTextResponse, StreamingResponse

from reconciler.metrics import CONTENT_TYPE
from reconciler.store.stored import StoreError
from reconciler.web.api.auth import PortsIn, authenticate
from reconciler.web.api.errors import not_found

router = APIRouter(tags=["health"])

_PASSED_ON = ("forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-real-ip")


@router.get("/healthz", response_class=PlainTextResponse)
def healthz() -> str:
    """Answer that the service is alive."""
    return "ok\n"


@router.get("/readyz", response_class=PlainTextResponse)
def readyz(ports: PortsIn) -> PlainTextResponse:
    """Answer whether the store works and a first pass succeeded. Anybody may ask: the answer names no place.

    A halt is said, and the service stays ready: everything else goes on, and people have to see why it stands.
    """
    trouble = ports.trouble()
    if trouble is not None:
        return PlainTextResponse(f"{trouble}\n", HTTPStatus.SERVICE_UNAVAILABLE)
    try:
        with ports.store.reading() as reading:
            halted = reading.configuration().halted
    except StoreError as error:
        return PlainTextResponse(f"{error.brief}\n", HTTPStatus.SERVICE_UNAVAILABLE)
    if not ports.ready():
        return PlainTextResponse("the service has not reconciled yet\n", HTTPStatus.SERVICE_UNAVAILABLE)
    if halted is not None:
        return PlainTextResponse(f"admission is halted: {halted.reason}\n")
    return PlainTextResponse("ok\n")


@router.get("/metrics", response_class=PlainTextResponse)
def metrics(request: Request, ports: PortsIn) -> Response:
    """Return the metrics in Prometheus' text format, to this machine and to callers who may read everything."""
    if (ports.metrics_need_token or not _is_local(request)) and not authenticate(request).sees_everything:
        raise not_found("such page")
    return StreamingResponse(_each(ports.metrics.expose()), headers={"Content-Type": CONTENT_TYPE})


async def _each(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    # Each takes a millisecond, which is less than to have another thread make it.
    for piece in pieces:
        yield piece


def _is_local(request: Request) -> bool:
    """Whether this machine itself asks. A proxy that forwards somebody else's request says so in a header."""
    if any(header in request.headers for header in _PASSED_ON) or request.client is None:
        return False
    try:
        return ipaddress.ip_address(request.client.host).is_loopback
    except ValueError:
        return False
