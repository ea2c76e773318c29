"""The engine of this machine: one process for each run, which outlives the service and is adopted by the next one.

The loop starts legs and collects their ends through `reports`. Any failure, even a full disk or a process that died
without a word, comes as a report. The engine never decides whether a run may start, never writes to the store, and
never stops a run when the service ends: after a restart `adopt` finds the processes again by their identity (pid and
start time), so a reused pid cannot be mistaken for a run.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections import deque
from collections.abc import Collection, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path

from reconciler.core.phases import Leg
from reconciler.engine.base import Job, LegReport, Materialise
from reconciler.engine.ends import LegId, never_started, report_of_end, unusable
from reconciler.engine.preparing import find_sandbox, make_runs, make_writable, prepared
from reconciler.engine.spawn import Spawner, write_all
from reconciler.engine.watched import ReportReader, Waiter, Watched
from reconciler.runner.contract.directory import RunDirectory, run_directories
from reconciler.runner.contract.job import Ending, EndReason
from reconciler.runner.contract.records import job_to_data, to_line
from reconciler.runner.processes.sandbox import Sandbox, inherited

WITHOUT_SANDBOX = (
    "without a sandbox, every run can read what the service can read, whatever the access rules say: install "
    "bubblewrap, or allow that with require_sandbox = false"
)


class SandboxUnavailable(Exception):
    """A sandbox is required, but this machine has none. The message says why."""


class LocalEngine:
    """The `Engine` of this machine.

    No run can see the paths in `hidden`; the data directory is always one of them. The directories in `tool_path` come
    first in PATH and stay visible even below a hidden path. Every run can write to the directories in `writable`, which
    are created if missing (WritableRefused for /tmp, or for a directory around or below a hidden path); everything else
    of the machine is read-only. Without a working bubblewrap, runs have no sandbox (`sandboxed` and `sandbox_problem`
    tell), unless `require_sandbox` refuses that.

    Any thread may call any method, but only one thread `reports` and `close`.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        hidden: Sequence[Path] = (),
        tool_path: Sequence[Path] = (),
        writable: Sequence[Path] = (),
        require_sandbox: bool = False,
        sandbox: bool = True,
    ) -> None:
        self._data_dir = Path(os.path.realpath(data_dir))
        make_runs(self._data_dir)
        tools = [os.path.abspath(path) for path in tool_path]  # noqa: PTH100 - links stay links
        covers = (self._data_dir, *hidden)
        written = make_writable(writable, covers)
        self._find_sandbox = partial(find_sandbox, covers, tools, written, wanted=sandbox)
        if require_sandbox and not self.sandboxed:
            raise SandboxUnavailable(f"{self.sandbox_problem}; {WITHOUT_SANDBOX}")
        env = inherited(os.environ)
        env["PATH"] = os.pathsep.join([*tools, env.get("PATH", os.defpath)])
        self._spawner = Spawner(env)
        self._lock = threading.RLock()
        self._watched: dict[str, Watched] = {}
        self._ready: deque[LegReport] = deque()
        self._woken = threading.Event()
        self._waiter = Waiter()
        self._closed = False

    @property
    def sandboxed(self) -> bool:
        """Whether runs work in a sandbox."""
        return self._sandbox[0] is not None

    @property
    def sandbox_problem(self) -> str | None:
        """Why runs have no sandbox; None if they have one."""
        return self._sandbox[1]

    @cached_property
    def _sandbox(self) -> tuple[Sandbox | None, str | None]:
        # The check starts a process, so it waits until it is needed.
        return self._find_sandbox()

    def start(self, job: Job, materialise: Materialise | None) -> None:
        """Start a leg; see `Engine.start`. Raise ValueError for a run that is already at work."""
        directory = self._directory(job.run)
        entry = Watched(LegId(job.run, job.attempt, job.leg))
        with self._lock:
            other = self._watched.get(job.run)
            if other is not None and not other.waiting:
                raise ValueError(f"run {job.run} is already under way")
            if other is not None:
                self._dismiss(other)
            self._watched[job.run] = entry
        try:
            failed = prepared(entry.which, directory, materialise)
        except BaseException:
            with self._lock:
                del self._watched[job.run]
            raise
        if failed is not None:
            self._finish(entry, failed)
            self._waiter.wake()
        else:
            with self._lock:
                if entry.canceled:
                    self._report_not_started(entry, Ending.CANCELED, EndReason.CANCELED, "canceled before it began")
                else:
                    self._spawn(entry, job, directory)

    def proceed(self, run: str, job: Job) -> bool:
        with self._lock:
            entry = self._watched.get(run)
            if entry is None or not entry.waiting or entry.stdin is None:
                return False
            if not write_all(entry.stdin, to_line({"job": job_to_data(job)})):
                return False
            entry.waiting, entry.proceeding = False, job
            entry.which = LegId(run, job.attempt, job.leg)
            return True

    def tokens(self, run: str) -> Mapping[str, str]:
        return self._directory(run).tokens()

    def renew(self, run: str, name: str, old: str, new: str) -> None:
        directory = self._directory(run)
        if directory.tokens().get(name) == old:
            directory.put_identity(name, new)

    def dismiss(self, run: str) -> None:
        with self._lock:
            entry = self._watched.get(run)
            if entry is not None and entry.waiting:
                self._dismiss(entry)

    def cancel(self, run: str) -> None:
        """Ask the run's tool to stop. Do nothing for a run that is canceled already or not at work."""
        with self._lock:
            entry = self._watched.get(run)
            if entry is None:
                return
            if entry.waiting:
                self._dismiss(entry)
                return
            entry.canceled = True
            with contextlib.suppress(OSError):
                # For a process that has no signal handler yet. On a full disk the signal alone must do.
                self._directory(run).cancel.touch(mode=0o600)
            entry.terminate()

    def adopt(self, runs: Mapping[str, tuple[int, Leg]]) -> Collection[str]:
        adopted = [run for run, (attempt, leg) in runs.items() if self._adopt(LegId(run, attempt, leg))]
        self._waiter.wake()
        return adopted

    def reports(self, timeout: float) -> list[LegReport]:
        end = time.monotonic() + timeout
        while True:
            for entry in self._waiter.wait(0.0 if self._ready else max(0.0, end - time.monotonic())):
                self._read_output(entry)
            if self._ready or self._woken.is_set() or time.monotonic() >= end:
                self._woken.clear()
                ended = []
                while self._ready:
                    ended.append(self._ready.popleft())
                return ended

    def active(self) -> Collection[str]:
        with self._lock:
            return list(self._watched)

    def log_path(self, run: str) -> Path:
        return self._directory(run).log

    def kept(self) -> Collection[str]:
        active = set(self.active())
        return [
            run for run, directory in run_directories(self._data_dir) if run not in active and not directory.at_work()
        ]

    def free(self, run: str) -> None:
        if run not in self.active():
            self._directory(run).free()

    def discard(self, run: str) -> None:
        self.dismiss(run)
        self._directory(run).discard()

    def wake(self) -> None:
        self._woken.set()
        self._waiter.wake()

    def close(self) -> None:
        with self._lock:
            if not self._closed:
                self._closed = True
                self._waiter.close()
                self._watched.clear()
        self._spawner.close()

    def _directory(self, run: str) -> RunDirectory:
        return RunDirectory.of(self._data_dir, run)

    def _spawn(self, entry: Watched, job: Job, directory: RunDirectory) -> None:
        available, _ = self._sandbox
        sandbox = None if available is None else available.to_data()
        try:
            started = self._spawner.spawn(directory.root, to_line({"job": job_to_data(job), "sandbox": sandbox}))
        except OSError as error:
            text = f"the run's process could not be started: {error.strerror or error}"
            self._report_not_started(entry, Ending.LOST, EndReason.NEVER_STARTED, text)
            return
        entry.pid, entry.stdin, entry.stdout = started.pid, started.stdin, started.stdout
        self._waiter.add(entry)

    def _report_not_started(self, entry: Watched, ending: Ending, reason: str, message: str) -> None:
        self._finish(entry, entry.which.unprepared(ending, reason, message))
        self._waiter.wake()

    def _adopt(self, which: LegId) -> bool:
        directory, entry = self._directory(which.run), Watched(which)
        if directory.read_report(which.leg, which.attempt) is None:
            try:
                if directory.claim(which.leg, which.attempt, None):
                    self._ready.append(never_started(which))
                    return False
            except OSError as error:
                self._ready.append(unusable(which, error))
                return False
            identity = directory.claimant(which.leg, which.attempt)
            if identity is not None and entry.follow(identity):
                with self._lock:
                    self._watched[which.run] = entry
                self._waiter.add(entry)
                return True
        self._ready.append(report_of_end(directory, which, canceled=directory.cancel.exists()))
        return False

    def _read_output(self, entry: Watched) -> None:
        if entry.stdout is None:
            self._end(entry)
            return
        try:
            data = os.read(entry.stdout, 64 * 1024)
        except BlockingIOError:
            return
        for report in entry.reader.read(data, self._directory(entry.which.run)):
            with self._lock:
                if report.waiting:
                    entry.waiting = entry.stdin is not None
                    self._ready.append(report)
                else:
                    self._finish(entry, report)
        if not data:
            self._end(entry)

    def _end(self, entry: Watched) -> None:
        """Report the end of a leg whose process is gone, or start it again if it missed its apply."""
        with self._lock:
            self._waiter.drop(entry)
            if self._watched.get(entry.which.run) is not entry:
                return
            if entry.waiting:
                del self._watched[entry.which.run]
                return
            directory = self._directory(entry.which.run)
            job, entry.proceeding = entry.proceeding, None
            if job is not None and not entry.canceled and not directory.started(job.leg, job.attempt).exists():
                # The process stopped waiting just before it was told to proceed.
                entry.reader = ReportReader()
                self._spawn(entry, job, directory)
                return
            self._finish(entry, report_of_end(directory, entry.which, canceled=entry.canceled))

    def _finish(self, entry: Watched, report: LegReport) -> None:
        with self._lock:
            if self._watched.get(entry.which.run) is entry:
                del self._watched[entry.which.run]
                self._ready.append(report)

    def _dismiss(self, entry: Watched) -> None:
        entry.close_stdin()
        entry.waiting = False
        self._watched.pop(entry.which.run, None)
