"""What the service remembers, and how: small steps inside transactions, the same on every database."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol

from rbac.admission.held import HeldChange
from reconciler.core.results import Output, Planned, Resource
from reconciler.core.runs import Run, RunId, RunKind, RunStatus
from reconciler.core.state import Desired, StackState, Sync
from reconciler.core.verdicts import Judgement, Review
from spaces.names import Revision, SpaceName, StackId


class StoreError(Exception):
    """The database cannot be used; the message is one line, names no credential, and says what to do.

    The message may say where the database is: that is for the operator. `brief` is for everybody.
    """

    def __init__(self, message: str, brief: str = "the database cannot be used") -> None:
        super().__init__(message)
        self.brief = brief


class StoreBusy(StoreError):
    """The database cannot be used just now (locked, a deadlock, a lost connection): the same may well work later."""


class CannotUnseal(StoreError):
    """A value does not open with the keys at hand; the message names the key that it needs."""


class LostLease(Exception):
    """The run was claimed anew (or ended) since: what this attempt reports is not recorded."""


@dataclass(frozen=True, slots=True)
class KeptDocument:
    """A document whose earlier version stays in force: where that version is found again after a restart."""

    kind: str
    space: str
    name: str
    file: str
    revision: Revision
    because: str


@dataclass(frozen=True, slots=True)
class Halt:
    """Admission stands still: nothing new comes into force until this is resolved."""

    reason: str
    message: str
    revision: Revision | None
    since: datetime


@dataclass(frozen=True, slots=True)
class ConfigurationState:
    """How far the configuration repository has been followed. `generation` goes up with every change of desired."""

    generation: int = 0
    url: str | None = None
    branch: str | None = None
    config_path: str | None = None
    """The directory in it that is followed."""
    attempted_revision: Revision | None = None
    admitted_revision: Revision | None = None
    sources: Mapping[str, Revision] = field(default_factory=dict)
    """The revision that each source repository's branch ("url#branch") is followed at."""
    kept: tuple[KeptDocument, ...] = ()
    remembered: Mapping[str, Any] = field(default_factory=dict)
    """What is needed beside the admitted revision to find again what was in force (`spaces.records`)."""
    diagnostics: tuple[Mapping[str, Any], ...] = ()
    """As printed (`Diagnostic.to_json`)."""
    halted: Halt | None = None
    documents: Mapping[str, int] = field(default_factory=dict)
    """How many documents of each kind are in force."""
    changed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class TfstateVersion:
    """One stored version of a stack's tfstate. `body` is decrypted."""

    stack: StackId
    version: int
    serial: int | None
    lineage: str | None
    run: str | None
    created_at: datetime
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class TfstateLock:
    """Who holds a stack's tfstate: the lock's id and its JSON as the tool sent it."""

    stack: StackId
    lock_id: str
    info: Mapping[str, Any]
    run: str | None
    since: datetime


@dataclass(frozen=True, slots=True)
class ApiToken:
    """A token that opens the API to `subject` (as `user:alice`, `apiKey:ci`). The token itself is not stored."""

    id: str
    subject: str
    created_by: str
    created_at: datetime
    expires_at: datetime | None = None
    hash: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class StoredApproval:
    """Somebody's word that a held change may come into force. `subject` is written as `kind:name`."""

    held: str
    subject: str
    because: str
    at: datetime


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """Something that the audit keeps. `details` are JSON and hold no secret."""

    event: str
    at: datetime
    person: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AuditRow:
    """One row of the audit: number 1 is the first; `hash` is over `previous` (of the row before) and the rest."""

    number: int
    event: AuditEvent
    previous: str
    hash: str


@dataclass(frozen=True, slots=True)
class OutboxEntry:
    """A notice that is still to be sent: a run ended, or began to wait for a person."""

    id: str
    run: Run
    """The run as it was then; it may have gone on since."""
    at: datetime
    attempt: int = 0
    """How often somebody took it to send it. It fences off whoever took it before."""


@dataclass(frozen=True, slots=True)
class RunFilter:
    """Which runs a listing wants; None: any."""

    stack: StackId | None = None
    spaces: Collection[SpaceName] | None = None
    statuses: Collection[RunStatus] | None = None
    kinds: Collection[RunKind] | None = None


@dataclass(frozen=True, slots=True)
class StackFilter:
    """Which stacks a listing wants; None: any. Labels must all be equal."""

    spaces: Collection[SpaceName] | None = None
    labels: Mapping[str, str] | None = None
    sync: Sync | None = None
    tool: str | None = None
    text: str | None = None
    """Part of `space/name`."""
    in_git: bool | None = None
    """True: only stacks whose document is in force; False: only retained ones."""


