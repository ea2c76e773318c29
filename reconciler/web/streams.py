"""Streams of events to many clients at once.

A stream holds no thread: it is a coroutine that sleeps until what it follows has changed. That is a topic, which is
looked at once for all its streams, in a thread, and only while somebody follows it. Each stream keeps its own place in
the topic, and nothing is queued for it: one whose client reads slowly, or not at all, costs nobody else anything.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from typing import Any, Generic, TypeVar, cast

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from reconciler.store.stored import StoreError

_State = TypeVar("_State")
_Topic = TypeVar("_Topic", bound="Topic[Any]")

BEAT = 10.0
"""After so many seconds without an event a stream says that it is still there, and its right is checked anew."""
_PATIENCE = 30.0
"""The seconds after which a stream whose client reads nothing is given up."""
_MOST = 1200
_MOST_OF_ONE = 300
"""How many of them one token may have open: nobody keeps all others from following anything."""

HEARTBEAT = b":\n\n"


class TooManyStreams(Exception):
    """As many streams are open as the service keeps, or as one token may have."""


class Beats:
    """Says when the right of whoever follows a stream is to be checked anew, however much there is to send."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    def is_due(self) -> bool:
        """Whether that is now; it counts from here again then."""
        now = time.monotonic()
        if now - self._last < BEAT:
            return False
        self._last = now
        return True


class Topic(ABC, Generic[_State]):
    """Something that streams follow."""

    pause = 0.2
    """The seconds between two looks."""

    def __init__(self, state: _State) -> None:
        self.state = state
        self.followers = 0
        self._event = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @abstractmethod
    def look(self, state: _State) -> _State:
        """Return what there is now, by what there was; the same object if nothing has changed. Called in a thread."""

    def start(self) -> None:
        """Look from now on, if nobody does yet."""
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._follow())

    def stop(self) -> None:
        """Look no more."""
        if self._task is not None:
            self._task.cancel()

    def wake(self) -> None:
        """Wake every stream."""
        self._event.set()
        self._event = asyncio.Event()

    @property
    def next(self) -> asyncio.Event:
        """What is set as soon as there is something new."""
        return self._event

    async def changed(self) -> None:
        """Wait until there is something new, or until the next beat is due."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(BEAT):
                await self._event.wait()

    async def _follow(self) -> None:
        while True:
            # Whoever follows learns of a database that is away when its right is checked.
            with contextlib.suppress(StoreError):
                found = await run_in_threadpool(self.look, self.state)
                if found is not self.state:
                    self.state = found
                    self.wake()
            await asyncio.sleep(self.pause)


class Streams:
    """The open streams of an app, and their topics."""

    def __init__(self) -> None:
        self.closing = False
        self.open = 0
        """How many streams are open."""
        self._topics: dict[str, Topic[Any]] = {}
        self._of: Counter[str | None] = Counter()
        self._loop: asyncio.AbstractEventLoop | None = None

    @contextlib.contextmanager
    def follow(self, name: str, topic: Callable[[], _Topic], whose: str | None = None) -> Iterator[_Topic]:
        """Give the topic of a name to one more stream; raise TooManyStreams where there is no room for it.

        `whose`: the token that it is for; None: the operator's.
        """
        of_one = self._of[whose] if whose is not None else 0
        if self.open >= _MOST or of_one >= _MOST_OF_ONE or self.closing:
            raise TooManyStreams
        self._loop = asyncio.get_running_loop()
        found = self._topics.get(name)
        if found is None:
            found = self._topics[name] = topic()
        found.followers += 1
        self.open += 1
        self._of[whose] += 1
        try:
            yield cast("_Topic", found)
        finally:
            self.open -= 1
            self._of[whose] -= 1
            if not self._of[whose]:
                del self._of[whose]
            found.followers -= 1
            if not found.followers:
                found.stop()
                del self._topics[name]

    def close(self) -> None:
        """End all streams: the server stops. Another thread may call this."""
        self.closing = True
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        for topic in self._topics.values():
            topic.wake()


class EventStream(Response):
    """An answer that goes on: server-sent events, until the generator ends or the client leaves."""

    media_type = "text/event-stream"

    def __init__(self, events: AsyncGenerator[bytes, None], status_code: int = 200) -> None:
        # A proxy that keeps answers until they are whole would keep this one for ever.
        super().__init__(status_code=status_code, headers={"X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._events = events

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the events as they come."""
        _ = scope
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        tasks = {asyncio.create_task(self._send(send)), asyncio.create_task(_left(receive))}
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._events.aclose()
        for task in done:
            task.result()

    async def _send(self, send: Send) -> None:
        async for event in self._events:
            try:
                async with asyncio.timeout(_PATIENCE):
                    await send({"type": "http.response.body", "body": event, "more_body": True})
            except TimeoutError:
                return
        await send({"type": "http.response.body", "body": b""})


async def _left(receive: Receive) -> None:
    """Wait until the client has left."""
    while (await receive())["type"] != "http.disconnect":
        pass


def event(name: str, data: Mapping[str, object], number: int | None = None) -> bytes:
    """Return an event on the wire. `number`: where a client goes on that comes back (`Last-Event-ID`)."""
    lines = [f"event: {name}", f"data: {json.dumps(data, ensure_ascii=False)}"]
    lines += [f"id: {number}"] if number is not None else []
    return "\n".join([*lines, "\n"]).encode()
