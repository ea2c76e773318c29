"""The run's own process: takes a job on standard input, does its leg, records the end and gives notice of it."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import resource
import select
import signal
import threading
import time
import traceback
from dataclasses import replace
from pathlib import Path
from typing import Any

from reconciler.core.phases import Leg, Phase
from reconciler.runner.contract.directory import RunDirectory
from reconciler.runner.contract.job import Ending, EndReason, Job, LegReport, Limits
from reconciler.runner.contract.process_id import ProcessIdentity
from reconciler.runner.contract.records import job_from_data, report_to_data, to_line
from reconciler.runner.contract.removing import remove
from reconciler.runner.leg.leg import run_leg
from reconciler.runner.processes import descendants
from reconciler.runner.processes.sandbox import Sandbox
from reconciler.runner.processes.stop import Cancel

VERDICT_SECONDS = 60.0
"""How long a process waits for the verdict on its plan."""
_FIRST_TO_GO = 500
"""How much sooner than others the kernel ends a run's processes for want of memory (-1000 to 1000)."""
_NOTICE_BYTES = 60 * 1024
"""A notice fits into the pipe, so that a service that does not listen cannot hold up a run."""


def main() -> int:
    """Do what the job on standard input says, in the run's directory as working directory."""
    os.umask(0o077)
    directory = RunDirectory(Path.cwd())
    cancel = Cancel(directory.cancel)
    cancel.listen()
    descendants.adopt_orphans()
    lines = _Lines(0)
    message = _read(lines.next(None))
    if message is None:
        return 0
    job = job_from_data(message["job"])
    sandbox = None if message["sandbox"] is None else Sandbox.from_data(message["sandbox"])
    _limit(job.limits)
    if job.lease:
        threading.Thread(target=_watch_lease, args=(directory, job.lease), daemon=True).start()
    report = _leg(job, directory, sandbox, cancel)
    if report is None or not report.waiting or cancel.requested:
        return 0
    message = _read(lines.next(VERDICT_SECONDS, cancel))
    if message is not None:
        _leg(job_from_data(message["job"]), directory, sandbox, cancel)
    return 0


def _leg(job: Job, directory: RunDirectory, sandbox: Sandbox | None, cancel: Cancel) -> LegReport | None:
    """Do a leg once: None when its start belongs to somebody else."""
    try:
        if not directory.claim(job.leg, job.attempt, ProcessIdentity.of(os.getpid())):
            return None
        report = run_leg(job, directory, sandbox, cancel)
    except OSError as error:
        # The leg has done nothing so far: what can fail here is making the claim, the log and the relay.
        where = f": {Path(str(error.filename)).name}" if error.filename else ""
        full = error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
        phase = Phase.INIT if job.leg is Leg.PLAN else Phase.APPLY
        reason = EndReason.DISK_FULL if full else EndReason.RUNNER_ERROR
        text = f"{error.strerror}{where}"
        report = LegReport(job.run, job.attempt, job.leg, Ending.FAILED, reason, text, phase)
    except Exception as error:  # noqa: BLE001 - whatever it was, the run has to end
        traceback.print_exception(type(error), None, error.__traceback__)
        ending = Ending.FAILED if job.leg is Leg.PLAN else Ending.INTERRUPTED
        phase = Phase.INIT if job.leg is Leg.PLAN else Phase.APPLY
        text = f"a bug in the run's own process: {type(error).__name__}"
        report = LegReport(job.run, job.attempt, job.leg, ending, EndReason.RUNNER_ERROR, text, phase)
    _record(report, directory)
    return report


def _record(report: LegReport, directory: RunDirectory) -> None:
    """Record the end of a leg, tell the service, and then make room.

    Recorded first: a kill while the directories are removed must not lose how the leg ended. Where the disk takes no
    record it is tried again with the room that was made. The service reads the record when it is told, and its
    database keeps it through a power failure; where it is away, the disk does.
    """
    problem = _write(report, directory)
    if report.ends_run and problem is not None:
        directory.free()
        problem = _write(report, directory)
    left = directory.set_aside() if report.ends_run else []
    if problem is None:
        _notify({"recorded": [report.leg, report.attempt]})
    else:
        _notify_whole(replace(report, message=f"{report.message}; it could not be recorded: {problem}"))
    if report.leg is Leg.APPLY:
        with contextlib.suppress(OSError):
            # It is gone where the service was quicker.
            directory.settle_report(report.leg, report.attempt)
    for path in left:
        with contextlib.suppress(OSError):
            remove(path)


def _write(report: LegReport, directory: RunDirectory) -> str | None:
    try:
        directory.write_report(report)
    except OSError as error:
        return error.strerror or str(error)
    return None


def _notify(notice: dict[str, Any]) -> None:
    data = to_line(notice)
    if len(data) > _NOTICE_BYTES:
        return
    try:
        os.write(1, data)
    except OSError:
        # The service is gone. What was recorded will be found by the next one.
        return


def _notify_whole(report: LegReport) -> None:
    """Report on the pipe what the disk did not take; without the details when they are too much for it."""
    data = report_to_data(report)
    if len(to_line(data)) > _NOTICE_BYTES - 64:
        data = report_to_data(replace(report, planned=None, applied=None))
    _notify({"report": data})


def _watch_lease(directory: RunDirectory, seconds: float) -> None:
    """Stop the run, as a cancel does, once nobody has renewed its lease for so long: another one may follow it."""
    while directory.lease_age() <= seconds:
        time.sleep(seconds / 20)
    os.kill(os.getpid(), signal.SIGTERM)


def _limit(limits: Limits) -> None:
    """Bound what the tool's processes may use; they inherit it, and it cannot be raised again."""
    for what, wanted in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, limits.file_bytes),
        (resource.RLIMIT_NOFILE, limits.open_files),
        (resource.RLIMIT_NPROC, limits.processes),
        # Not the address space, of which Go programs reserve far more than they use.
        (resource.RLIMIT_DATA, limits.memory_bytes),
    ):
        hard = resource.getrlimit(what)[1]
        value = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(what, (value, value))
    # Where the machine runs out of memory all the same, a run is ended rather than the service.
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(str(_FIRST_TO_GO), encoding="ascii")


def _read(line: bytes | None) -> dict[str, Any] | None:
    if line is None:
        return None
    message = json.loads(line)
    return message if isinstance(message, dict) else None


class _Lines:
    """Lines from a pipe; never reads ahead of what somebody waits for by more than what is in the pipe."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._rest = b""

    def next(self, seconds: float | None, cancel: Cancel | None = None) -> bytes | None:
        """Wait for one line; None at the end of the stream, after `seconds`, or when the run shall stop."""
        pieces = [self._rest]
        end = None if seconds is None else time.monotonic() + seconds
        poll = select.poll()
        poll.register(self._descriptor, select.POLLIN)
        if cancel is not None:
            poll.register(cancel.wake, select.POLLIN)
        while b"\n" not in pieces[-1]:
            wait = None if end is None else (end - time.monotonic()) * 1000
            if (wait is not None and wait <= 0) or (cancel is not None and cancel.requested):
                return None
            if not any(descriptor == self._descriptor for descriptor, _event in poll.poll(wait)):
                continue
            data = os.read(self._descriptor, 64 * 1024)
            if not data:
                return None
            pieces.append(data)
        line, _newline, self._rest = b"".join(pieces).partition(b"\n")
        return line