class Reading(Protocol):
    """Questions, all answered from one consistent snapshot."""

    def configuration(self) -> ConfigurationState:
        """Give how far the configuration was followed; a fresh store gives generation 0."""

    def stack(self, stack: StackId) -> StackState | None:
        """Give one stack."""

    def stacks(self, wanted: Collection[StackId] | None = None) -> dict[StackId, StackState]:
        """Give those stacks that exist; None: all of them."""

    def desired(self) -> dict[StackId, Desired]:
        """Give what is desired of every stack in Git, and nothing else of them: quick, also for very many."""

    def list_stacks(self, wanted: StackFilter, after: str | None, limit: int) -> list[StackState]:
        """Give one page in the order of space, then name, behind the stack (`space/name`) named by `after`."""

    def count_stacks(self) -> dict[tuple[str, str, str], int]:
        """Count the stacks in Git by (space, tool, sync)."""

    def due_stacks(self, now: datetime, limit: int) -> list[StackState]:
        """Give stacks with `due_at` <= now, longest due first."""

    def next_due(self) -> datetime | None:
        """Say when the next stack becomes due."""

    def run(self, run: RunId) -> Run | None:
        """Give one run."""

    def list_runs(self, wanted: RunFilter, before: str | None, limit: int) -> list[Run]:
        """Give one page, newest first, behind (older than) the run named by `before`."""

    def active_runs(self, stacks: Collection[StackId] | None = None) -> list[Run]:
        """Give all runs that are on their way, oldest first."""

    def last_runs(self, stacks: Collection[StackId]) -> dict[StackId, Run]:
        """Give the newest run of each stack that has one."""

    def planned(self, run: RunId) -> Planned | None:
        """Give what the run's plan found."""

    def judgement(self, run: RunId) -> Judgement | None:
        """Give what the policies over a run said when they were last asked."""

    def reviews(self, run: RunId) -> list[Review]:
        """Give what persons think of a run, by the time that they said it."""

    def resources(self, stack: StackId) -> list[Resource]:
        """Give what the last successful run left behind."""

    def count_resources(self) -> dict[StackId, int]:
        """Count resources by stack."""

    def parents(self, wanted: Collection[StackId]) -> dict[StackId, tuple[StackId, ...]]:
        """Give the parents of these stacks, of their parents, and so on up; those that have none are left out."""

    def children(self, wanted: Collection[StackId]) -> dict[StackId, tuple[StackId, ...]]:
        """Give the stacks in Git that depend on these directly; those that have none are left out."""

    def peek(self, wanted: Collection[StackId]) -> dict[StackId, StackState]:
        """Give those stacks that exist as they are committed, without a lock."""

    def output_marks(self, wanted: Collection[StackId]) -> dict[StackId, dict[str, str]]:
        """Give a mark of every output of these stacks: another one when the value is another, and no way back to it."""

    def outputs(self, stack: StackId) -> list[Output]:
        """Give the outputs, sensitive ones decrypted."""

    def log(self, run: RunId) -> bytes | None:
        """Give the stored log of a run that has ended."""

    def tfstate(self, stack: StackId, version: int | None = None) -> TfstateVersion | None:
        """Give one version (None: the newest)."""

    def tfstate_versions(self, stack: StackId) -> list[tuple[int, int | None, str | None, datetime]]:
        """List (version, serial, run, created at), newest first, without bodies."""

    def tfstate_lock(self, stack: StackId) -> TfstateLock | None:
        """Say who holds the tfstate."""

    def token_stack(self, token_hash: str, now: datetime) -> tuple[StackId, str] | None:
        """Say which (stack, run) a run's token opens, while that run is active."""

    def api_token(self, token_id: str) -> ApiToken | None:
        """Give one of the API's tokens, also one that has expired."""

    def api_tokens(self) -> list[ApiToken]:
        """Give every token of the API, by id."""

    def held_changes(self) -> list[HeldChange]:
        """Give every change that waits for somebody with the right, by kind, space and name."""

    def approvals(self) -> list[StoredApproval]:
        """Give the approvals that admission has not looked at yet, oldest first."""

    def outbox(self, now: datetime, limit: int) -> list[OutboxEntry]:
        """Return notices that are due, oldest run first."""

    def audit(self, after: int, limit: int) -> list[AuditRow]:
        """Give one page of the audit, oldest first, behind the row of number `after`."""

    def audit_fault(self) -> str | None:
        """Check the whole chain; say what is wrong with the first row that was changed, removed or put in."""


