"""Starts the processes of runs through the nursery, which is started when first needed, and again if it died."""

from __future__ import annotations

import os
import select
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_WRITE_SECONDS = 10.0
_ANSWER_SECONDS = 10.0
_COMMAND = ("-I", "-m", "reconciler.runner.nursery")


@dataclass(frozen=True, slots=True)
class Started:
    """A started process, and the service's ends of its pipes."""

    pid: int
    stdin: int
    stdout: int


class Spawner:
    """Starts processes in sessions of their own, with the environment `env` and nothing else of the service's."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self._env = dict(env)
        self._lock = threading.Lock()
        self._connection: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def spawn(self, directory: Path, message: bytes) -> Started:
        """Start a process in `directory` and send it `message`; raise OSError if that fails."""
        inner_stdin, stdin = os.pipe2(os.O_CLOEXEC)
        stdout, inner_stdout = os.pipe2(os.O_CLOEXEC)
        try:
            with self._lock:
                pid = self._ask(directory, [inner_stdin, inner_stdout])
        except OSError:
            os.close(stdin)
            os.close(stdout)
            raise
        finally:
            os.close(inner_stdin)
            os.close(inner_stdout)
        os.set_blocking(stdout, False)
        os.set_blocking(stdin, False)
        # The death of a process, at once or later, shows at the end of its output.
        write_all(stdin, message)
        return Started(pid, stdin, stdout)

    def close(self) -> None:
        """Let the nursery end. The processes that it started continue."""
        with self._lock:
            self._drop()

    def _ask(self, directory: Path, descriptors: list[int]) -> int:
        for last_try in (False, True):
            connection = self._connect()
            try:
                socket.send_fds(connection, [os.fsencode(directory)], descriptors)
                answer = connection.recv(1024).decode()
            except OSError:
                answer = ""
            if answer.isdigit():
                return int(answer)
            if answer or last_try:
                raise OSError(answer or "the process that starts runs has died")
            # If the nursery forked before it died, that process finds its input closed before any job, and ends.
            self._drop()
        raise AssertionError

    def _connect(self) -> socket.socket:
        if self._connection is None:
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with theirs:
                self._process = begin_nursery(theirs.fileno(), self._env)
            ours.settimeout(_ANSWER_SECONDS)
            self._connection = ours
        return self._connection

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if self._process is not None:
            try:
                self._process.wait(_ANSWER_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None


def begin_nursery(connection: int, env: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Start the nursery with its end of the connection."""
    return subprocess.Popen(
        [sys.executable, *_COMMAND],
        stdin=connection,
        stdout=subprocess.DEVNULL,
        env=env,
        cwd="/",
        start_new_session=True,
    )


def write_all(descriptor: int, data: bytes) -> bool:
    """Write to a pipe whose other end reads at once; return False if nobody reads."""
    view, end = memoryview(data), time.monotonic() + _WRITE_SECONDS
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    while view:
        try:
            view = view[os.write(descriptor, view) :]
        except BlockingIOError:
            if time.monotonic() > end:
                return False
            poll.poll(1000)
        except OSError:
            return False
    return True
