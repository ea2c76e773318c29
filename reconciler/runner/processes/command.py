"""One command of a run, from its start to the end of everything that it started."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from reconciler.runner.processes import descendants, stop
from reconciler.runner.processes.log import RunLog
from reconciler.runner.processes.stop import Cancel

_CHUNK = 64 * 1024
_SMALL = 4 * 1024
_REST = 0.02
"""For how long, in seconds, output gathers after a small piece of it: many tools write line by line."""
_AFTERMATH = 0.25
"""How long, in seconds, output is still taken once the command itself has ended: a child may write for ever."""
_POLL = 0.05
"""How often to look after a command where the kernel cannot tell when it ends."""
_PATIENCE = 1.0
"""For how long, in seconds, to wait for a good moment to interrupt a shell; not for more than half of the grace."""
_BETWEEN_TRIES = 0.01


class Stop(StrEnum):
    """Why a command was told to stop."""

    CANCEL = "cancel"
    DEADLINE = "deadline"
    SILENCE = "silence"


@dataclass(frozen=True, slots=True)
class Watch:
    """How long a command may take. `deadline` is a point of the monotonic clock, the others are seconds."""

    deadline: float
    silence: float
    grace: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a command ended. `signal` is set where one killed it; `killed`: the grace ran out."""

    code: int
    stop: Stop | None = None
    killed: bool = False
    signal: signal.Signals | None = None


class Command:
    """A started command. Its output goes to the log, or where `stdout` says, with stderr always in the log."""

    def __init__(
        self,
        argv: Sequence[str],
        env: Mapping[str, str],
        cwd: Path,
        *,
        sandboxed: bool,
        is_shell: bool = False,
        stdout: int | None = None,
    ) -> None:
        self._sandboxed = sandboxed
        self._is_shell = is_shell
        self._target: int | None = None
        """Whom to interrupt, from the time of the stop until that is done."""
        self._patient_until = float("inf")
        self._output, end = os.pipe2(os.O_CLOEXEC)
        try:
            self._process = subprocess.Popen(
                argv,
                env=dict(env),
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=end if stdout is None else stdout,
                stderr=end,
                process_group=0,
            )
        except BaseException:
            os.close(self._output)
            raise
        finally:
            os.close(end)
        os.set_blocking(self._output, False)

    def watch(self, watch: Watch, log: RunLog, cancel: Cancel) -> Outcome:
        """Take the output until the command ends; stop it when it is time. Nothing that it started is left after."""
        poll = select.poll()
        poll.register(cancel.wake, select.POLLIN)
        ended = self._ended_descriptor()
        if ended is not None:
            poll.register(ended, select.POLLIN)
        stop, killed, kill_at = None, False, float("inf")
        heard, ear = time.monotonic(), _Ear(poll, self._output)
        try:
            while self._process.poll() is None:
                now = time.monotonic()
                ear.listen(now)
                if stop is None and (stop := _reason_to_stop(now, heard, watch, cancel)):
                    kill_at = now + watch.grace
                    self._patient_until = now + min(_PATIENCE, watch.grace / 2)
                    self._target = self._find_target()
                self._interrupt(now)
                if now >= kill_at:
                    killed, kill_at = True, float("inf")
                    self._kill()
                until = min(
                    kill_at, ear.rests_until, float("inf") if stop else min(watch.deadline, heard + watch.silence)
                )
                wait = max(0.0, min(until - now, self._longest_wait(ended)))
                for descriptor, _event in poll.poll(wait * 1000 + 1):
                    if descriptor == cancel.wake:
                        cancel.drain()
                    elif descriptor == self._output:
                        heard = time.monotonic()
                        ear.took(self._take(log), heard)
            if ear.open:
                self._take_rest(log)
        finally:
            self._clear(ended)
            log.settle()
        return self._outcome(stop, killed=killed)

    def _ended_descriptor(self) -> int | None:
        try:
            return os.pidfd_open(self._process.pid)
        except (AttributeError, OSError):
            return None

    def _take(self, log: RunLog) -> int:
        """Take one piece of output, and return how many bytes there were: none at its end."""
        data = os.read(self._output, _CHUNK)
        log.feed(data)
        return len(data)

    def _take_rest(self, log: RunLog) -> None:
        """Take what is in the pipe by now. Not waiting for its end: a child may keep it open for ever."""
        end = time.monotonic() + _AFTERMATH
        try:
            while self._take(log) and time.monotonic() < end:
                pass
        except BlockingIOError:
            return

    def _find_target(self) -> int | None:
        """Name the process to interrupt. Where it is not there yet, nothing is done that could be lost: kill."""
        target = descendants.inner(self._process.pid)[1] if self._sandboxed else self._process.pid
        if target is None:
            self._kill()
        return target

    def _interrupt(self, now: float) -> None:
        """Ask the target to stop, once; a shell as soon as it is the moment for that."""
        if self._target is None:
            return
        if self._is_shell:
            asked = stop.interrupt(self._target, anyway=now >= self._patient_until)
        else:
            # A tool is asked alone: what it started is its own business.
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._target, signal.SIGINT)
            asked = True
        if asked:
            self._target = None

    def _longest_wait(self, ended: int | None) -> float:
        if self._target is not None:
            return _BETWEEN_TRIES
        return _POLL if ended is None else 3600.0

    def _kill(self) -> None:
        if self._sandboxed:
            # Killing a sandbox's first process ends when all of its processes have ended.
            first = descendants.inner(self._process.pid)[0]
            descendants.kill(self._process.pid if first is None else first)
        else:
            descendants.kill_group(self._process.pid)

    def _clear(self, ended: int | None) -> None:
        if self._process.returncode is None:
            self._kill()
            self._process.wait()
        descendants.kill_stragglers()
        os.close(self._output)
        if ended is not None:
            os.close(ended)

    def _outcome(self, stop: Stop | None, *, killed: bool) -> Outcome:
        code = self._process.returncode
        number = -code if code < 0 else code - 128
        try:
            by = signal.Signals(number) if number > 0 else None
        except ValueError:
            by = None
        return Outcome(code if code >= 0 else 128 - code, stop, killed, by)


class _Ear:
    """Listens to a command's output, with a rest after each small piece of it."""

    def __init__(self, poll: select.poll, output: int) -> None:
        self._poll, self._output = poll, output
        self.open = True
        """Whether there may be more output."""
        self.rests_until = float("-inf")
        """When to `listen` again; infinite where that goes on."""

    def listen(self, now: float) -> None:
        """Listen again if the rest is over."""
        if now >= self.rests_until:
            self._poll.register(self._output, select.POLLIN)
            self.rests_until = float("inf")

    def took(self, count: int, now: float) -> None:
        """Hear how many bytes were taken, none at the end of the output."""
        self.open = count > 0
        if count < _SMALL:
            self._poll.unregister(self._output)
            self.rests_until = now + _REST if self.open else float("inf")


def _reason_to_stop(now: float, heard: float, watch: Watch, cancel: Cancel) -> Stop | None:
    if cancel.pending:
        cancel.handled = True
        return Stop.CANCEL
    if now >= watch.deadline:
        return Stop.DEADLINE
    if now >= heard + watch.silence:
        return Stop.SILENCE
    return None
