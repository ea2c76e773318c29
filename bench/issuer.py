"""Signing a run token, and serving the keys that check it to clouds that keep their connection."""

from __future__ import annotations

import http.client
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.harness import Figure, Limit, alternate
from reconciler.issuer.issuer import DISCOVERY_PATH, JWKS_PATH, Issuer
from reconciler.loop.service import utc_now
from reconciler.store.encryption import Keys
from reconciler.store.sql import open_store
from reconciler.web.app import create_app
from reconciler.web.ports import Ports
from reconciler.web.server import HttpServer

TOKENS = 500
BURST = 500
CLAIMS = {
    "aud": "sts.amazonaws.com",
    "sub": "space:production:stack:network:kind:tracked:phase:apply",
    "space": "production",
    "spacePath": "root/platform/production",
    "stack": "network",
    "runId": "r" * 26,
}


def measure(scratch: Path) -> Iterator[Figure]:
    """Measure tokens one after the other, and requests one after the other on one connection.

    The peer answers with the same bytes, from a server that does nothing else.
    """

    def nothing(*_: object) -> Any:
        return None

    store = open_store(f"sqlite:///{scratch / 'station.db'}", Keys([b"k" * 32]))
    issuer = Issuer(store, "https://station.example.com")
    now = utc_now()
    issuer.sign(CLAIMS, now)
    signing = [_seconds(lambda: issuer.sign(CLAIMS, now)) for _ in range(TOKENS)]
    yield Figure("a run token", statistics.median(signing) * 1e3, "ms", limit=2, kind=Limit.AT_MOST)
    ports = Ports(store, "token", nothing, nothing, nothing, nothing, issuer=issuer)
    with HttpServer(create_app(ports)) as server, HttpServer(_bare(issuer.jwks(now))) as bare:
        asking: list[float] = []
        ours, peer = alternate(7, lambda: sum(_burst(server, asking)), lambda: sum(_burst(bare, [])))
        discovering = _burst(server, [], DISCOVERY_PATH, b'"jwks_uri"')
    store.close()
    yield Figure("the issuer's keys over HTTP", statistics.median(asking) * 1e3, "ms", limit=5, kind=Limit.AT_MOST)
    yield Figure("  what it says of itself", statistics.median(discovering) * 1e3, "ms", limit=5, kind=Limit.AT_MOST)
    name = f"  {BURST} times, one after the other"
    yield Figure(name, ours * 1e3, "ms", peer * 1e3, "a server that knows only this answer", limit=1.5)


def _burst(server: HttpServer, taken: list[float], path: str = JWKS_PATH, holds: bytes = b'"keys"') -> list[float]:
    """Return the seconds of each of some requests, and add them to `taken`."""
    connection = http.client.HTTPConnection(server.url.removeprefix("http://"))
    burst = [_seconds(lambda: _ask(connection, path, holds)) for _ in range(BURST)]
    connection.close()
    taken += burst
    return burst


def _ask(connection: http.client.HTTPConnection, path: str, holds: bytes) -> None:
    connection.request("GET", path)
    answer = connection.getresponse()
    if answer.status != 200 or holds not in answer.read():
        raise RuntimeError(f"{path} answers {answer.status}")


def _bare(body: bytes) -> Any:
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]

    async def app(scope: Any, _receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": body})

    return app


def _seconds(what: Any) -> float:
    began = time.perf_counter()
    what()
    return time.perf_counter() - began
