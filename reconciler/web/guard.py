"""Stands before every request: a page in somebody's browser cannot reach the service under a name of its own choice."""

from __future__ import annotations

import ipaddress
from http import HTTPStatus

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from reconciler.web.api.errors import Problem

_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


class Guard:
    """Refuses unknown names in `Host` (DNS rebinding) and sets the headers that every answer carries.

    An address is safe in `Host`: rebinding needs a name.
    """

    def __init__(self, app: ASGIApp, hosts: frozenset[str]) -> None:
        self._app = app
        self._hosts = hosts | {"localhost"}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer or refuse one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        if self._knows(Headers(scope=scope).get("host", "")):
            await self._app(scope, receive, send_marked)
        else:
            detail = "the service does not answer to this name"
            refused = Problem(HTTPStatus.MISDIRECTED_REQUEST, "UnknownHost", detail).response()
            await refused(scope, receive, send_marked)

    def _knows(self, host: str) -> bool:
        name, _, rest = host.rpartition(":")
        if not name or not rest.isdecimal():
            name = host
        name = name.lower()
        if name in self._hosts:
            return True
        try:
            ipaddress.ip_address(name[1:-1] if name.startswith("[") and name.endswith("]") else name)
        except ValueError:
            return False
        return True
