"""The guard in front of every request, with or without a token.

`create_app` wraps the whole app in it. It refuses unknown host names, long bodies and NUL characters, and adds the
security headers to responses. It knows no tokens, users or rights, and never changes a request that it lets through.
"""

from __future__ import annotations

import ipaddress
import re
import secrets
from functools import lru_cache
from http import HTTPStatus
from itertools import count

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from reconciler.web.api.errors import ApiError

_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}

_RAW_HEADERS = [(name.lower().encode(), value.encode()) for name, value in _HEADERS.items()]

_PROCESS, _NUMBERS = secrets.token_hex(4), count(1)
"""What the ids of requests are made of. To ask the system for chance each time takes as long as a small request."""
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_LONGEST_BODY = 64 * 1024
"""The most bytes of a request's body. An ordinary request of the API has some hundred."""


class RequestGuard:
    """Refuses requests that no honest client sends, and sets the headers that every response carries.

    A page in somebody's browser cannot reach the service under a name that the page chose (DNS rebinding). An address
    in `Host` is safe: rebinding needs a name. Bodies are read before the token is checked, so they must be short,
    except for `large` ones, whose routes check the token first. What is `public` is for everybody, by any name: clouds
    ask for it through whatever stands in front of the service.
    """

    def __init__(self, app: ASGIApp, hosts: frozenset[str], large: tuple[str, ...], public: str) -> None:
        """Guard `app`. Paths that begin with one of `large` accept large bodies, those with `public` are for all."""
        self._app = app
        self._large = large
        self._public = public
        self._hosts = hosts | {"localhost"}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer or refuse one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        request = _request_id(Headers(scope=scope).get("x-request-id", ""))
        scope["request_id"] = request

        async def send_marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = message["headers"] = [*message.get("headers", ())]
                there = {name.lower() for name, _ in headers}
                headers.extend(header for header in _RAW_HEADERS if header[0] not in there)
                headers.append((b"x-request-id", request.encode()))
            await send(message)

        refused = self._refusal(scope)
        if refused is not None:
            await refused.response()(scope, receive, send_marked)
        elif scope["path"].startswith(self._large):
            await self._app(scope, receive, send_marked)
        else:
            await self._app(scope, _short(receive), send_marked)

    def _refusal(self, scope: Scope) -> ApiError | None:
        if not scope["path"].startswith(self._public) and not self._knows(Headers(scope=scope).get("host", "")):
            detail = "unknown Host header: use localhost or the service's address"
            return ApiError(HTTPStatus.MISDIRECTED_REQUEST, "UnknownHost", detail)
        if "\0" in scope["path"] or b"%00" in scope["query_string"]:
            # Databases treat NUL differently, and no name contains it.
            return ApiError(HTTPStatus.BAD_REQUEST, "BadRequest", "a URL cannot contain NUL")
        return None

    def _knows(self, host: str) -> bool:
        name, _, rest = host.rpartition(":")
        if not name or not rest.isdecimal():
            name = host
        name = name.lower()
        return name in self._hosts or _is_address(name[1:-1] if name.startswith("[") and name.endswith("]") else name)


@lru_cache(maxsize=64)
def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _request_id(wanted: str) -> str:
    """Return the id that the caller gave the request, if it can stand in a log, else a new one."""
    return wanted if _REQUEST_ID.fullmatch(wanted) else f"{_PROCESS}{next(_NUMBERS):08x}"


def _short(receive: Receive) -> Receive:
    """Return a `receive` that refuses a body which is too long."""
    length = 0

    async def limited() -> Message:
        nonlocal length
        message = await receive()
        length += len(message.get("body", b""))
        if length > _LONGEST_BODY:
            detail = f"the request is larger than {_LONGEST_BODY} bytes"
            raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, detail)
        return message

    return limited
