"""Forks `station` commands out of one process that has imported everything: imports are nine tenths of a short one.

What is forked is a process of its own, with its own arguments, environment, directory, descriptors and end: it can be
killed like any other. A service asks here for the process that starts its runs, too. Run as a script, with the
descriptor of a listening socket; it ends when its input does.
"""

from __future__ import annotations

import atexit
import ctypes
import gc
import importlib
import json
import os
import pkgutil
import select
import signal
import socket
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NoReturn

import reconciler
from reconciler.__main__ import main as station
from reconciler.engine import spawn
from reconciler.runner import nursery
from reconciler.store.encryption import Keys
from reconciler.store.sql import open_store
from reconciler.web import app
from tests.compiled import share_compiled_statements
from tests.e2e.forked import Forked
from tests.routes import routed

LONGEST = 1 << 17
# What `station` itself never imports; Ansible's part would also look for a home directory.
LEFT_OUT = {"__main__", "callback", "migrations", "program"}
# What the command imports by name, and only when it needs it.
BY_NAME = (
    "alembic.command",
    "psycopg.pq",
    "sqlalchemy.dialects.postgresql.psycopg",
    "sqlalchemy.dialects.sqlite.pysqlite",
    "uvicorn.lifespan.on",
    "uvicorn.loops.auto",
    "uvicorn.protocols.http.auto",
)


def main() -> int:
    """Fork one process for every connection, until the input ends."""
    for module in pkgutil.walk_packages(reconciler.__path__, "reconciler."):
        if not LEFT_OUT & set(module.name.split(".")):
            importlib.import_module(module.name)
    for name in BY_NAME:
        importlib.import_module(name)
    _warm_up()
    gc.collect()
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    listener = socket.socket(fileno=int(sys.argv[1]))
    while True:
        ready, _, _ = select.select([listener, 0], [], [])
        if 0 in ready:
            return 0
        connection, _ = listener.accept()
        if os.fork() == 0:
            address = listener.getsockname()
            listener.close()
            _tend(connection, address)
        connection.close()


def _warm_up() -> None:
    """Do what the first use of something takes long for in each process: of a database, and of an app's routes."""
    share_compiled_statements()
    with TemporaryDirectory() as folder:
        open_store(f"sqlite:///{folder}/station.db", Keys([b"k" * 32])).close()
    for pages in (False, True):
        routed(pages=pages)
    vars(app)["routed"] = routed


def _tend(connection: socket.socket, address: str) -> NoReturn:
    """Fork the command; tell its process id and how it ended, and end it when nobody listens any more."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    order, descriptors, _, _ = socket.recv_fds(connection, LONGEST, 3)
    arguments, directory, env = json.loads(order)
    child = os.fork()
    if child == 0:
        connection.close()
        for number, descriptor in enumerate(descriptors):
            os.dup2(descriptor, number)
            os.close(descriptor)
        os.chdir(directory)
        os.environ.clear()
        os.environ.update(env)
        if arguments:
            _be_station(arguments, address)
        _be_nursery(env)
    for descriptor in (*descriptors, 0, 1, 2):
        os.close(descriptor)
    with suppress(OSError):
        connection.send(str(child).encode())
    ended = os.pidfd_open(child)
    ready, _, _ = select.select([connection, ended], [], [])
    if ended not in ready:
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    with suppress(OSError):
        connection.send(str(os.waitstatus_to_exitcode(status)).encode())
    os._exit(0)


def _be_station(arguments: list[str], address: str) -> NoReturn:
    def begin_nursery(connection: int, env: Mapping[str, str]) -> Forked:
        with Path(os.devnull).open("wb") as nothing:
            return Forked(address, [], "/", dict(env), [connection, nothing.fileno(), 2])

    vars(spawn)["begin_nursery"] = begin_nursery
    sys.argv = ["station", *arguments]
    return _leave(station())


def _leave(code: int) -> NoReturn:
    """End as Python ends, but let objects be: to free them would copy nearly everything that was forked."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _be_nursery(env: Mapping[str, str]) -> NoReturn:
    os.setsid()
    _show(env)
    nursery.serve(socket.socket(fileno=0))
    os._exit(0)


def _show(env: Mapping[str, str]) -> None:
    """Have /proc/PID/environ show this environment: tests find the processes of their runs by it."""
    begin, end = (int(field) for field in Path("/proc/self/stat").read_text().rpartition(")")[2].split()[47:49])
    text = b"".join(f"{name}={value}".encode() + b"\0" for name, value in env.items())
    assert len(text) <= end - begin, "the environment does not fit into that of the first process"
    ctypes.memmove(begin, text.ljust(end - begin, b"\0"), end - begin)


if __name__ == "__main__":
    sys.exit(main())
