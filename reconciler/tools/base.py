"""The protocol behind which every tool stands: a new tool is a package here and a module in `spaces.model.tools`.

The run's own process imports this module and one adapter, so both stay on the standard library.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from reconciler.core.results import Applied, Planned

SHOWN_PLAN = "station-plan.json"
"""The file in a run's scratch directory that `$STATION_PLAN` names: the plan as JSON, in the shape of policies' input.

A tool may write it for its own plan; the runner writes it anew from the recorded plan before anything that follows.
"""


@dataclass(frozen=True, slots=True)
class TfstateBackend:
    """Where this run's tfstate is read and written: an address on loopback that only this run's password opens.

    One address for all of it, by method: GET, POST, LOCK and UNLOCK. It may be another one in the apply leg.
    """

    address: str
    username: str
    password: str = field(repr=False)
    read: Callable[[str], tuple[int, bytes]] | None = field(default=None, repr=False, compare=False)
    """What a GET with some query gives, as (status, body), for code in the run's own process: no connection is made."""


@dataclass(frozen=True, slots=True)
class SharedPackages:
    """Packages that the service keeps for the runs of all stacks. A run sees those that it uses, and can write to none.

    Only a sandbox keeps a run's commands from writing to them, so there are none without one.
    """

    kept: Path
    """Where they are kept. No command of a run sees it."""
    view: Path
    """The run's own directory for what it is to see of them."""
    seen: Path
    """Where commands see `view`, read-only."""
    home: Path
    """The home of the run's commands."""
    limit: int
    """How many bytes are kept at most."""


@dataclass(frozen=True, slots=True)
class ChartRepositories:
    """The repositories to which helm can sign in: `file` is its list of them, `names` has their names there."""

    file: Path
    names: Mapping[str, str]

    def name_of(self, address: str) -> str | None:
        """Return the name of exactly the repository at an address; None: helm cannot sign in there."""
        return self.names.get(address.rstrip("/"))


@dataclass(frozen=True, slots=True)
class ToolJob:
    """What an adapter needs to know of a run."""

    binary: str
    """Absolute path of the tool's binary; empty for a tool that has none of its own."""
    directory: Path
    """Where the tool runs: the source path inside the work directory."""
    scratch: Path
    """A directory of the run's own that outlives the plan leg: saved plans, generated settings, result files."""
    options: Mapping[str, Any]
    """The settings under the tool's own key, in the keys of the document (`{"playbook": "site.yml"}`)."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What `Tool.references` found in the source, as it was given to the service (`{"backend": "managed"}`)."""
    tfstate: TfstateBackend | None = None
    """The managed tfstate, where the tool uses one."""
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    """What the documents set: every command has it, and an adapter leaves it as it is."""
    inputs: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """The outputs of other stacks by the variable that each is given in, as they were before they became text."""
    cli_config: str = field(default="", repr=False)
    """The operator's own settings for the tool's command line, in the tool's format: mirrors, credentials."""
    destroy: bool = False
    """Whether the run is to remove what the stack made, rather than to make it."""
    check: bool = False
    """Whether the run only compares the real world with what was applied, which is what is planned."""
    stack: str = ""
    """The stack that the run is of, as space/name."""
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    """The secrets in `options`, by their path there: `vaultPasswords.prod`."""
    cache: Path | None = None
    """Where to keep what is downloaded, for later runs of this stack; see `reconciler.tools.cache`."""
    fills_cache: bool = False
    """Whether this run may put something there, and have something kept in `shared`."""
    refresh: bool = False
    """Whether the run only takes over what the real world has, which is what is planned and applied."""
    targets: tuple[str, ...] = ()
    """The addresses of the resources that are planned; empty: all of them."""
    shared: SharedPackages | None = None
    """What is kept for the runs of all stacks; see `reconciler.tools.terraform.provider_cache`."""
    charts: ChartRepositories | None = None

    def with_variables(self, variables: Mapping[str, str]) -> ToolJob:
        """Return the job as it is once hooks have set variables, which win over those of documents and outputs."""
        if not variables:
            return self
        inputs = {name: value for name, value in self.inputs.items() if name not in variables}
        return replace(self, env={**self.env, **variables}, inputs=inputs)


class Do(Protocol):
    """Run one command of the tool inside the run's sandbox, in the job's directory, logged, masked and watched."""

    def __call__(
        self,
        argv: Sequence[str],
        *,
        ok: Collection[int] = (0,),
        env: Mapping[str, str] | None = None,
        stdout: Path | None = None,
        shown: bool = True,
        apart: Path | None = None,
    ) -> int:
        """Run `argv` and give its exit code; any code outside `ok` raises StepFailed.

        `env` comes on top of the run's environment. `stdout` sends standard output to a file (mode 0600) in place of
        the log: for machine-readable output. `shown=False` leaves the command line out of the log.

        `apart` is a directory of the service's own, for a command whose result other stacks are to use: it runs in
        `apart/work`, and sees neither files nor variables of the run. A failure is said in the log and raises nothing.
        """


