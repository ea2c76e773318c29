"""Runs on this machine: one process each, which outlives the service and is found again by the next one."""

from __future__ import annotations

import contextlib
import errno
import os
import selectors
import shutil
import signal
import threading
import time
from collections import deque
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from reconciler.core.phases import Leg, Phase
from reconciler.engine.base import Job, LegReport, Materialise, PrepareFailed
from reconciler.engine.notices import Notices
from reconciler.engine.spawn import Spawner, write_all
from reconciler.engine.verdicts import LegId, never_started, report_of_end
from reconciler.runner.directory import RunDirectory
from reconciler.runner.environment import inherited
from reconciler.runner.identity import ProcessIdentity
from reconciler.runner.job import Ending, Reason
from reconciler.runner.records import job_to_data, to_line
from reconciler.runner.sandbox import Sandbox, probe

_POLL = 0.2
"""How often to look after adopted processes, in seconds, where the kernel cannot tell when they end."""


class SandboxUnavailable(Exception):
    """A sandbox is required, and this machine has none; the message says why."""


@dataclass(eq=False, slots=True)
class _Watched:
    """A leg that is under way. Exactly one of `stdout` (own process) and `identity` (adopted) is set once it runs."""

    which: LegId
    pid: int | None = None
    stdin: int | None = None
    stdout: int | None = None
    pidfd: int | None = None
    identity: ProcessIdentity | None = None
    waiting: bool = False
    canceled: bool = False
    proceeding: Job | None = None
    notices: Notices = field(default_factory=Notices)


