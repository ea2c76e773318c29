"""Stands between the tool and the service's tfstate, so that the service may go away in the middle of an apply.

The tool speaks to loopback with a password of this leg only. Reads and locks are passed on and fail while the service
is away: nothing is ever planned from a tfstate that could not be read. What the tool writes is never refused for
that: it waits on disk and is delivered in order when the service is back. A second read, under the lock that this leg
holds, is answered here: nobody else can have changed what the first one found, and a tool that reads before its first
write would otherwise lose that write. So is a read of what this leg has written itself. An unlock is answered at once
and passed on behind that: the tool would only wait for it, and nothing else goes to the service before it.
"""

from __future__ import annotations

import base64
import contextlib
import hmac
import http.client
import secrets
import select
import socket
import threading
import time
from collections import defaultdict
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from reconciler.runner.contract.job import WITH_TFSTATE, TfstateAccess
from reconciler.runner.tfstate.backlog import Spool, anything_pending, pending_requests, unit_of
from reconciler.runner.tfstate.door import DoorConnection, open_directory
from reconciler.tools.base import TfstateBackend

_SECONDS = 30.0


class ServiceAway(Exception):
    """The service did not answer, or not for itself."""


@dataclass(frozen=True, slots=True)
class RelayAnswer:
    """What the service said."""

    status: int
    content_type: str
    body: bytes
    with_tfstate: bool = False
    """Whether it is the answer to a lock, and its body the tfstate that the lock is about."""


class Upstream:
    """One connection per request: there are few, and each has to find out whether the service is there."""

    def __init__(self, access: TfstateAccess) -> None:
        self._token = access.token
        self._path = access.path
        # Open until the run's process ends: a late request must not meet another file under this number.
        self._directory = open_directory(Path(access.directory))

    def ask(self, method: str, query: str, body: bytes | None, seconds: float = _SECONDS) -> RelayAnswer:
        """Send a request on; ServiceAway when nobody answers in `seconds`, or with an error of the server's side."""
        connection = DoorConnection(self._directory, seconds)
        headers = {"Authorization": f"Bearer {self._token}"}
        if method == "LOCK":
            headers["Prefer"] = WITH_TFSTATE
        if body is not None:
            headers["Content-Type"] = "application/json"
        try:
            connection.request(method, f"{self._path}?{query}" if query else self._path, body=body, headers=headers)
            response = connection.getresponse()
            content = response.read()
        except (OSError, http.client.HTTPException) as error:
            raise ServiceAway(type(error).__name__) from None
        finally:
            connection.close()
        if response.status >= 500:
            raise ServiceAway(f"status {response.status}")
        with_tfstate = method == "LOCK" and response.headers.get("Preference-Applied") == WITH_TFSTATE
        content_type = response.headers.get("Content-Type", "application/json")
        return RelayAnswer(response.status, content_type, content, with_tfstate)


PATIENCE = 15.0
"""How long, in seconds, a read or a lock waits for a service that is just being restarted."""
PARTING = 5.0
"""How long, in seconds, the end of a leg waits for what is still to be delivered."""
_RETRY = 0.5
MAX_BYTES = 512 * 1024 * 1024
"""Largest tfstate that is taken."""


@dataclass(slots=True)
class _Known:
    """What a leg knows by itself of a unit's tfstate."""

    locked: bool = False
    answer: RelayAnswer | None = None
    """What a read would give, as far as this leg can tell."""
    wrote: bool = False


