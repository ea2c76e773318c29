"""An HTTP server for an app on a loopback address, in a thread of its own."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import socket
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import uvicorn
from fastapi import FastAPI

from reconciler.addresses import http_url
from reconciler.runner.tfstate.door import listen
from reconciler.web.streams import Streams

_LEFT = "ASGI callable returned without completing response."
# So a stream whose client reads nothing is left: that is no error.
logging.getLogger("uvicorn.error").addFilter(lambda record: record.msg != _LEFT)

_START_SECONDS = 15.0
_GOODBYE_SECONDS = 5


class ListenError(Exception):
    """The server cannot listen on the address. The message is one line with the reason."""


class HttpServer:
    """An HTTP server in a thread: `with HttpServer(app) as server: … server.url …`."""

    def __init__(
        self, app: FastAPI, host: str = "127.0.0.1", port: int = 0, doors: Sequence[socket.socket] = ()
    ) -> None:
        """Serve the app; also on `doors`, which listen already and are closed with the server."""
        self._host = host
        self._port = port
        self._doors = doors
        self._app = app
        self._socket: socket.socket | None = None
        self._thread: threading.Thread | None = None
        self._server = _Server(
            uvicorn.Config(
                app,
                # An access log would contain everything that callers write into the address.
                access_log=False,
                log_config=None,
                lifespan="off",
                proxy_headers=False,
                server_header=False,
                loop="asyncio",
                ws="none",
                timeout_graceful_shutdown=_GOODBYE_SECONDS,
            )
        )

    @property
    def url(self) -> str:
        """The address of the app, without a slash at the end; valid between start and stop."""
        if self._socket is None:
            raise RuntimeError("the server does not run")
        return http_url(*self._socket.getsockname()[:2])

    def start(self) -> str:
        """Start to answer and return the URL; raise ListenError if the address is taken or not on loopback."""
        self._socket = _listen(self._host, self._port)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._socket, *self._doors]}, name="http", daemon=True
        )
        self._thread.start()
        deadline = time.monotonic() + _START_SECONDS
        while not self._server.started:
            if not self._thread.is_alive() or time.monotonic() > deadline:
                self.stop()
                raise ListenError("the HTTP server did not start")
            time.sleep(0.005)
        return self.url

    def stop(self) -> None:
        """Finish the requests at hand, end the streams, then stop."""
        self._server.end()
        streams = getattr(getattr(self._app, "state", None), "streams", None)
        if isinstance(streams, Streams):
            streams.close()
        if self._thread is not None:
            self._thread.join(_GOODBYE_SECONDS + 5)
            self._thread = None
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        for door in self._doors:
            door.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


class _Server(uvicorn.Server):
    """Looks once a second whether it is to end, and is told so at once. The library's own looks ten times a second."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._ending = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    async def main_loop(self) -> None:
        """Keep the date of the answers right, until the end."""
        self._loop = asyncio.get_running_loop()
        while not await self.on_tick(0):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1.0):
                    await self._ending.wait()
        # A connection that is being taken while its listener is closed would be left open for good: take no more first.
        for door in (door for server in self.servers for door in server.sockets):
            self._loop.remove_reader(door)
        await asyncio.sleep(0)

    def end(self) -> None:
        """Stop to answer. Another thread calls this."""
        self.should_exit = True
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._ending.set)


class LazyServer:
    """The HTTP server, started when first needed: `station reconcile` needs it only for a managed tfstate."""

    def __init__(self, app: Callable[[], FastAPI], host: str, port: int, directory: Path) -> None:
        self._app = app
        self._directory = directory
        self._address = host, port
        self._server: HttpServer | None = None
        self._lock = threading.Lock()

    def url(self) -> str:
        """Return the server's URL; it listens from now on, there and in the data directory."""
        with self._lock:
            if self._server is None:
                server = HttpServer(self._app(), *self._address, doors=[listen(self._directory)])
                server.start()
                self._server = server
            return self._server.url

    def stop(self) -> None:
        """Stop listening, if the server was started."""
        if self._server is not None:
            self._server.stop()


def _listen(host: str, port: int) -> socket.socket:
    address = "127.0.0.1" if host == "localhost" else host
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        raise ListenError(f"cannot listen on {host}: write a loopback address such as 127.0.0.1") from None
    if not ip.is_loopback:
        raise ListenError(f"cannot listen on {host}: only loopback addresses are served")
    family = socket.AF_INET6 if ip.version == 6 else socket.AF_INET
    # Without the protocol, asyncio would not switch off Nagle's algorithm: 40 ms for each answer on a kept connection.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        listener.listen(256)
    except OSError as error:
        listener.close()
        raise ListenError(f"cannot listen on {host}:{port}: {error.strerror or error}") from None
    return listener
