"""The socket on which the service hands out tfstate: a file in its data directory, which no sandboxed run can see.

On a port of the machine, a run could listen in the service's place while that restarts, and be given other stacks'
tokens and tfstate.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NAME = "tfstate.sock"


def listen(directory: Path) -> socket.socket:
    """Listen in the data directory, in the place of a service that is gone; OSError where that cannot be."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with contextlib.suppress(FileNotFoundError):
            (directory / NAME).unlink()
        with _opened(directory) as opened:
            listener.bind(_short(opened))
        (directory / NAME).chmod(0o600)
        listener.listen(256)
    except BaseException:
        listener.close()
        raise
    return listener


class DoorConnection(http.client.HTTPConnection):
    """A connection to the service of a data directory."""

    def __init__(self, directory: int, timeout: float) -> None:
        """Take the directory's descriptor, which stays with the directory whatever happens to its path."""
        super().__init__("localhost", timeout=timeout)
        self._directory = directory

    def connect(self) -> None:
        """Connect; OSError where no service listens."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(_short(self._directory))


@contextmanager
def _opened(directory: Path) -> Iterator[int]:
    descriptor = open_directory(directory)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def open_directory(directory: Path) -> int:
    """Return a descriptor of the data directory."""
    return os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)


def _short(directory: int) -> str:
    # The path of a socket may have 107 bytes, which a data directory's may be longer than.
    return f"/proc/self/fd/{directory}/{NAME}"
