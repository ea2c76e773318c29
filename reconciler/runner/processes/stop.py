"""Asking a shell to stop, along with what it runs.

A shell that waits for a command puts an interrupt off until that has ended. So both are asked, as with Ctrl-C on a
terminal. Between two commands that goes wrong: the shell puts the interrupt off for a command that nobody could ask,
since it was only about to start. Asking that later is no way out: it might be what the shell's own trap has started
to clean up. So the shell is held for a moment, asked only if it waits just then, and otherwise let go on for now.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path
from types import FrameType

from reconciler.runner.contract.process_id import stat_fields
from reconciler.runner.processes import descendants

_HOLDING = 0.05
"""How long, in seconds, to wait until a process is held: one that starts another may stop only when that has begun."""


def interrupt(shell: int, *, anyway: bool = False) -> bool:
    """Send one SIGINT to a shell and to each process that it runs in the foreground; False: this is not the moment."""
    held: list[int] = []
    try:
        if not _waits(shell, _command(shell), held) and not anyway:
            return False
        for pid in descendants.foreground(shell):
            _send(pid, signal.SIGINT)
    finally:
        for pid in held:
            _send(pid, signal.SIGCONT)
    return True


def _waits(shell: int, command: bytes, held: list[int]) -> bool:
    """Hold a shell, its subshells and what each has started; tell whether all of them were just waiting."""
    asleep = _state(shell) == "S" and not _waited_for(shell)
    if not _hold(shell, held):
        return False
    started = _waited_for(shell)
    if not started:
        return asleep
    # What has the shell's own command line is a subshell, or has been forked and is no command yet.
    return all(_waits(pid, command, held) if _command(pid) == command else _hold(pid, held) for pid in started)


def _waited_for(shell: int) -> list[int]:
    """Name a shell's children in the foreground: those in the background ignore interrupts."""
    return [pid for pid in descendants.foreground_children(shell) if not _ignores_interrupts(pid)]


def _hold(pid: int, held: list[int]) -> bool:
    """Stop a process for now; False: it has ended, or cannot be held."""
    held.append(pid)
    _send(pid, signal.SIGSTOP)
    end = time.monotonic() + _HOLDING
    while (state := _state(pid)) != "T":
        if state in {"Z", "X", None} or time.monotonic() > end:
            return False
        time.sleep(0.0002)
    return True


def _send(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def _state(pid: int) -> str | None:
    fields = stat_fields(pid)
    return None if fields is None else fields[0]


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def _ignores_interrupts(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    mask = next((line.split()[1] for line in status.splitlines() if line.startswith("SigIgn:")), "0")
    return bool(int(mask, 16) >> (signal.SIGINT - 1) & 1)


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
        """Whether the stop was asked for."""
        if not self._signaled and self._path.exists():
            self._signaled = True
        return self._signaled

    @property
    def pending(self) -> bool:
        """Whether the stop was asked for by signal and no command has been interrupted for it yet."""
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