class Relay:
    """One leg's relay. `backend` is what the tool is given.

    A stack of several units has a tfstate for each, with a lock of its own: `?unit=` behind the address says which.
    """

    def __init__(self, access: TfstateAccess, spool: Path, *, patience: float = PATIENCE) -> None:
        self._upstream = Upstream(access)
        self._directory = spool
        self._spool = Spool(spool)
        self._patience = patience
        self._lock = threading.Lock()
        self._refused = False
        self._units: defaultdict[str, _Known] = defaultdict(_Known)
        self._unlock: tuple[str, bytes] | None = None
        """An unlock that is still to be passed on: its query and body."""
        self._done = False
        self._due = threading.Event()
        self._server = _Server(self)
        password = secrets.token_urlsafe(24)
        self._expected = b"Basic " + base64.b64encode(f"station:{password}".encode())
        address = f"http://127.0.0.1:{self._server.server_address[1]}/"
        self.backend = TfstateBackend(address, "station", password, self._read_here)
        self._threads = [
            threading.Thread(target=self._server.serve, daemon=True),
            threading.Thread(target=self._deliver_until_done, daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def close(self) -> bool:
        """Stop, with a last try to deliver what waits. Tells whether anything still does."""
        end = time.monotonic() + PARTING
        self._deliver(2.0)
        while anything_pending(self._directory) and not self._refused and time.monotonic() < end:
            if not self._deliver(2.0):
                time.sleep(_RETRY)
        self._done = True
        self._due.set()
        self._server.stop()
        for thread in self._threads:
            thread.join(5)
        self._server.server_close()
        return anything_pending(self._directory)

    def permits(self, authorization: str | None) -> bool:
        """Check the password."""
        return hmac.compare_digest((authorization or "").encode(errors="replace"), self._expected)

    def answer(self, method: str, query: str, body: bytes | None) -> RelayAnswer:
        """Answer one request of the tool."""
        unit = unit_of(query)
        match method:
            case "POST" | "UNLOCK":
                return self._write(method, query, body or b"")
            case "GET":
                with self._lock:
                    newest = self._spool.newest_body(unit)
                    there = None if self._refused else self._units[unit].answer
                if newest is not None:
                    return RelayAnswer(200, "application/json", newest)
                # The tool reads three times in an apply; asking each time would be a good part of what we add to it.
                return self._read(method, query, body) if there is None else there
            case "LOCK":
                answer = self._read(method, query, body)
                if answer.status not in {200, 204}:
                    return answer
                with self._lock:
                    known = self._units[unit]
                    known.locked, known.answer = True, answer if answer.with_tfstate else None
                return RelayAnswer(200, "application/json", b"")
            case _:
                return self._read(method, query, body)

    def _read_here(self, query: str) -> tuple[int, bytes]:
        answer = self.answer("GET", query, None)
        return answer.status, answer.body

    def _write(self, method: str, query: str, body: bytes) -> RelayAnswer:
        with self._lock:
            known = self._units[unit_of(query)]
            if method == "POST":
                known.answer, known.wrote = RelayAnswer(200, "application/json", body), True
            else:
                # What this leg wrote is what it left behind, whoever holds the lock next.
                known.locked, known.answer = False, known.answer if known.wrote else None
            # Behind what waits already: a newer version must not be overtaken by an older one.
            delivered = self._deliver_locked(2.0)
            if delivered and method == "UNLOCK":
                self._unlock = query, body
                self._due.set()
                return RelayAnswer(200, "application/json", b"")
            if delivered:
                try:
                    answer = self._upstream.ask(method, query, body)
                except ServiceAway:
                    pass
                else:
                    if answer.status >= 400:
                        known.answer = None
                    return answer
            try:
                self._spool.add(method, query, body)
            except OSError as error:
                return _unavailable(f"the tfstate cannot be kept: {error.strerror}")
        return RelayAnswer(200, "application/json", b"")

    def _read(self, method: str, query: str, body: bytes | None) -> RelayAnswer:
        end = time.monotonic() + self._patience
        while True:
            if self._deliver(2.0):
                try:
                    answer = self._upstream.ask(method, query, body)
                except ServiceAway as error:
                    reason = str(error)
                else:
                    self._note(method, query, answer)
                    return answer
            else:
                reason = "earlier versions of the tfstate still wait to be delivered"
            if time.monotonic() >= end or self._refused:
                return _unavailable(f"the service cannot be reached: {reason}")
            time.sleep(_RETRY)

    def _note(self, method: str, query: str, answer: RelayAnswer) -> None:
        """Remember what was read under the lock."""
        with self._lock:
            known = self._units[unit_of(query)]
            if method == "GET" and known.locked and answer.status in {200, 204, 404}:
                known.answer = answer

    def _deliver_until_done(self) -> None:
        while not self._done:
            self._due.wait(_RETRY)
            self._due.clear()
            if not self._done:
                self._deliver(5.0)

    def _deliver(self, seconds: float) -> bool:
        with self._lock:
            return self._deliver_locked(seconds)

    def _deliver_locked(self, seconds: float) -> bool:
        """Deliver what waits, in order. Tells whether nothing waits any more."""
        if self._refused:
            return False
        for pending in pending_requests(self._directory):
            try:
                answer = self._upstream.ask(pending.method, pending.query, pending.body, seconds)
            except ServiceAway:
                return False
            if answer.status >= 400 and pending.method == "POST":
                # The service has its reasons (another run holds the lock by now): it decides when it takes this over.
                self._refused = True
                return False
            pending.path.unlink()
        return self._pass_unlock_on(seconds)

    def _pass_unlock_on(self, seconds: float) -> bool:
        """Inform the service of an unlock that the tool no longer waits for; when it is away that waits on disk."""
        if self._unlock is None:
            return True
        (query, body), self._unlock = self._unlock, None
        try:
            self._upstream.ask("UNLOCK", query, body, seconds)
        except ServiceAway:
            with contextlib.suppress(OSError):
                # What the disk does not take either is a lock whose run has ended: the next one may take it.
                self._spool.add("UNLOCK", query, body)
            return False
        return True


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, relay: Relay) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.relay = relay
        # Whoever called may be gone by the time it is answered.
        self.socket.setblocking(False)
        self._wake, self._waker = socket.socketpair()

    def serve(self) -> None:
        """Answer until `stop`, which this hears of at once: the base class looks for that again and again."""
        poll = select.poll()
        for each in (self.socket, self._wake):
            poll.register(each, select.POLLIN)
        while all(descriptor != self._wake.fileno() for descriptor, _event in poll.poll()):
            self.handle_request()

    def stop(self) -> None:
        """Answer nobody any more."""
        self._waker.close()

    def server_close(self) -> None:
        """Close the address."""
        super().server_close()
        self._wake.close()

    def server_bind(self) -> None:
        # The base class would look up the host's name, which can take seconds and is used by nobody.
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = "127.0.0.1", self.server_address[1]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Keep quiet: the tool sees a broken connection, and says so."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 60
    # Headers and body go out as one: in two pieces, the second waits 40 ms for the first one's acknowledgement.
    wbufsize = -1

    def do_GET(self) -> None:
        """Answer any method; the relay knows which ones there are."""
        server = self.server
        assert isinstance(server, _Server)  # noqa: S101 - made by no other
        length = self.headers.get("Content-Length", "0")
        if not length.isdigit() or int(length) > MAX_BYTES or "Transfer-Encoding" in self.headers:
            self.close_connection = True
            self._send(RelayAnswer(413, "text/plain", b"a body needs a length within the limit"))
            return
        body = self.rfile.read(int(length)) if int(length) else None
        path, _mark, query = self.path.partition("?")
        if not server.relay.permits(self.headers.get("Authorization")):
            self._send(RelayAnswer(401, "text/plain", b""))
        elif path != "/":
            self._send(RelayAnswer(404, "text/plain", b""))
        else:
            self._send(server.relay.answer(self.command, query, body))

    do_POST = do_LOCK = do_UNLOCK = do_DELETE = do_GET  # noqa: N815 - the base class looks for these names

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's signature
        """Keep quiet: standard error is the run's log."""

    def _send(self, answer: RelayAnswer) -> None:
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.content_type)
        self.send_header("Content-Length", str(len(answer.body)))
        if answer.status == 401:
            self.send_header("WWW-Authenticate", 'Basic realm="tfstate"')
        self.end_headers()
        self.wfile.write(answer.body)


def _unavailable(why: str) -> RelayAnswer:
    return RelayAnswer(503, "text/plain", why.encode())
