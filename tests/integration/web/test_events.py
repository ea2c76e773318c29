"""Streams: a log while it is written, what changes, and what a stream must never do."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from typing import Any

import httpx
import pytest

from reconciler.core.runs import Run, RunEvent, RunStatus
from reconciler.store.sql import SqlStore
from reconciler.web import streams
from reconciler.web.app import create_app
from reconciler.web.ports import Ports
from reconciler.web.server import HttpServer
from tests.factories import a_run, a_stack, advanced
from tests.integration.web.client import OPERATOR_TOKEN

_HEADERS = {"Authorization": f"Bearer {OPERATOR_TOKEN}"}
LOG = bytearray()


@pytest.fixture
def ports(ports: Ports) -> Ports:
    LOG.clear()
    return replace(ports, live_log=lambda run, offset, limit: bytes(LOG[offset : offset + limit]))


@pytest.fixture
def server(ports: Ports) -> Iterator[HttpServer]:
    """One whose app is its own: its streams end with it."""
    with HttpServer(create_app(ports, pages=False)) as server:
        yield server


@pytest.fixture
def running(store: SqlStore) -> Run:
    run = a_run("production/web", status=RunStatus.PLANNING, attempt=1)
    with store.writing() as transaction:
        transaction.put_stacks([a_stack("production/web")])
        transaction.add_runs([run])
    return run


class Follower:
    """Somebody who reads a stream."""

    def __init__(self, url: str, path: str, **headers: str) -> None:
        self.client = httpx.Client(base_url=url, timeout=10)
        self._stream = self.client.stream("GET", path, headers={**_HEADERS, **headers})
        self.answer = self._stream.__enter__()
        self._lines = self.answer.iter_lines()

    def next(self) -> tuple[str, dict[str, Any]]:
        """Return the next event, without the signs that the stream is still there."""
        name = ""
        for line in self._lines:
            if line.startswith("event: "):
                name = line.removeprefix("event: ")
            elif line.startswith("data: "):
                return name, json.loads(line.removeprefix("data: "))
        return "closed", {}

    def close(self) -> None:
        self._stream.__exit__(None, None, None)
        self.client.close()


def end(store: SqlStore, run: Run) -> None:
    with store.writing() as transaction:
        transaction.record_logs({run.id: bytes(LOG)})
        transaction.put_run(advanced(run, RunEvent.FOUND_NOTHING))


def test_a_log_is_followed_from_where_one_was_to_its_end(server: HttpServer, store: SqlStore, running: Run) -> None:
    LOG.extend("first\nä".encode()[:-1])
    path = f"/api/v1/runs/{running.id}/log/events"
    with closing(Follower(server.url, path)) as one, closing(Follower(server.url, f"{path}?offset=6")) as other:
        assert one.answer.headers["content-type"].startswith("text/event-stream")
        # Half a character waits for its other half.
        assert one.next() == ("log", {"text": "first\n", "next": 6})
        LOG.extend("ä\nsecond\n".encode()[1:])
        for each in (one, other):
            assert each.next() == ("log", {"text": "ä\nsecond\n", "next": 16})
        with closing(Follower(server.url, path, **{"Last-Event-ID": "9"})) as late:
            assert late.next() == ("log", {"text": "second\n", "next": 16})
        LOG.extend(b"last\n")
        end(store, running)
        for each in (one, other):
            assert "".join(text for name, found in iter(each.next, ("closed", {})) if (text := found.get("text"))) == (
                "last\n"
            )
    with closing(Follower(server.url, path)) as whole:
        assert whole.next() == ("log", {"text": "first\nä\nsecond\nlast\n", "next": 21})
        assert [whole.next()[0] for _ in range(2)] == ["end", "closed"]
    for wrong, headers in ((path.replace(running.id, "0" * 26), _HEADERS), (path, {})):
        assert httpx.get(server.url + wrong, headers=headers).status_code in {401, 404}


def test_changes_are_told_to_who_may_see_them(server: HttpServer, store: SqlStore, running: Run) -> None:
    with closing(Follower(server.url, "/api/v1/events")) as follower:
        queued = a_run("production/db")
        with store.writing() as transaction:
            transaction.put_stacks([a_stack("production/db")])
            transaction.add_runs([queued])
        assert follower.next() == ("run", {"id": queued.id, "stack": "production/db", "status": "queued"})
        with store.writing() as transaction:
            transaction.put_run(advanced(running, RunEvent.FOUND_NOTHING))
            transaction.put_configuration(replace(transaction.configuration(), admitted_revision="a" * 40))
        assert follower.next() == ("run", {"id": running.id, "stack": "production/web", "status": "finished"})
        assert follower.next()[1]["admittedRevision"] == "a" * 40


def test_a_stream_ends_with_its_right_and_with_the_server(
    monkeypatch: pytest.MonkeyPatch, ports: Ports, store: SqlStore, running: Run
) -> None:
    monkeypatch.setattr(streams, "BEAT", 0.2)
    monkeypatch.setattr(streams, "_PATIENCE", 0.5)
    token = [OPERATOR_TOKEN]
    mine = replace(ports)
    path = f"/api/v1/runs/{running.id}/log/events"
    app = create_app(mine, pages=False)
    with HttpServer(app) as server:
        with closing(Follower(server.url, path)) as follower:
            object.__setattr__(mine, "operator_token", "another")
            began, name = time.monotonic(), ""
            while name != "closed":
                # The log never rests meanwhile.
                LOG.extend(b"more\n")
                name = follower.next()[0]
                assert time.monotonic() - began < 20, "whoever lost the right goes on reading"
        object.__setattr__(mine, "operator_token", token[0])
        # One that reads nothing is left alone.
        LOG.extend((b"x" * 199 + b"\n") * 50_000)
        with _deaf(server.url, path):
            assert _within(10, lambda: app.state.streams.open == 1)
            assert _within(10, lambda: app.state.streams.open == 0)
        with closing(Follower(server.url, "/api/v1/events")) as follower:
            threading.Thread(target=server.stop).start()
            assert follower.next()[0] == "closed"


def test_one_token_keeps_nobody_else_from_following(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "_MOST_OF_ONE", 2)
    monkeypatch.setattr(streams, "_MOST", 4)
    all_streams = streams.Streams()
    with ExitStack() as stack:

        async def follow(whose: str | None) -> None:
            stack.enter_context(all_streams.follow("a", Still, whose))

        for whose in ("ada", "ada", "bob", None):
            asyncio.run(follow(whose))
            if whose == "ada":
                continue
            with pytest.raises(streams.TooManyStreams):
                asyncio.run(follow("ada"))
        with pytest.raises(streams.TooManyStreams):
            asyncio.run(follow(None))
    asyncio.run(follow("ada"))


class Still(streams.Topic[None]):
    """Something that never changes."""

    def __init__(self) -> None:
        super().__init__(None)

    def look(self, state: None) -> None:
        return state


@pytest.mark.slow
def test_many_streams_and_some_that_read_nothing(server: HttpServer, running: Run) -> None:
    path = f"/api/v1/runs/{running.id}/log/events"
    open_streams: list[socket.socket] = []
    try:
        open_streams.extend(_deaf(server.url, path) for _ in range(100))
        for each in open_streams:
            assert each.recv(4096).startswith(b"HTTP/1.1 200")
        LOG.extend(b"x" * 199 + b"\n")
        for each in open_streams:
            _read_until(each, b"xxx")
        for each in open_streams[20:]:
            each.close()
        # Of those that are left one goes on reading. The service has more to say than fits between it and the others.
        LOG.extend((b"y" * 199 + b"\n") * 20_000 + b"the end\n")
        _read_until(open_streams[0], b"the end")
        assert httpx.get(f"{server.url}/api/v1/stacks", headers=_HEADERS, timeout=30).status_code == 200
    finally:
        for each in open_streams:
            each.close()


def _read_until(stream: socket.socket, wanted: bytes) -> None:
    data = b""
    while wanted not in data:
        more = stream.recv(65536)
        assert more, "the stream ended"
        data = data[-len(wanted) :] + more


def _deaf(url: str, path: str) -> socket.socket:
    """Open a stream of which hardly anything fits into what was not read yet."""
    host, port = url.removeprefix("http://").split(":")
    made = socket.socket()
    made.settimeout(30)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    made.connect((host, int(port)))
    head = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: {_HEADERS['Authorization']}\r\n\r\n"
    made.sendall(head.encode())
    return made


def _within(seconds: float, holds: Callable[[], bool]) -> bool:
    end = time.monotonic() + seconds
    while not holds() and time.monotonic() < end:
        time.sleep(0.01)
    return holds()