class Transaction(Reading, Protocol):
    """Questions that lock what they read, and changes that happen together or not at all."""

    def put_configuration(self, state: ConfigurationState) -> None:
        """Write the configuration's state."""

    def put_stacks(self, stacks: Iterable[StackState]) -> None:
        """Insert or replace stacks, in bulk."""

    def put_dependencies(self, parents: Mapping[StackId, Collection[StackId]]) -> None:
        """Let these stacks depend on those, and on no others."""

    def wake_dependents(self, wanted: Collection[StackId], now: datetime) -> None:
        """Have the loop look at the stacks below these, at any distance, that are out of sync or have an active run."""

    def move_stack(self, old: StackId, new: StackId) -> None:
        """Rename a stack with everything that hangs on it: runs, resources, outputs, tfstate, locks, tokens.

        Nothing happens where there is no `old`; ValueError where `new` is taken.
        """

    def add_runs(self, runs: Sequence[Run]) -> list[RunId]:
        """Insert runs; one whose stack already has an active writing run is left out. Gives the ids inserted."""

    def put_run(self, run: Run) -> None:
        """Replace a run. LostLease if the stored attempt is not `run.attempt`, or it has ended with another status.

        The stored run keeps its stack, which may have moved since `run` was read.
        """

    def claim(self, holder: str, now: datetime, lease: timedelta, limit: int) -> list[Run]:
        """Take up to `limit` queued runs, oldest first, for `holder`: planning, attempt + 1, leased. No run twice.

        This is the step `RunEvent.CLAIM`; the caller follows with `RunEvent.PREPARE`. Sets `started_at` too.
        Left alone: runs to be canceled, and those whose stack has another writing run at work.
        """

    def renew(self, holder: str, now: datetime, lease: timedelta) -> None:
        """Extend the leases of all runs at work that `holder` holds."""

    def try_writing(self) -> None:
        """Write something that leaves nothing behind: it fails where the database takes no writes."""

    def record_plan(self, run: RunId, planned: Planned) -> None:
        """Keep what a plan found."""

    def record_judgement(self, run: RunId, judgement: Judgement) -> None:
        """Keep what the policies over a run said, in the place of what they said before."""

    def put_review(self, run: RunId, review: Review) -> None:
        """Note what somebody thinks of a run, in the place of what they thought before."""

    def record_results(self, stack: StackId, resources: Sequence[Resource] | None, outputs: Sequence[Output]) -> None:
        """Replace the stack's resources (None: unknown, none listed) and outputs; sensitive values are encrypted."""

    def record_log(self, run: RunId, log: bytes) -> None:
        """Keep the log of a run that has ended, compressed."""

    def add_tfstate(self, stack: StackId, body: bytes, run: str | None, now: datetime) -> TfstateVersion:
        """Store the next version, encrypted. Serial and lineage are read from the body."""

    def lock_tfstate(self, lock: TfstateLock) -> TfstateLock | None:
        """Take the lock; gives the present holder instead where there is one with another id."""

    def unlock_tfstate(self, stack: StackId, lock_id: str | None) -> bool:
        """Let go; None: whoever holds it. False where another id holds it."""

    def put_token(self, token_hash: str, stack: StackId, run: RunId) -> None:
        """Let a hashed token open this stack's tfstate while the run is active."""

    def add_api_token(self, token: ApiToken) -> None:
        """Let a token open the API."""

    def remove_api_token(self, token_id: str) -> bool:
        """Have a token open nothing any more; False where there is no such token."""

    def put_held_changes(self, held: Iterable[HeldChange]) -> None:
        """Let these, and no others, be what is held."""

    def add_approval(self, approval: StoredApproval) -> None:
        """Note an approval for admission to look at; a later one of the same change takes its place."""

    def remove_approvals(self, held: Collection[str]) -> None:
        """Forget approvals, by the held changes' ids: admission has looked at them."""

    def add_to_outbox(self, changed: Sequence[Run], now: datetime) -> None:
        """Add a notice about each run as it is now. A run brings one notice for a status, and no second one."""

    def claim_outbox(self, wanted: Sequence[OutboxEntry], now: datetime, lease: timedelta) -> list[OutboxEntry]:
        """Take these notices, as far as they are still due; nobody else can take them until the lease ends."""

    def remove_from_outbox(self, done: Sequence[OutboxEntry]) -> set[str]:
        """Remove notices; returns the ids of those removed. One that another attempt has taken since stays."""

    def postpone_outbox(self, entry: OutboxEntry, until: datetime) -> None:
        """Let a notice be due again later, unless another attempt has taken it since."""

    def append_audit(self, events: Iterable[AuditEvent]) -> None:
        """Add rows to the audit. As the last step of a transaction: it makes others wait."""


class Store(Protocol):
    """The door to the database. Every method raises StoreError where the database cannot be used."""

    def reading(self) -> AbstractContextManager[Reading]:
        """Open a read-only snapshot."""

    def writing(self) -> AbstractContextManager[Transaction]:
        """Open a transaction: committed at the end of the block, rolled back by any exception."""

    def close(self) -> None:
        """Give back all connections."""
