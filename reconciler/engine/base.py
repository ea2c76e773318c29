"""Where runners run: an engine only carries the message; the store decides who runs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

from reconciler.core.phases import Leg, Phase
from reconciler.core.results import Applied, Planned


@dataclass(frozen=True, slots=True)
class Hook:
    """One command that the configuration asks for around a phase; `source` names the document it comes from."""

    command: str
    source: str


@dataclass(frozen=True, slots=True)
class Limits:
    """What a run may use. Times in seconds, sizes in bytes."""

    phase_seconds: Mapping[Phase, float]
    silence_seconds: float = 1800.0
    grace_seconds: float = 120.0
    log_bytes: int = 16 * 1024 * 1024
    file_bytes: int = 4 * 1024**3
    open_files: int = 4096
    processes: int = 4096


@dataclass(frozen=True, slots=True)
class TfstateAccess:
    """The service's own tfstate address for one run and the token that opens that stack's tfstate only."""

    url: str
    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Job:
    """Everything that a run's process needs. Handed over on its standard input, never on disk or in argv."""

    run: str
    attempt: int
    stack: str
    leg: Leg
    tool: str
    binary: str
    path: str
    """The directory to run in, relative to the root of the work directory."""
    options: Mapping[str, Any]
    facts: Mapping[str, Any]
    env: Mapping[str, str] = field(repr=False)
    hooks: Mapping[str, tuple[Hook, ...]]
    """By `before.init`, `after.apply`, …"""
    limits: Limits
    waits_for_verdict: bool = False
    """After a plan with changes the process stays for a short while: `Engine.proceed` then spares a second start."""
    plan_digest: str | None = None
    """For the apply leg: the digest of the plan files that was recorded; any other is refused."""
    tfstate: TfstateAccess | None = None
    masked: tuple[str, ...] = field(default=(), repr=False)
    """Values that must not appear in anything stored or shown."""


class Ending(StrEnum):
    """How a leg ended."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"
    INTERRUPTED = "interrupted"
    """The process died while applying: nobody knows how far it came."""
    LOST = "lost"
    """The process died, or never began, while nothing had been written yet."""


@dataclass(frozen=True, slots=True)
class LegReport:
    """What came of a leg. Phase times in seconds; `reason` is one CamelCase word, `message` one masked line."""

    run: str
    attempt: int
    leg: Leg
    ending: Ending
    reason: str
    message: str
    phase: Phase
    phase_seconds: Mapping[Phase, float] = field(default_factory=dict)
    planned: Planned | None = None
    applied: Applied | None = None
    plan_digest: str | None = None
    waiting: bool = False
    """The process waits for `proceed`."""
    pending_tfstate: Path | None = None
    """Versions of the tfstate that could not be delivered while the service was away."""


class PrepareFailed(Exception):
    """The work directory could not be made; the message is one line for the run."""


Materialise = Callable[[Path], None]
"""Fills an empty directory with exactly the desired tree and mounted files; raises PrepareFailed."""


class Engine(Protocol):
    """Starts, steers and watches the processes of runs."""

    def start(self, job: Job, materialise: Materialise | None) -> None:
        """Begin a leg. `materialise` fills the work directory; None: the directory of the plan leg is used again."""

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

    def plan_directory(self, run: str) -> Path:
        """Say where the run keeps its saved plan."""

    def discard(self, run: str) -> None:
        """Remove the work directory and the saved plan of a run that is over; its log stays."""

    def close(self) -> None:
        """Let go of everything without stopping any run."""
