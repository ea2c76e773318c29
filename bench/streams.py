"""1,000 streams that follow one log: how soon a line reaches all of them, and what they cost at rest."""

from __future__ import annotations

import socket
import statistics
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bench.harness import Figure, Limit
from rbac.access.access import Access
from rbac.access.grants import AccessDocuments
from reconciler.core.runs import RunId, RunStatus
from reconciler.store.encryption import Keys
from reconciler.store.sql import open_store
from reconciler.web.app import create_app
from reconciler.web.ports import Ports
from reconciler.web.server import HttpServer
from spaces.documents.tree import SpaceTree
from tests.factories import NOW, a_run, a_stack

STREAMS, LINES, REST = 1000, 10, 5.0
_TOKEN = "operator"


def measure(scratch: Path) -> Iterator[Figure]:
    """Measure from the line in the file to the last of the clients, one after the other."""
    with _served(scratch) as (server, run, log), ExitStack() as closing:
        address = server.url.removeprefix("http://").split(":")
        path = f"/api/v1/runs/{run}/log/events"
        clients = [follow(closing, (address[0], int(address[1])), path, _TOKEN) for _ in range(STREAMS)]
        for client in clients:
            client.recv(4096)
        began = time.process_time()
        time.sleep(REST)
        rest = (time.process_time() - began) / REST
        taken = []
        for number in range(LINES):
            line = b"line %d\n" % number
            sent = time.perf_counter()
            log.extend(line)
            for client in clients:
                _read(client, line.strip())
            taken.append(time.perf_counter() - sent)
    yield Figure("a log line at 1,000 streams", statistics.median(taken) * 1e3, "ms", None, "", 500, Limit.AT_MOST)
    yield Figure("1,000 streams at rest", rest * 100, "%", None, "of a processor", 10, Limit.AT_MOST)


@contextmanager
def _served(scratch: Path) -> Iterator[tuple[HttpServer, RunId, bytearray]]:
    """Serve one run that is at work; give the server, the run, and its log to write to."""
    store = open_store(f"sqlite:///{scratch / 'station.db'}", Keys.load_or_create(scratch / "key"))
    run = a_run("production/web", status=RunStatus.PLANNING, attempt=1)
    with store.writing() as transaction:
        transaction.put_stacks([a_stack("production/web")])
        transaction.add_runs([run])
    log, tree = bytearray(), SpaceTree.build({})
    access = Access.compile(AccessDocuments(), tree, (), NOW)
    ports = Ports(
        store=store,
        operator_token=_TOKEN,
        tree=lambda: tree,
        access=lambda: access,
        effective=lambda _stack: None,
        live_log=lambda _run, offset, limit: bytes(log[offset : offset + limit]),
    )
    with HttpServer(create_app(ports, pages=False)) as server:
        yield server, run.id, log
    store.close()


def follow(closing: ExitStack, address: tuple[str, int], path: str, token: str) -> socket.socket:
    """Open a stream, and leave what it says to whoever reads it."""
    client = closing.enter_context(socket.create_connection(address, timeout=60))
    head = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n"
    client.sendall(head.encode())
    return client


def _read(client: socket.socket, wanted: bytes) -> None:
    data = b""
    while wanted not in data:
        data += client.recv(4096)
