"""Forks `station` commands out of one process that has imported everything: imports are nine tenths of a short one.

What is forked is a process of its own, with its own arguments, environment, directory, descriptors and end: it can be
killed like any other. Run as a script, with the descriptor of a listening socket; it ends when its input does.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import pkgutil
import select
import signal
import socket
import sys
from contextlib import suppress

import reconciler
from reconciler.__main__ import main as station

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
            listener.close()
            return _tend(connection)
        connection.close()


def _tend(connection: socket.socket) -> int:
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
        sys.argv = ["station", *arguments]
        return station()
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


if __name__ == "__main__":
    sys.exit(main())
