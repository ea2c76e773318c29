"""The legs that are at work, the reports in their output, and the wait for any of them."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from reconciler.core.phases import Leg
from reconciler.engine.base import Job
from reconciler.engine.ends import LegId
from reconciler.runner.contract.directory import RunDirectory
from reconciler.runner.contract.job import LegReport
from reconciler.runner.contract.process_id import ProcessIdentity
from reconciler.runner.contract.records import report_from_data

_POLL = 0.2
"""The seconds between two looks at adopted processes where the kernel cannot signal their end."""


class ReportReader:
    """Joins the output of a process into lines, and returns the reports that they announce.

    A process writes a line when the end of a leg is recorded, or the report itself if the disk was full.
    """

    def __init__(self) -> None:
        self._rest = b""

    def read(self, data: bytes, directory: RunDirectory) -> Iterator[LegReport]:
        """Yield the reports that a piece of output completes. Lines that make no sense are skipped."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            try:
                report = _report(json.loads(line), directory)
            except (KeyError, TypeError, ValueError):
                continue
            if report is not None:
                yield report


def _report(notice: object, directory: RunDirectory) -> LegReport | None:
    match notice:
        case {"recorded": [str(leg), int(attempt)]}:
            return directory.read_report(Leg(leg), attempt)
        case {"report": dict(data)}:
            return report_from_data(data)
        case _:
            return None


@dataclass(eq=False, slots=True)
class Watched:
    """A leg at work. A process started here has `pid`, `stdin` and `stdout`, an adopted one `identity` and `pidfd`."""

    which: LegId
    pid: int | None = None
    stdin: int | None = None
    stdout: int | None = None
    pidfd: int | None = None
    identity: ProcessIdentity | None = None
    waiting: bool = False
    canceled: bool = False
    proceeding: Job | None = None
    """The job that the waiting process was told to continue with."""
    reader: ReportReader = field(default_factory=ReportReader)

    def follow(self, identity: ProcessIdentity) -> bool:
        """Adopt a process that another service started; return False if it is gone."""
        self.identity = identity
        try:
            self.pidfd = os.pidfd_open(identity.pid)
        except AttributeError:
            pass
        except OSError:
            return False
        # Checked after the pid was opened: before that, it could have become another process's.
        if identity.alive():
            return True
        self.release()
        return False

    def terminate(self) -> None:
        """Send the signal that a runner understands as a cancel."""
        if self.identity is not None:
            self.identity.signal(signal.SIGTERM)
        elif self.pid is not None and self.stdout is not None:
            # Until its output has ended, the pid belongs to this process, or for a moment to none.
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGTERM)

    def release(self) -> None:
        """Close all descriptors."""
        self.close_stdin()
        for descriptor in (self.stdout, self.pidfd):
            if descriptor is not None:
                os.close(descriptor)
        self.stdout = self.pidfd = None

    def close_stdin(self) -> None:
        """Close the pipe, which tells a waiting process that no answer will come."""
        if self.stdin is not None:
            os.close(self.stdin)
            self.stdin = None


class Waiter:
    """Waits for any of many legs. Any thread may call `add` and `wake`; only one thread the other methods."""

    def __init__(self) -> None:
        self._arrived: deque[Watched] = deque()
        self._selector = selectors.DefaultSelector()
        self._polled: set[Watched] = set()
        self._wake, self._waker = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._selector.register(self._wake, selectors.EVENT_READ)

    def add(self, entry: Watched) -> None:
        """Watch one more leg from the next `wait` on, and end a `wait` that is under way."""
        self._arrived.append(entry)
        self.wake()

    def wake(self) -> None:
        """End a `wait` that is under way."""
        with contextlib.suppress(BlockingIOError):
            os.write(self._waker, b"\0")

    def wait(self, seconds: float) -> list[Watched]:
        """Return the legs that have output or have ended; none after `seconds`, or after `wake`."""
        self._take_arrived()
        ready = []
        for key, _events in self._selector.select(min(seconds, _POLL) if self._polled else seconds):
            if key.data is not None:
                ready.append(key.data)
            else:
                with contextlib.suppress(BlockingIOError):
                    while os.read(self._wake, 4096):
                        pass
        return ready + [entry for entry in self._polled if entry.identity and not entry.identity.alive()]

    def drop(self, entry: Watched) -> None:
        """Stop watching a leg, and close its descriptors."""
        self._polled.discard(entry)
        for descriptor in (entry.stdout, entry.pidfd):
            if descriptor is not None:
                self._selector.unregister(descriptor)
        entry.release()

    def close(self) -> None:
        """Stop watching all legs."""
        self._take_arrived()
        for key in list(self._selector.get_map().values()):
            if key.data is not None:
                self.drop(key.data)
        self._selector.close()
        os.close(self._wake)
        os.close(self._waker)

    def _take_arrived(self) -> None:
        while self._arrived:
            entry = self._arrived.popleft()
            descriptor = entry.stdout if entry.identity is None else entry.pidfd
            if descriptor is None:
                self._polled.add(entry)
            else:
                self._selector.register(descriptor, selectors.EVENT_READ, entry)
