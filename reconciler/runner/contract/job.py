"""What an engine asks of a run's own process, and what that answers.

The run's own process imports this module, so it stays on the standard library.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from pathlib import Path
from typing import Any

from reconciler.core.phases import Leg, Phase
from reconciler.core.results import Applied, MadeBy, Planned


@dataclass(frozen=True, slots=True)
class Hook:
    """One command that the configuration asks for around a phase; `source` names the document it comes from."""

    command: str
    source: str
    may_set: tuple[str, ...] = ()
    """The variables that take over a process and that this hook may set all the same: its document sets them too."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a run may use. Times in seconds, sizes in bytes."""

    phase_seconds: Mapping[Phase, float]
    silence_seconds: float = 1800.0
    grace_seconds: float = 120.0
    log_bytes: int = 16 * 1024 * 1024
    """Per leg: the head is kept and the end; how much was left out between them is said."""
    file_bytes: int = 4 * 1024**3
    open_files: int = 4096
    processes: int = 4096
    memory_bytes: int = 4 * 1024**3
    """Of each process: what it may write to. What a program merely reserves does not count."""


WITH_TFSTATE = "return=representation"
"""Who takes a lock and says that they `Prefer` this (RFC 7240) is given the tfstate with it."""

WITH_TREE = "tree"
"""Who takes a leg up and says that they `Prefer` this is given the work directory with it, if that is small."""


@dataclass(frozen=True, slots=True)
class TfstateAccess:
    """Where the service of a data directory answers for a stack's tfstate, and the token that opens no other one's."""

    directory: str
    path: str
    token: str = field(repr=False)


TOKEN = ".token"  # noqa: S105 - the end of a name
"""How the names of files with tokens end."""


def secrets_in(text: str) -> tuple[str, ...]:
    """Return what of a file with a token is secret: all of it, or the values in it that are not plainly public."""
    try:
        found = json.loads(text) if text.startswith("{") else None
    except ValueError:
        found = None
    if not isinstance(found, dict):
        return (text,)
    return tuple(value for name, value in found.items() if isinstance(value, str) and name not in _PUBLIC)


_PUBLIC = frozenset({"AccessKeyId", "Expiration"})


@dataclass(frozen=True, slots=True)
class Identity:
    """How a run proves who it is: files that only it can read, the variables with their paths, and other variables."""

    files: Mapping[str, str] = field(repr=False)
    """By name. Those named `*.token` are secrets, which the service renews."""
    paths: Mapping[str, str]
    """The file's name by variable."""
    env: Mapping[str, str]

    @property
    def tokens(self) -> tuple[str, ...]:
        """What of it is secret."""
        found = (secrets_in(text) for name, text in self.files.items() if name.endswith(TOKEN))
        return tuple(secret for each in found for secret in each)


