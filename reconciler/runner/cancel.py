"""How a run hears that it shall stop: SIGTERM to the runner, or a file that was there before it could hear."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from types import FrameType


class Cancel:
    """Whether the run shall stop. `wake` is a file descriptor that becomes readable when a signal arrives."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._signaled = False
        self.handled = False
        """Whether a command has already been interrupted for it: the tool gets one interrupt, never two."""
        self.wake, self._waker = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def listen(self) -> None:
        """Take SIGTERM from now on (until here it may be blocked: what came earlier arrives now)."""
        signal.set_wakeup_fd(self._waker, warn_on_full_buffer=False)
        signal.signal(signal.SIGTERM, self._hear)
        # Not ignored but unheard: what is ignored here would be ignored by the tool too.
        signal.signal(signal.SIGINT, _unheard)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM, signal.SIGINT})

    def request(self) -> None:
        """Ask for the stop from inside."""
        self._signaled = True

    @property
    def requested(self) -> bool:
        """Tell whether the stop was asked for."""
        if not self._signaled and self._path.exists():
            self._signaled = True
        return self._signaled

    @property
    def pending(self) -> bool:
        """Tell whether the stop was asked for by signal and no command has been interrupted for it yet."""
        return self._signaled and not self.handled

    def drain(self) -> None:
        """Empty the wake descriptor."""
        try:
            while os.read(self.wake, 512):
                pass
        except BlockingIOError:
            return

    def _hear(self, _number: int, _frame: FrameType | None) -> None:
        self._signaled = True


def _unheard(_number: int, _frame: FrameType | None) -> None:
    """Do nothing."""
