"""Starts runs' processes by forking: the interpreter and its imports are paid for once, not by every run.

`python -I -m reconciler.runner.nursery` with a socket as standard input. Each message carries a run's directory and
the two ends of pipes that become the new process's standard input and output; the answer is its pid. The new process
has a session of its own and outlives both this one and the service. At the end of the stream this process ends.
"""

from __future__ import annotations

import gc
import importlib
import os
import signal
import socket
import sys
from functools import cache
from typing import NoReturn

from reconciler.runner.main import main
from reconciler.tools.registry import TOOLS, tool

_MESSAGE = 64 * 1024
_LATER = (
    "encodings.ascii",
    "encodings.idna",
    "encodings.utf_8_sig",
    "reconciler.masking.finding",
    "reconciler.masking.forms",
    "reconciler.runner.tfstate.relay",
    "reconciler.tools.tfstate_client",
)
"""What only some runs import for themselves, and takes a while: HTTP, above all."""


def serve(connection: socket.socket) -> None:
    """Fork for each message until the other end closes."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    # A run's process must not die of a signal that comes before it can hear: it unblocks this one itself.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    gc.freeze()
    while True:
        message, descriptors, _flags, _address = socket.recv_fds(connection, _MESSAGE, 2)
        if not message:
            return
        try:
            pid = os.fork()
        except OSError as error:
            answer = f"error {error.strerror}"
        else:
            if pid == 0:
                _become_run(connection, message.decode(), descriptors)
            answer = str(pid)
        for descriptor in descriptors:
            os.close(descriptor)
        connection.send(answer.encode())
        _import_the_rest()


@cache
def _import_the_rest() -> None:
    """Import everything that a run may need, once for all later runs and not before the first one is on its way."""
    for name in _LATER:
        importlib.import_module(name)
    for name in TOOLS:
        tool(name)
    gc.freeze()


def _become_run(connection: socket.socket, directory: str, descriptors: list[int]) -> NoReturn:
    code = 1
    try:
        os.setsid()
        os.umask(0o077)
        log = os.open(f"{directory}/log", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
        connection.detach()  # it is descriptor 0, which the first of these takes over
        for target, descriptor in enumerate((*descriptors, log)):
            os.dup2(descriptor, target)
            os.close(descriptor)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.chdir(directory)
        code = main()
    except BaseException:  # noqa: BLE001 - nothing of this process's own may follow
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(code)


if __name__ == "__main__":
    serve(socket.socket(fileno=0))
