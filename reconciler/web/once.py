"""Requests that change something once, however often they are sent: by the header `Idempotency-Key`.

A client that lost the connection does not know whether its request was done. It sends it again with the same key, and
gets the answer of the first time. Keys count for a day, for the token that sent them, and on all services that share
the database.
"""

from __future__ import annotations

import hashlib
import json
import re
from http import HTTPStatus

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from reconciler.store.stored import KeptAnswer, StoreError
from reconciler.web.api import errors
from reconciler.web.api.auth import caller_of, keep_pace, ports_of, shown_token
from reconciler.web.api.errors import ApiError, invalid

HEADER = "Idempotency-Key"
PATTERN = r"^[!-~]{1,100}$"
"""What a key may be: visible ASCII."""
_KEY = re.compile(PATTERN)
_READS = {"GET", "HEAD", "OPTIONS"}
_NOT_DONE = {HTTPStatus.UNAUTHORIZED, HTTPStatus.TOO_MANY_REQUESTS}
"""Answers that say nothing about the request: the same one may be done later."""
_SENT = ("content-type", "location")
"""The headers of an answer that are kept with it."""


class Once:
    """Stands in front of the paths of an app that begin with `prefix`, except those with `large` bodies."""

    def __init__(self, app: ASGIApp, prefix: str, large: tuple[str, ...]) -> None:
        self._app = app
        self._prefix = prefix
        self._large = large

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or hand it on."""
        wanted = None
        if scope["type"] == "http" and scope["method"] not in _READS and scope["path"].startswith(self._prefix):
            wanted = Headers(scope=scope).get(HEADER)
        if wanted is None:
            await self._app(scope, receive, send)
            return
        try:
            await self._answer(scope, receive, send, wanted)
        except (ApiError, StoreError) as error:
            await errors.as_api_error(error).response()(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send, wanted: str) -> None:
        if not _KEY.fullmatch(wanted):
            raise invalid(HEADER, "is not a key: write up to 100 visible characters")
        if scope["path"].startswith(self._large):
            raise invalid(HEADER, "is not for this path")
        request = Request(scope, receive)
        ports, token = ports_of(request), shown_token(request)
        caller = None if token is None else await run_in_threadpool(caller_of, ports, token)
        if caller is None:
            # The app says what is wrong with the token.
            await self._app(scope, receive, send)
            return
        body = await request.body()
        key = _digest(caller.token or caller.person, wanted)
        asked = _digest(scope["method"], scope["path"], scope["query_string"].decode("latin-1"), body.hex())

        def begin() -> KeptAnswer | None:
            with ports.store.writing() as transaction:
                return transaction.begin_answer(key, asked, ports.now())

        known = await run_in_threadpool(begin)
        if known is not None:
            keep_pace(ports, caller)
            await _again(known, asked)(scope, receive, send)
            return
        answer = _Answer(send)
        done = False
        try:
            await self._app(scope, _replayed(body), answer.take)
            done = True
        finally:

            def end() -> None:
                with ports.store.writing() as transaction:
                    if done and answer.status < HTTPStatus.INTERNAL_SERVER_ERROR and answer.status not in _NOT_DONE:
                        transaction.end_answer(key, answer.status, answer.kept())
                    else:
                        transaction.forget_answer(key)

            await run_in_threadpool(end)
        await answer.send()


class _Answer:
    """An answer that is held until it is kept: a client that has it can rely on getting it again."""

    def __init__(self, send: Send) -> None:
        self.status = 0
        self._send = send
        self._messages: list[Message] = []

    async def take(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        self._messages.append(message)

    def kept(self) -> bytes:
        headers = Headers(raw=self._messages[0]["headers"])
        body = b"".join(message.get("body", b"") for message in self._messages[1:])
        return json.dumps([{name: headers[name] for name in _SENT if name in headers}, body.decode()]).encode()

    async def send(self) -> None:
        for message in self._messages:
            await self._send(message)


def _again(known: KeptAnswer, asked: str) -> ASGIApp:
    if known.request != asked:
        detail = f"this {HEADER} was sent with another request: each request needs a key of its own"
        return ApiError(HTTPStatus.CONFLICT, "KeyReused", detail).response()
    if known.status is None:
        detail = f"the request with this {HEADER} is being answered just now: ask again in a moment"
        return ApiError(HTTPStatus.CONFLICT, "InProgress", detail, headers={"Retry-After": "1"}).response()
    headers, body = json.loads(known.body)
    return _plain(known.status, headers | {"Idempotency-Replayed": "true"}, body.encode())


def _plain(status: int, headers: dict[str, str], body: bytes) -> ASGIApp:
    async def answer(_scope: Scope, _receive: Receive, send: Send) -> None:
        pairs = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
        pairs.append((b"content-length", str(len(body)).encode()))
        await send({"type": "http.response.start", "status": status, "headers": pairs})
        await send({"type": "http.response.body", "body": body})

    return answer


def _replayed(body: bytes) -> Receive:
    """Return a `receive` that gives a body which was read already."""

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    return receive


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
