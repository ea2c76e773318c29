"""Where runners run: an engine only carries the message; the store decides who runs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Protocol

from reconciler.core.phases import Leg
from reconciler.runner.contract.job import Ending, Hook, Job, LegReport, Limits, Reason, TfstateAccess

__all__ = [
    "Ending",
    "Engine",
    "Hook",
    "Job",
    "LegReport",
    "Limits",
    "Materialise",
    "PrepareFailed",
    "Reason",
    "TfstateAccess",
]


class PrepareFailed(Exception):
    """The work directory could not be made; the message is one line for the run, `reason` one CamelCase word."""

    def __init__(self, message: str, reason: str = Reason.PREPARE_FAILED) -> None:
        super().__init__(message)
        self.reason = reason


Materialise = Callable[[Path], None]
"""Fills an empty directory with exactly the desired tree and mounted files; raises PrepareFailed."""


class Engine(Protocol):
    """Starts, steers and watches the processes of runs."""

    def start(self, job: Job, materialise: Materialise | None) -> None:
        """Begin a leg. `materialise` fills the work directory; None: the directory of the plan leg is used again.

        Whatever keeps it from beginning (PrepareFailed, a full disk) comes as a report, not as an exception.
        """

    def proceed(self, run: str, job: Job) -> bool:
        """Let a process that waits go on to the apply leg of `job`; False: none waits, start one."""

    def dismiss(self, run: str) -> None:
        """Tell a process that waits to end without applying."""

    def cancel(self, run: str) -> None:
        """Ask the run's tool to stop: one interrupt to its leader, the grace, then the whole group is killed."""

    def adopt(self, runs: Mapping[str, tuple[int, Leg]]) -> Collection[str]:
        """Take up the processes (run -> attempt, leg) that an earlier service of this data directory started.

        What has already ended, or never began, is reported like any other end. Gives the runs that still work.
        """

    def reports(self, timeout: float) -> list[LegReport]:
        """Wait up to `timeout` seconds for legs to end, and give those that did, each once."""

    def active(self) -> Collection[str]:
        """Name the runs whose process is at work or waits."""

    def log_path(self, run: str) -> Path:
        """Say where the run's log is written."""

    def kept(self) -> Collection[str]:
        """Name the runs that something is kept of and whose process is neither at work nor waits."""

    def free(self, run: str) -> None:
        """Remove what only the tool of a run needed that no leg can follow in; nothing of one that is under way."""

    def discard(self, run: str) -> None:
        """Remove everything of a run that is over and recorded but its log."""

    def wake(self) -> None:
        """Let a `reports` that waits return at once."""

    def close(self) -> None:
        """Let go of everything without stopping any run."""
