"""Answers that a client has already: `ETag` and `If-None-Match`, for every read of the API."""

from __future__ import annotations

import hashlib
from http import HTTPStatus

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_KEPT = {"etag", "cache-control", "vary", "date"}
"""What an answer without a body still says."""


class Conditional:
    """Marks answers by their content, and leaves out what the client says it has.

    The answer is worked out all the same: whether something has changed for somebody depends on their rights, too. So
    this saves the way to the client, and its work.
    """

    def __init__(self, app: ASGIApp, prefix: str) -> None:
        """Stand in front of the paths of `app` that begin with `prefix`."""
        self._app = app
        self._prefix = prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http" or scope["method"] != "GET" or not scope["path"].startswith(self._prefix):
            await self._app(scope, receive, send)
            return
        known = Headers(scope=scope).get("if-none-match", "")
        start: Message | None = None

        async def marked(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start" and message["status"] == HTTPStatus.OK:
                start = message
                return
            if start is not None:
                begun, start = start, None
                if not message.get("more_body"):
                    begun, message = _marked(begun, message, known)
                await send(begun)
            await send(message)

        await self._app(scope, receive, marked)


def _marked(start: Message, body: Message, known: str) -> tuple[Message, Message]:
    """Return a whole answer with its mark, or without its body if the client knows that mark."""
    mark = f'"{hashlib.sha256(body.get("body", b"")).hexdigest()[:32]}"'
    MutableHeaders(scope=start)["ETag"] = mark
    if known.strip() != "*" and mark not in {each.strip().removeprefix("W/") for each in known.split(",")}:
        return start, body
    left = [(name, value) for name, value in start["headers"] if name.decode("latin-1").lower() in _KEPT]
    return {**start, "status": int(HTTPStatus.NOT_MODIFIED), "headers": left}, {**body, "body": b""}
