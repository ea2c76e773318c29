"""Legs that are under way, and waiting for the next word from any of them."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
from collections import deque
from dataclasses import dataclass, field

from reconciler.engine.base import Job
from reconciler.engine.notices import Notices
from reconciler.engine.verdicts import LegId
from reconciler.runner.contract.process_id import ProcessIdentity

_POLL = 0.2
"""How often to look after adopted processes, in seconds, where the kernel cannot tell when they end."""


@dataclass(eq=False, slots=True)
class Watched:
    """A leg under way: an own process has `pid`, `stdin` and `stdout`, an adopted one `identity` and `pidfd`."""

    which: LegId
    pid: int | None = None
    stdin: int | None = None
    stdout: int | None = None
    pidfd: int | None = None
    identity: ProcessIdentity | None = None
    waiting: bool = False
    canceled: bool = False
    proceeding: Job | None = None
    """What it was told to go on with when it waited."""
    notices: Notices = field(default_factory=Notices)

    def follow(self, identity: ProcessIdentity) -> bool:
        """Take up a process that somebody else started; False: it is gone."""
        self.identity = identity
        try:
            self.pidfd = os.pidfd_open(identity.pid)
        except AttributeError:
            pass
        except OSError:
            return False
        # Only now: until it was opened the pid could have come to mean another process.
        if identity.alive():
            return True
        self.release()
        return False

    def terminate(self) -> None:
        """Send the signal that a runner takes for a cancel."""
        if self.identity is not None:
            self.identity.signal(signal.SIGTERM)
        elif self.pid is not None and self.stdout is not None:
            # As long as its output has not ended the pid is its own, or nobody's for a moment.
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGTERM)

    def release(self) -> None:
        """Close what is open."""
        self.close_stdin()
        for descriptor in (self.stdout, self.pidfd):
            if descriptor is not None:
                os.close(descriptor)
        self.stdout = self.pidfd = None

    def close_stdin(self) -> None:
        """Let a process that waits see that nobody will answer."""
        if self.stdin is not None:
            os.close(self.stdin)
            self.stdin = None


class Waiter:
    """Waits for any of many legs. `add` and `wake` may be called from any thread, the rest from one."""

    def __init__(self) -> None:
        self._arrived: deque[Watched] = deque()
        self._selector = selectors.DefaultSelector()
        self._polled: set[Watched] = set()
        self._wake, self._waker = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._selector.register(self._wake, selectors.EVENT_READ)

    def add(self, entry: Watched) -> None:
        """Listen to one more leg, from the next `wait` on; a `wait` under way begins anew."""
        self._arrived.append(entry)
        self.wake()

    def wake(self) -> None:
        """End a `wait` that is under way."""
        with contextlib.suppress(BlockingIOError):
            os.write(self._waker, b"\0")

    def wait(self, seconds: float) -> list[Watched]:
        """Give the legs that say something or have ended: none when the time is over, or after `wake`."""
        self._take_arrived()
        found = []
        for key, _events in self._selector.select(min(seconds, _POLL) if self._polled else seconds):
            if key.data is not None:
                found.append(key.data)
            else:
                with contextlib.suppress(BlockingIOError):
                    while os.read(self._wake, 4096):
                        pass
        return found + [entry for entry in self._polled if entry.identity and not entry.identity.alive()]

    def drop(self, entry: Watched) -> None:
        """Listen no longer, and close what is open."""
        self._polled.discard(entry)
        for descriptor in (entry.stdout, entry.pidfd):
            if descriptor is not None:
                self._selector.unregister(descriptor)
        entry.release()

    def close(self) -> None:
        """Let go of everything."""
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
