"""The worker's door for tfstates: a socket in its data directory, where it passes on what tools ask of the service.

Runs find it at the same place as on the service's own machine, so that they need no other code: while the worker or the
service is away, what a tool wrote waits on the disk.
"""

from __future__ import annotations

import socket
import threading
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingMixIn, UnixStreamServer
from typing import Any

from reconciler.runner.tfstate.door import listen
from reconciler.worker.service import Away, ServiceClient

_PATHS = "/api/v1/tfstate/"
_PASSED = ("authorization", "content-type", "content-md5", "prefer")
_RETURNED = ("content-type", "content-md5", "preference-applied")
_MAX_BYTES = 512 * 1024 * 1024


class TfstateDoor:
    """Listens in the data directory until it is closed."""

    def __init__(self, directory: Path, service: ServiceClient) -> None:
        self._server = _Server(listen(directory), service)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Listen no more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)


class _Server(ThreadingMixIn, UnixStreamServer):
    daemon_threads = True

    def __init__(self, listener: socket.socket, service: ServiceClient) -> None:
        super().__init__("", _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
        self.service = service

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Keep quiet: the run sees a broken connection, and keeps what it has to say."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 90
    wbufsize = -1

    def address_string(self) -> str:
        """Return no address: a socket in a directory has none."""
        return ""

    def do_GET(self) -> None:
        """Pass on any method."""
        server = self.server
        assert isinstance(server, _Server)  # noqa: S101 - made by no other
        self.close_connection = True
        length = self.headers.get("Content-Length", "0")
        if not length.isdigit() or int(length) > _MAX_BYTES or not self.path.startswith(_PATHS):
            self._answer(400, {}, b"")
            return
        body = self.rfile.read(int(length))
        headers = {name: value for name in _PASSED if (value := self.headers.get(name)) is not None}
        try:
            answer = server.service.relay(self.command, self.path, headers, body)
        except Away:
            # The run takes this for what it is: the service is away.
            self._answer(502, {}, b"")
            return
        returned = {name: value for name in _RETURNED if (value := answer.headers.get(name)) is not None}
        self._answer(answer.status_code, returned, answer.content)

    do_POST = do_LOCK = do_UNLOCK = do_DELETE = do_GET  # noqa: N815 - the base class looks for these names

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's signature
        """Keep quiet: paths name stacks."""

    def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Connection", "close")
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if status != 204:
            self.wfile.write(body)