class LocalEngine:
    """An `Engine` of this machine.

    `hidden` are paths that no run may see (the data directory always is one of them); `tool_path` are directories
    that go in front of PATH and can be seen even where they lie below something hidden. Without a working bubblewrap
    runs go unsandboxed (`sandboxed` and `sandbox_problem` say so), unless `require_sandbox` refuses that.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        hidden: Sequence[Path] = (),
        tool_path: Sequence[Path] = (),
        require_sandbox: bool = False,
        sandbox: bool = True,
    ) -> None:
        self._data_dir = Path(os.path.realpath(data_dir))
        (self._data_dir / "runs").mkdir(mode=0o700, parents=True, exist_ok=True)
        tools = [os.path.abspath(path) for path in tool_path]  # noqa: PTH100 - links stay links
        self._sandbox, self.sandbox_problem = _find_sandbox((self._data_dir, *hidden), tools, wanted=sandbox)
        if require_sandbox and self._sandbox is None:
            raise SandboxUnavailable(self.sandbox_problem)
        env = inherited(os.environ)
        env["PATH"] = os.pathsep.join([*tools, env.get("PATH", os.defpath)])
        self._spawner = Spawner(env)
        self._lock = threading.RLock()
        self._watched: dict[str, _Watched] = {}
        self._ready: deque[LegReport] = deque()
        self._arrived: deque[_Watched] = deque()
        self._selector = selectors.DefaultSelector()
        self._wake, self._waker = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._selector.register(self._wake, selectors.EVENT_READ)
        self._polled: set[_Watched] = set()
        self._closed = False

    @property
    def sandboxed(self) -> bool:
        """Tell whether runs are shut in."""
        return self._sandbox is not None

    def start(self, job: Job, materialise: Materialise | None) -> None:
        """Begin a leg; see `Engine.start`. ValueError for a run that is already under way."""
        directory = RunDirectory.of(self._data_dir, job.run)
        entry = _Watched(LegId(job.run, job.attempt, job.leg))
        with self._lock:
            other = self._watched.get(job.run)
            if other is not None and not other.waiting:
                raise ValueError(f"run {job.run} is already under way")
            if other is not None:
                self._dismiss(other)
            self._watched[job.run] = entry
        try:
            _prepare(directory, materialise)
        except PrepareFailed as error:
            self._never_began(entry, Ending.FAILED, Reason.PREPARE_FAILED, str(error))
        except OSError as error:
            full = error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
            reason = Reason.DISK_FULL if full else Reason.PREPARE_FAILED
            self._never_began(entry, Ending.FAILED, reason, f"the work directory cannot be made: {error.strerror}")
        else:
            with self._lock:
                if entry.canceled:
                    self._never_began(entry, Ending.CANCELED, Reason.CANCELED, "canceled before it began")
                else:
                    self._spawn(entry, job, directory)

    def proceed(self, run: str, job: Job) -> bool:
        """Let a process that waits go on to the apply leg of `job`; False: none waits, start one."""
        with self._lock:
            entry = self._watched.get(run)
            if entry is None or not entry.waiting or entry.stdin is None:
                return False
            if not write_all(entry.stdin, to_line({"job": job_to_data(job)})):
                return False
            entry.waiting, entry.proceeding = False, job
            entry.which = LegId(job.run, job.attempt, job.leg)
            return True

    def dismiss(self, run: str) -> None:
        """Tell a process that waits to end without applying."""
        with self._lock:
            entry = self._watched.get(run)
            if entry is not None and entry.waiting:
                self._dismiss(entry)

    def cancel(self, run: str) -> None:
        """Ask the run's tool to stop; asking again, or for a run that is not under way, changes nothing."""
        with self._lock:
            entry = self._watched.get(run)
            if entry is None:
                return
            if entry.waiting:
                self._dismiss(entry)
                return
            entry.canceled = True
            with contextlib.suppress(OSError):
                # For a process that cannot hear yet. On a full disk the signal has to do.
                RunDirectory.of(self._data_dir, run).cancel.touch(mode=0o600)
            if entry.identity is not None:
                entry.identity.signal(signal.SIGTERM)
            elif entry.pid is not None and entry.stdout is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(entry.pid, signal.SIGTERM)

    def adopt(self, runs: Mapping[str, tuple[int, Leg]]) -> Collection[str]:
        """Take up the processes that an earlier service of this data directory started; see `Engine.adopt`."""
        adopted = []
        for run, (attempt, leg) in runs.items():
            entry = self._adopt(LegId(run, attempt, leg))
            if entry is not None:
                adopted.append(run)
        self._interrupt_wait()
        return adopted

    def reports(self, timeout: float) -> list[LegReport]:
        """Wait up to `timeout` seconds for legs to end, and give those that did, each once. For one thread."""
        end = time.monotonic() + timeout
        while True:
            self._register_arrived()
            wait = 0.0 if self._ready else max(0.0, end - time.monotonic())
            for key, _events in self._selector.select(min(wait, _POLL) if self._polled else wait):
                if key.data is None:
                    self._drain_wake()
                else:
                    self._hear(key.data)
            for entry in [entry for entry in self._polled if entry.identity and not entry.identity.alive()]:
                self._polled.discard(entry)
                self._end(entry)
            if self._ready or self._closed or time.monotonic() >= end:
                found = []
                while self._ready:
                    found.append(self._ready.popleft())
                return found

    def active(self) -> Collection[str]:
        """Name the runs whose process is at work or waits."""
        with self._lock:
            return list(self._watched)

    def log_path(self, run: str) -> Path:
        """Say where the run's log is written."""
        return RunDirectory.of(self._data_dir, run).log

    def plan_directory(self, run: str) -> Path:
        """Say where the run keeps its saved plan."""
        return RunDirectory.of(self._data_dir, run).scratch

    def discard(self, run: str) -> None:
        """Remove everything of a run that is over but its log."""
        self.dismiss(run)
        RunDirectory.of(self._data_dir, run).discard()

    def close(self) -> None:
        """Let go of everything without stopping any run. Not while another thread is in `reports`."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._register_arrived()
            for key in list(self._selector.get_map().values()):
                if key.data is not None:
                    self._let_go(key.data)
            self._watched.clear()
            self._selector.close()
            os.close(self._wake)
            os.close(self._waker)
        self._spawner.close()

    def _spawn(self, entry: _Watched, job: Job, directory: RunDirectory) -> None:
        sandbox = None if self._sandbox is None else self._sandbox.to_data()
        try:
            started = self._spawner.spawn(directory.root, to_line({"job": job_to_data(job), "sandbox": sandbox}))
        except OSError as error:
            text = f"the run's process could not be started: {error.strerror or error}"
            self._never_began(entry, Ending.LOST, Reason.NEVER_STARTED, text)
            return
        entry.pid, entry.stdin, entry.stdout = started.pid, started.stdin, started.stdout
        self._arrived.append(entry)
        self._interrupt_wait()

    def _never_began(self, entry: _Watched, ending: Ending, reason: Reason, message: str) -> None:
        report = entry.which.report(ending, reason, message)
        self._finish(entry, replace(report, phase=Phase.PREPARE if entry.which.leg is Leg.PLAN else Phase.APPLY))
        self._interrupt_wait()

    def _adopt(self, which: LegId) -> _Watched | None:
        directory = RunDirectory.of(self._data_dir, which.run)
        entry, leg, attempt = _Watched(which), which.leg, which.attempt
        if directory.read_report(leg, attempt) is None:
            try:
                if directory.claim(leg, attempt, None):
                    self._ready.append(never_started(which))
                    return None
            except OSError as error:
                self._ready.append(_unclaimable(which, error))
                return None
            entry.identity = directory.claimant(leg, attempt)
            if entry.identity is not None and self._follow(entry):
                with self._lock:
                    self._watched[which.run] = entry
                self._arrived.append(entry)
                return entry
        self._ready.append(report_of_end(directory, which, canceled=directory.cancel.exists()))
        return None

    def _follow(self, entry: _Watched) -> bool:
        assert entry.identity is not None  # noqa: S101 - the caller has looked
        try:
            entry.pidfd = os.pidfd_open(entry.identity.pid)
        except AttributeError:
            pass
        except OSError:
            return False
        if entry.identity.alive():
            return True
        if entry.pidfd is not None:
            os.close(entry.pidfd)
        return False

    def _register_arrived(self) -> None:
        while self._arrived:
            entry = self._arrived.popleft()
            descriptor = entry.stdout if entry.identity is None else entry.pidfd
            if descriptor is None:
                self._polled.add(entry)
            else:
                self._selector.register(descriptor, selectors.EVENT_READ, entry)

    def _hear(self, entry: _Watched) -> None:
        if entry.stdout is None:
            self._end(entry)
            return
        try:
            data = os.read(entry.stdout, 64 * 1024)
        except BlockingIOError:
            return
        for report in entry.notices.take(data, RunDirectory.of(self._data_dir, entry.which.run)):
            with self._lock:
                if report.waiting:
                    entry.waiting = entry.stdin is not None
                    self._ready.append(report)
                else:
                    self._finish(entry, report)
        if not data:
            self._end(entry)

    def _end(self, entry: _Watched) -> None:
        """Settle a leg whose process is gone."""
        with self._lock:
            self._let_go(entry)
            if self._watched.get(entry.which.run) is not entry:
                return
            if entry.waiting:
                del self._watched[entry.which.run]
                return
            directory = RunDirectory.of(self._data_dir, entry.which.run)
            job, entry.proceeding = entry.proceeding, None
            if job is not None and not entry.canceled and not directory.started(job.leg, job.attempt).exists():
                # It had just stopped waiting when it was told to proceed.
                entry.notices = Notices()
                self._spawn(entry, job, directory)
                return
            self._finish(entry, report_of_end(directory, entry.which, canceled=entry.canceled))

    def _finish(self, entry: _Watched, report: LegReport) -> None:
        with self._lock:
            if self._watched.get(entry.which.run) is entry:
                del self._watched[entry.which.run]
                self._ready.append(report)

    def _dismiss(self, entry: _Watched) -> None:
        """Close what the process waits at; it ends by itself."""
        if entry.stdin is not None:
            os.close(entry.stdin)
            entry.stdin = None
        entry.waiting = False
        self._watched.pop(entry.which.run, None)

    def _let_go(self, entry: _Watched) -> None:
        for descriptor in (entry.stdout, entry.pidfd):
            if descriptor is not None:
                self._selector.unregister(descriptor)
                os.close(descriptor)
        if entry.stdin is not None:
            os.close(entry.stdin)
        entry.stdin = entry.stdout = entry.pidfd = None

    def _interrupt_wait(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.write(self._waker, b"\0")

    def _drain_wake(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while os.read(self._wake, 4096):
                pass


def _prepare(directory: RunDirectory, materialise: Materialise | None) -> None:
    if materialise is not None:
        for path in (directory.work, directory.scratch):
            if path.exists():
                shutil.rmtree(path)
    directory.make()
    directory.cancel.unlink(missing_ok=True)
    if materialise is not None:
        materialise(directory.work)


def _find_sandbox(hidden: Sequence[Path], shown: Sequence[str], *, wanted: bool) -> tuple[Sandbox | None, str | None]:
    if not wanted:
        return None, "switched off"
    bwrap = shutil.which("bwrap")
    if bwrap is None:
        return None, "bubblewrap (bwrap) is not installed"
    problem = probe(bwrap)
    if problem is not None:
        return None, f"bubblewrap does not work here: {problem}"
    return Sandbox(bwrap, tuple(os.path.realpath(path) for path in hidden), tuple(shown)), None


def _unclaimable(which: LegId, error: OSError) -> LegReport:
    """Report a run whose directory is gone or cannot be written: for an apply nobody knows what that means."""
    ending = Ending.INTERRUPTED if which.leg is Leg.APPLY else Ending.LOST
    text = f"the run's directory cannot be used: {error.strerror}"
    return which.report(ending, Reason.RUNNER_DIED, text)
