"""The protocol of engines. An engine only starts and watches processes; the store decides who runs what.

`Dispatcher` starts legs, `Leases` adopts those of an earlier process, and `Ends` collects the reports. The loop is
given `Engines`, which passes each call on to `LocalEngine` or `PullEngine`. What orders and reports are made of is
defined in `runner.contract.job`, and named here as well for those who speak with an engine.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Protocol

from reconciler.core.phases import Leg
from reconciler.runner.contract.job import (
    Ending,
    EndReason,
    GitAccess,
    Hook,
    Job,
    LegOrder,
    LegReport,
    Limits,
    TfstateAccess,
)

__all__ = [
    "EndReason",
    "Ending",
    "Engine",
    "GitAccess",
    "Hook",
    "Job",
    "LegOrder",
    "LegReport",
    "Limits",
    "Materialise",
    "PrepareFailed",
    "TfstateAccess",
]


class PrepareFailed(Exception):
    """The work directory could not be prepared. The message is one line for the run, `reason` one CamelCase word."""

    def __init__(self, message: str, reason: str = EndReason.PREPARE_FAILED) -> None:
        super().__init__(message)
        self.reason = reason


Materialise = Callable[[Path], None]
"""Fills an empty work directory with exactly the desired tree and the mounted files; raises PrepareFailed.

Files for the run's home go into the home beside it.
"""


class Engine(Protocol):
    """Starts, steers and watches the processes of runs."""

    def start(self, job: Job, materialise: Materialise | None) -> None:
        """Start a leg. `materialise` fills the work directory; None: reuse the directory of the plan leg.

        A failure to start (PrepareFailed, a full disk) comes as a report, not as an exception.
        """

    def proceed(self, run: str, job: Job) -> bool:
        """Let a waiting process continue with the apply leg of `job`; return False if no process waits."""

    def tokens(self, run: str) -> Mapping[str, str]:
        """Return the tokens of a run at work, by the names of their files."""

    def renew(self, run: str, name: str, old: str, new: str) -> None:
        """Put a new token in the place of an old one, if that is still there: another leg has its own."""

    def dismiss(self, run: str) -> None:
        """Tell a waiting process to end without an apply."""

    def cancel(self, run: str) -> None:
        """Ask the run's tool to stop: one interrupt to its leader, the grace period, then a kill of the whole group."""

    def adopt(self, runs: Mapping[str, tuple[int, Leg]]) -> Collection[str]:
        """Take over the processes (run -> attempt, leg) that an earlier service of this data directory started.

        A leg that has already ended, or that never began, is reported like any other end. Return the runs that are
        still at work.
        """

    def reports(self, timeout: float) -> list[LegReport]:
        """Wait up to `timeout` seconds for legs to end; return the reports of those that did, each once."""

    def active(self) -> Collection[str]:
        """Return the runs whose process is at work or waits."""

    def log_path(self, run: str) -> Path:
        """Return the file in which the run's log is written."""

    def kept(self) -> Collection[str]:
        """Return the runs that still have files here and whose process is neither at work nor waiting."""

    def free(self, run: str) -> None:
        """Remove the files that only the run's tool needed, if no leg can follow; do nothing for a run at work."""

    def discard(self, run: str) -> None:
        """Remove all files of an ended and recorded run, except its log."""

    def wake(self) -> None:
        """Make a waiting `reports` return at once."""

    def close(self) -> None:
        """Release all resources without stopping any run."""
