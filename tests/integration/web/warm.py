"""The app of the service, made once for all tests: the first request to each new one takes 0.1 s."""

from __future__ import annotations

from functools import cache
from typing import Any

from fastapi import FastAPI
from starlette.types import Receive, Scope, Send

from reconciler.web import gauges
from reconciler.web.app import create_app
from reconciler.web.ports import Ports


class WarmApp:
    """What `create_app` gives for ports without names of their own; for one request at a time."""

    def __init__(self, ports: Ports) -> None:
        assert not ports.hosts
        self._ports = ports
        gauges.expose(ports)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = _app()
        app.state.ports = self._ports
        await app(scope, receive, send)


@cache
def _app() -> FastAPI:
    def nothing(*_: object) -> Any:
        return None

    return create_app(Ports(nothing(), "", nothing, nothing, nothing, nothing))
