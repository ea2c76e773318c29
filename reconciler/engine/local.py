"""Runs on this machine: one process each, which outlives the service and is found again by the next one."""

from __future__ import annotations

import contextlib
import errno
import os
import threading
import time
from collections import deque
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path

from reconciler.core.phases import Leg, Phase
from reconciler.engine.base import Job, LegReport, Materialise, PrepareFailed
from reconciler.engine.notices import Notices
from reconciler.engine.preparing import find_sandbox, make_writable, prepare
from reconciler.engine.spawn import Spawner, write_all
from reconciler.engine.verdicts import LegId, never_started, report_of_end, unusable
from reconciler.engine.watched import Waiter, Watched
from reconciler.runner.contract.directory import RunDirectory, run_directories
from reconciler.runner.contract.job import Ending, Reason
from reconciler.runner.contract.records import job_to_data, to_line
from reconciler.runner.processes.sandbox import Sandbox, inherited


class SandboxUnavailable(Exception):
    """A sandbox is required, and this machine has none; the message says why."""


class LocalEngine:
    """An `Engine` of this machine.

    `hidden` are paths that no run may see (the data directory always is one of them); `tool_path` are directories
    that go in front of PATH and can be seen even where they lie below something hidden; `writable` are directories
    that every run may write to, made where they are missing (WritableRefused for /tmp, or one around or below something
    hidden): everything else of the machine is read-only for them. Without a working bubblewrap
    runs go unsandboxed (`sandboxed` and `sandbox_problem` say so), unless `require_sandbox` refuses that.
    All methods may be called from any thread, `reports` and `close` from one.
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
        (self._data_dir / "runs").mkdir(mode=0o700, parents=True, exist_ok=True)
        tools = [os.path.abspath(path) for path in tool_path]  # noqa: PTH100 - links stay links
        covers = (self._data_dir, *hidden)
        written = make_writable(writable, covers)
        self._find_sandbox = partial(find_sandbox, covers, tools, written, wanted=sandbox)
        if require_sandbox and not self.sandboxed:
            raise SandboxUnavailable(self.sandbox_problem)
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
        """Tell whether runs are shut in."""
        return self._sandbox[0] is not None

    @property
    def sandbox_problem(self) -> str | None:
        """Say why they are not."""
        return self._sandbox[1]

    @cached_property
    def _sandbox(self) -> tuple[Sandbox | None, str | None]:
        # Finding out starts a process, so it waits until somebody asks or something is run.
        return self._find_sandbox()

    def start(self, job: Job, materialise: Materialise | None) -> None:
        """Begin a leg; see `Engine.start`. ValueError for a run that is already under way."""
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
            prepare(directory, materialise)
        except PrepareFailed as error:
            self._never_began(entry, Ending.FAILED, error.reason, str(error))
        except OSError as error:
            full = error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
            reason = Reason.DISK_FULL if full else Reason.PREPARE_FAILED
            self._never_began(entry, Ending.FAILED, reason, f"the work directory cannot be made: {error.strerror}")
        except BaseException:
            with self._lock:
                del self._watched[job.run]
            raise
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
            entry.which = LegId(run, job.attempt, job.leg)
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
                self._directory(run).cancel.touch(mode=0o600)
            entry.terminate()

    def adopt(self, runs: Mapping[str, tuple[int, Leg]]) -> Collection[str]:
        """Take up the processes that an earlier service of this data directory started; see `Engine.adopt`."""
        adopted = [run for run, (attempt, leg) in runs.items() if self._adopt(LegId(run, attempt, leg))]
        self._waiter.wake()
        return adopted

    def reports(self, timeout: float) -> list[LegReport]:
        """Wait up to `timeout` seconds for legs to end, and give those that did, each once."""
        end = time.monotonic() + timeout
        while True:
            for entry in self._waiter.wait(0.0 if self._ready else max(0.0, end - time.monotonic())):
                self._hear(entry)
            if self._ready or self._woken.is_set() or time.monotonic() >= end:
                self._woken.clear()
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
        return self._directory(run).log

    def kept(self) -> Collection[str]:
        """Name the runs that something is kept of and whose process is neither at work nor waits."""
        active = set(self.active())
        return [
            run for run, directory in run_directories(self._data_dir) if run not in active and not directory.at_work()
        ]

    def free(self, run: str) -> None:
        """Remove what only the tool of a run needed that no leg can follow in; nothing of one that is under way."""
        if run not in self.active():
            self._directory(run).free()

    def discard(self, run: str) -> None:
        """Remove everything of a run that is over but its log."""
        self.dismiss(run)
        self._directory(run).discard()

    def wake(self) -> None:
        """Let a `reports` that waits return at once."""
        self._woken.set()
        self._waiter.wake()

    def close(self) -> None:
        """Let go of everything without stopping any run."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._waiter.close()
                self._watched.clear()
        self._spawner.close()

    def _directory(self, run: str) -> RunDirectory:
        return RunDirectory.of(self._data_dir, run)

    def _spawn(self, entry: Watched, job: Job, directory: RunDirectory) -> None:
        found, _ = self._sandbox
        sandbox = None if found is None else found.to_data()
        try:
            started = self._spawner.spawn(directory.root, to_line({"job": job_to_data(job), "sandbox": sandbox}))
        except OSError as error:
            text = f"the run's process could not be started: {error.strerror or error}"
            self._never_began(entry, Ending.LOST, Reason.NEVER_STARTED, text)
            return
        entry.pid, entry.stdin, entry.stdout = started.pid, started.stdin, started.stdout
        self._waiter.add(entry)

    def _never_began(self, entry: Watched, ending: Ending, reason: str, message: str) -> None:
        report = entry.which.report(ending, reason, message)
        self._finish(entry, replace(report, phase=Phase.PREPARE if entry.which.leg is Leg.PLAN else Phase.APPLY))
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

    def _hear(self, entry: Watched) -> None:
        if entry.stdout is None:
            self._end(entry)
            return
        try:
            data = os.read(entry.stdout, 64 * 1024)
        except BlockingIOError:
            return
        for report in entry.notices.take(data, self._directory(entry.which.run)):
            with self._lock:
                if report.waiting:
                    entry.waiting = entry.stdin is not None
                    self._ready.append(report)
                else:
                    self._finish(entry, report)
        if not data:
            self._end(entry)

    def _end(self, entry: Watched) -> None:
        """Settle a leg whose process is gone."""
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
                # It had just stopped waiting when it was told to proceed.
                entry.notices = Notices()
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
