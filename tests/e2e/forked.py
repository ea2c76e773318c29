"""Asks the nursery for `station` processes: from a test, or, run as a script, in the place of the command itself."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

ROOM = 8192
"""Of how many bytes the environment of a process that was forked may be, for it to be shown by /proc."""


class Nursery:
    """The process that forks commands, for as long as the tests run."""

    def __init__(self) -> None:
        # Not in pytest's own directories: the name of a socket has to be short.
        self.folder = Path(tempfile.mkdtemp(prefix="station-nursery-"))
        self.address = str(self.folder / "socket")
        root = Path(__file__).parents[2]
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
            listener.bind(self.address)
            listener.listen(64)
            self._process = subprocess.Popen(
                [sys.executable, "-P", root / "tests" / "e2e" / "nursery.py", str(listener.fileno())],
                env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "PYTHONPATH": str(root), "ROOM": "." * ROOM},
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                pass_fds=[listener.fileno()],
                start_new_session=True,
            )

    def path(self) -> Path:
        """Give a directory, for a PATH, whose `station` is forked."""
        directory = self.folder / "bin"
        script = directory / "station"
        if not script.exists():
            directory.mkdir()
            script.write_text(f'#!/bin/sh\nexec {sys.executable} -I -S {__file__} {self.address} "$@"\n')
            script.chmod(0o755)
        return directory

    def close(self) -> None:
        """Let the nursery end."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(20)
        shutil.rmtree(self.folder)


class Forked:
    """A command that was forked: what tests use of `subprocess.Popen`."""

    def __init__(
        self,
        address: str,
        arguments: list[str],
        directory: str | Path,
        env: dict[str, str],
        descriptors: list[int],
    ) -> None:
        self._connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._connection.connect(address)
        order = json.dumps([arguments, str(directory), env]).encode()
        socket.send_fds(self._connection, [order], descriptors)
        self.pid = self._number()
        self.returncode: int | None = None

    def _number(self) -> int:
        answer = self._connection.recv(100)
        assert answer, "the nursery has died"
        return int(answer)

    def wait(self, timeout: float | None = None) -> int:
        if self.returncode is None:
            self._connection.settimeout(timeout)
            try:
                self.returncode = self._number()
            except (TimeoutError, BlockingIOError):
                raise subprocess.TimeoutExpired("station", timeout or 0) from None
            self._connection.close()
        return self.returncode

    def poll(self) -> int | None:
        try:
            return self.wait(0)
        except subprocess.TimeoutExpired:
            return None

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(Forked(sys.argv[1], sys.argv[2:], Path.cwd(), dict(os.environ), [0, 1, 2]).wait())