@dataclass(frozen=True, slots=True)
class GitAccess:
    """How Git signs in to one repository: with a user name and password over http(s), or with a key over ssh."""

    url: str
    username: str
    password: str = field(default="", repr=False)
    ssh_key: str = field(default="", repr=False)
    known_hosts: str = ""
    """The keys of the repository's own host, as lines of a known_hosts file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LegOrder:
    """What a leg is to do, wherever it is done: plain data, with nothing of one machine in it.

    The service makes it from the configuration. A machine that takes it on adds what is its own, which makes a `Job`.
    """

    run: str
    attempt: int
    stack: str
    leg: Leg
    tool: str
    path: str
    """The directory to run in, relative to the root of the work directory."""
    options: Mapping[str, Any]
    facts: Mapping[str, Any]
    env: Mapping[str, str] = field(repr=False)
    hooks: Mapping[str, tuple[Hook, ...]]
    """By `before.init`, `after.apply`, …"""
    limits: Limits
    carry_key: str = field(repr=False)
    """The key, in hex (32 bytes), for what the plan leg leaves to the apply leg on the disk."""
    tool_range: str | None = None
    """The versions of the tool that the stack allows, as `>=1.8,<2`; None: any."""
    made_by: MadeBy | None = None
    """For the apply leg: what made the plan, and has to apply it."""
    waits_for_verdict: bool = False
    """After a plan with changes the process stays for a short while: `Engine.proceed` then spares a second start."""
    plan_digest: str | None = None
    """For the apply leg: the digest of the plan files that was recorded; any other is refused."""
    inputs: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """The outputs of other stacks by the variable that each is given in; `env` has them as text."""
    masked: tuple[str, ...] = field(default=(), repr=False)
    """Values that must not appear in anything stored or shown."""
    secret_files: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Files that lie below `path`, or `~/` in the run's home, while a leg is at work, and no longer."""
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    """The secrets in the tool's own settings, by their path there: `vaultPasswords.prod`."""
    fills_cache: bool = False
    """Whether this run may keep downloads for later runs, and have its plan applied; one of unreviewed code may not."""
    identity: Identity | None = None
    destroy: bool = False
    """Whether the run is to remove what the stack made, rather than to make it."""
    check: bool = False
    """Whether the run only compares the real world with what was applied."""
    refresh: bool = False
    """Whether the run only takes over what the real world has."""
    targets: tuple[str, ...] = ()
    """The addresses of the resources that are planned; empty: all of them."""
    command: str | None = None
    """For a task: the shell command that is run in the place of the tool's plan and apply."""
    about: Mapping[str, str] = field(default_factory=dict)
    """Variables that tell hooks and tools which run this is: they differ from run to run, and no tool reads them."""
    git: tuple[GitAccess, ...] = field(default=(), repr=False)
    """The repositories to which Git can sign in while a leg is at work."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job(LegOrder):
    """Everything that a run's process needs. Handed over on its standard input, never on disk or in argv.

    Beside the order it has what belongs to the machine that the process runs on.
    """

    binary: str
    tool_version: str | None = None
    """What the binary says is its version; None where it has none."""
    tfstate: TfstateAccess | None = None
    cache: str = ""
    """Where the tool may keep what it downloads for this stack, for later runs; outside of the sandbox."""
    shared: str = ""
    """Where packages are kept for the runs of all stacks; empty: there are none."""
    shared_bytes: int = 0
    """How much is kept there at most."""
    cli_config: str = field(default="", repr=False)
    """The operator's own settings for the tool's command line, in the tool's format."""
    lease: float = 0.0
    """After so many seconds in which nobody renewed the lease (`RunDirectory.lease`) the run stops; 0: it has none."""


ORDER_FIELDS = tuple(each.name for each in fields(LegOrder))
JOB_FIELDS = tuple(each.name for each in fields(Job))


class Ending(StrEnum):
    """How a leg ended."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"
    INTERRUPTED = "interrupted"
    """The process died while applying: nobody knows how far it came."""
    LOST = "lost"
    """The process died, or never began, while nothing had been written yet."""


class EndReason(StrEnum):
    """Why a leg ended as it did; the same word in the run, the log and the metrics."""

    PLANNED = "Planned"
    NO_CHANGES = "NoChanges"
    APPLIED = "Applied"
    CANCELED = "Canceled"
    TOOL_FAILED = "ToolFailed"
    HOST_UNREACHABLE = "HostUnreachable"
    """No task failed, but a host could not be reached."""
    TFSTATE_NOT_SAVED = "TfstateNotSaved"
    """The apply changed the world, and its tfstate reached no backend."""
    TOOL_KILLED = "ToolKilled"
    """The tool died by a signal that it did not survive."""
    HOOK_FAILED = "HookFailed"
    PHASE_TIMEOUT = "PhaseTimeout"
    SILENCE_TIMEOUT = "SilenceTimeout"
    PLAN_CHANGED = "PlanChanged"
    """What would be applied is not what was recorded as planned."""
    PLAN_NOT_SAVED = "PlanNotSaved"
    """The machine that planned is gone afterwards, and the service could not keep the saved plan."""
    SOURCE_MISSING = "SourceMissing"
    PREPARE_FAILED = "PrepareFailed"
    DISK_FULL = "DiskFull"
    NEVER_STARTED = "NeverStarted"
    RUNNER_DIED = "RunnerDied"
    RUNNER_ERROR = "RunnerError"
    """A fault in the runner or an adapter; the run's log has the details."""


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

    @property
    def ends_run(self) -> bool:
        """Whether the run ends with this leg for certain, whatever is recorded of it: no leg can follow."""
        if self.leg is Leg.APPLY or self.ending is not Ending.SUCCEEDED:
            return True
        return self.planned is not None and not self.planned.has_changes
