"""What a client knows already: `ETag` and `If-None-Match` for every read of the API, and `If-Match` for every write.

A write with `If-Match` is done only if what it is about still reads as the client saw it. What is read is the path
itself, or, for an action such as `…/confirm`, the path without it.
"""

from __future__ import annotations

import hashlib
from http import HTTPStatus

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from reconciler.web.api.errors import ApiError

_KEPT = {"etag", "cache-control", "vary", "date"}
"""What an answer without a body still says."""


class Conditional:
    """Marks answers by their content, and leaves out what the client says it has.

    The answer is worked out all the same: whether something has changed for somebody depends on their rights, too. So
    this saves the way to the client, and its work.
    """

    def __init__(self, app: ASGIApp, prefix: str, apart: tuple[str, ...] = ()) -> None:
        """Stand in front of the paths of `app` that begin with `prefix`, and not with one of `apart`."""
        self._app = app
        self._prefix = prefix
        self._apart = apart

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http" or not self._covers(scope["path"]):
            await self._app(scope, receive, send)
            return
        if scope["method"] != "GET":
            await self._write(scope, receive, send)
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

    def _covers(self, path: str) -> bool:
        return path.startswith(self._prefix) and not path.startswith(self._apart)

    async def _write(self, scope: Scope, receive: Receive, send: Send) -> None:
        wanted = Headers(scope=scope).get("if-match", "").strip()
        if wanted and wanted != "*":
            path = scope["path"]
            now = await self._read(scope, path) or await self._read(scope, path.rpartition("/")[0])
            # Where nothing can be read, the app itself says what is wrong.
            if now is not None and not _names(wanted, now):
                detail = "it is not as you saw it any more: read it again, and decide anew"
                await ApiError(HTTPStatus.PRECONDITION_FAILED, "Changed", detail).response()(scope, receive, send)
                return
        await self._app(scope, receive, send)

    async def _read(self, scope: Scope, path: str) -> str | None:
        """Return the mark of what the same caller reads at a path; None if that is nothing."""
        status, body = 0, bytearray()
        # Then the client is gone: an answer that would go on, such as a stream, ends there.
        left_to_say: list[Message] = [{"type": "http.request", "body": b"", "more_body": False}]

        async def nothing() -> Message:
            return left_to_say.pop() if left_to_say else {"type": "http.disconnect"}

        async def take(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            else:
                body.extend(message.get("body", b""))

        asked = {**scope, "method": "GET", "path": path, "raw_path": path.encode(), "query_string": b""}
        await self._app(asked, nothing, take)
        return mark_of(bytes(body)) if status == HTTPStatus.OK else None


def _marked(start: Message, body: Message, known: str) -> tuple[Message, Message]:
    """Return a whole answer with its mark, or without its body if the client knows that mark."""
    mark = mark_of(body.get("body", b""))
    MutableHeaders(scope=start)["ETag"] = mark
    if known.strip() != "*" and not _names(known, mark):
        return start, body
    left = [(name, value) for name, value in start["headers"] if name.decode("latin-1").lower() in _KEPT]
    return {**start, "status": int(HTTPStatus.NOT_MODIFIED), "headers": left}, {**body, "body": b""}


def mark_of(body: bytes) -> str:
    """Return the mark of an answer's content."""
    return f'"{hashlib.sha256(body).hexdigest()[:32]}"'


def _names(known: str, mark: str) -> bool:
    return mark in {each.strip().removeprefix("W/") for each in known.split(",")}