class StepFailed(Exception):
    """A command of the tool ended in a way that its adapter does not accept; the message is one masked line.

    `reason` is a word of `reconciler.runner.contract.job.EndReason`, where there is a better one than ToolFailed.
    """

    left: Applied | None = None
    """What an apply that failed has left, where its adapter can find out."""
    silent = False
    """Whether the command itself printed nothing that begins like an error."""

    def __init__(self, message: str, code: int | None = None, reason: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason


class NotUnderstood(StepFailed):
    """A command came to its end, and nobody here can read what it left for machines. The message names that.

    `raw` is the text, or the part of it that was looked at. It may hold secrets that nobody has masked.
    """

    def __init__(self, message: str, raw: bytes = b"") -> None:
        super().__init__(message)
        self.raw = raw


class TfstateNotSaved(StepFailed):
    """An apply changed the world, and its tfstate reached no backend: a person has to put it there.

    `rescued` is the file in which the tool left it; it is kept with the run.
    """

    def __init__(self, message: str, rescued: Path) -> None:
        super().__init__(message)
        self.rescued = rescued


@contextmanager
def leaving(find: Callable[[], Applied | None]) -> Iterator[None]:
    """Add to the failure of an apply the resources that `find` returns; None, or a failure of its own: nobody can tell.

    Outputs are left out, since nobody may use those of a failed apply. If the tfstate did not reach its backend, `find`
    is not called: what the backend has is old.
    """
    try:
        yield
    except StepFailed as failed:
        if not isinstance(failed, TfstateNotSaved):
            with suppress(StepFailed):
                left = find()
                failed.left = None if left is None else replace(left, outputs=())
        raise


class SourceReader(Protocol):
    """Reads what a run will find: one revision of the source's repository, with the files that the stack mounts.

    Paths are relative to the top of the repository ("", "."). Links inside the repository are followed.
    """

    def read(self, path: str) -> bytes | None:
        """Return a file's content; None where there is no file."""

    def listing(self, path: str) -> Sequence[tuple[str, str]] | None:
        """Return (name, id of its content) of the files directly in a directory; None where there is no directory."""

    def directories(self, path: str) -> Sequence[str]:
        """Return the names of the directories directly in a directory; none where there is no directory."""

    def real(self, path: str) -> str:
        """Return the path without links, "." for the top; the path itself where it leads nowhere."""


@dataclass(frozen=True, slots=True)
class References:
    """What a source uses beyond its own directory, read from the source itself.

    `paths` are repository-relative directories and files, "." for the root; all of this holds as long as the source and
    each of them stay the same, missing ones missing too. `problems` are sentences about what cannot be followed
    (a module outside the repository, say): the stack is refused with them. `facts` go into the job.
    """

    paths: frozenset[str] = frozenset()
    facts: Mapping[str, Any] = field(default_factory=dict)
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Abilities:
    """What a tool can do, for those who decide and for the table of the tools."""

    plans_drift: bool
    """Whether a plan's changes put drift right. Otherwise `Planned.drifted` is all that is known of it."""
    managed_tfstate: bool
    """Whether the service can keep its tfstate."""
    cli_config: bool = False
    """Whether it reads the file of the setting `terraform_cli_config`."""
    targets: bool = False
    """Whether it can plan some of its resources only."""
    refreshes: bool = False
    """Whether it can take over into its tfstate what the real world has, by a saved plan."""
    says_health: bool = False
    """Whether the attribute `health` of its resources is what it says of them. Elsewhere it may mean anything."""


class Tool(Protocol):
    """One tool. The three phases are called in order; hooks and deadlines around them are the runner's business."""

    name: str
    binaries: tuple[str, ...]
    """Names looked for on PATH, best first; empty: the tool needs none."""
    abilities: Abilities

    def version_command(self, binary: str) -> Sequence[str] | None:
        """Return the command that prints the version; None: there is none to check."""

    def read_version(self, printed: str) -> str:
        """Return the version in what `version_command` printed; ValueError if there is none."""

    def references(self, reader: SourceReader, path: str) -> References:
        """Find what the source at `path` uses elsewhere in its repository. Called in the service, cached by tree id."""

    def init(self, job: ToolJob, do: Do) -> None:
        """Make the directory ready to plan."""

    def plan(self, job: ToolJob, do: Do) -> Planned:
        """Find out what would change, and save the plan in `job.scratch` where the tool can."""

    def apply(self, job: ToolJob, do: Do) -> Applied:
        """Carry out exactly the saved plan (or the source that was planned) and read what is there afterwards."""

    def environment(self, job: ToolJob) -> Mapping[str, str]:
        """Return what the tool's own commands have in their environment, for a task that calls the tool.

        Called after `init`. StepFailed where a task could not do what it means to.
        """

    def plan_files(self, job: ToolJob) -> Sequence[Path]:
        """Name the files that make up the saved plan: their digest binds the apply to what was confirmed."""
