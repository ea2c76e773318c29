"""What the store keeps beside stacks and runs, and the filters of its lists: plain records, and its errors."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple, Self

from reconciler.core.keeping import StackPin
from reconciler.core.results import Resource
from reconciler.core.runs import Run, RunId, RunKind, RunStatus
from reconciler.core.state import ConditionStatus, ConditionType, Sync
from reconciler.store.listed import SharedIn
from spaces.names import Revision, SpaceName, SpacePath, StackId

LARGEST_SERIAL = 2**63 - 1
"""The largest serial of a tfstate that is known as one."""


class StoreError(Exception):
    """The database cannot be used. The message is one line for the operator, without credentials, and says what to do.

    The message may name the place of the database. `brief` is for everybody and does not.
    """

    def __init__(self, message: str, brief: str = "the database cannot be used") -> None:
        super().__init__(message)
        self.brief = brief


class StoreBusy(StoreError):
    """The database cannot be used just now (a lock, a deadlock, a lost connection). The same call may work later."""


class CannotUnseal(StoreError):
    """A value does not open with the keys at hand. The message names the key that it needs."""


class LostLease(Exception):
    """Another attempt has claimed the run, or it has ended. The report of this attempt is not recorded."""


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
    """The revision that each source repository is followed at, by what is followed of it (`git.source_keys`)."""
    kept: tuple[KeptDocument, ...] = ()
    remembered: Mapping[str, Any] = field(default_factory=dict)
    """What an earlier version remembered of what was in force; read once, to be taken over."""
    diagnostics: tuple[Mapping[str, Any], ...] = ()
    """As printed (`Diagnostic.to_json`)."""
    halted: Halt | None = None
    documents: Mapping[str, int] = field(default_factory=dict)
    """How many documents of each kind are in force."""
    former: Mapping[SpaceName, tuple[SpaceName, ...]] | None = None
    """The spaces that have left, each with those that were above it; None: an earlier version did not note them."""
    by_name: tuple[SpacePath, ...] | None = None
    """The paths of the spaces that were in force, or had left, when secrets began to go by path: there, those that an
    earlier version kept by name count, too. None: this version has not looked yet."""
    restored: Revision | None = None
    """The revision that was in force before the database was restored from a backup, until that is reached again."""
    changed_at: datetime | None = None
    database: str | None = None
    """The id of this database, by which a data directory knows it again."""
    pins: Mapping[StackId, StackPin] = field(default_factory=dict)
    """The stacks that stay at an earlier revision of themselves in this generation."""
    version: str | None = None
    """The version that worked out what is desired: another one may hash the same otherwise."""


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
    person: str | None = None
    """Who wrote it, where no run did."""
    note: str | None = None
    """Why, in their words."""
    unit: str = ""
    """The unit of the stack that it is of, for a stack with a tfstate for each."""


@dataclass(frozen=True, slots=True)
class TfstateLock:
    """The holder of a stack's tfstate: the id of the lock, and its JSON as the tool sent it."""

    stack: StackId
    lock_id: str
    info: Mapping[str, Any]
    run: str | None
    since: datetime
    unit: str = ""


@dataclass(frozen=True, slots=True)
class ApiToken:
    """A token that gives access to the API as `subject` (`user:alice`, `apiKey:ci`). The token itself is not stored."""

    id: str
    subject: str
    created_by: str
    created_at: datetime
    expires_at: datetime | None = None
    hash: str = field(default="", repr=False)
    made_with: str | None = None
    """The id of the token that it was created with, and that it ends with; None: the operator's."""
    name: str | None = None
    """What its maker calls it."""
    used_at: datetime | None = None
    """When it was used last, to some minutes; None: never."""
    idp_groups: tuple[str, ...] = ()
    """The groups that an identity provider confirmed at the sign-in that it comes from."""


@dataclass(frozen=True, slots=True)
class Session:
    """Somebody's sign-in to the page, which lasts no longer than the token that they showed."""

    id: str
    """The hash of the secret that only their browser has."""
    token: str | None
    """The id of the token of the API; None: the operator's."""
    proof: str = field(repr=False)
    """The hash of that token: another one with the same id opens nothing."""
    created_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class DeviceLogin:
    """A program that wants to sign in, and the code by which its person finds it on the page."""

    id: str
    """The hash of the secret that only the program has."""
    code: str
    client: str
    """What the program calls itself."""
    created_at: datetime
    expires_at: datetime
    subject: str | None = None
    """Who said yes; None: nobody yet."""
    idp_groups: tuple[str, ...] = ()
    token: str | None = None
    """The id of the token behind the session in which they did."""


@dataclass(frozen=True, slots=True)
class StoredApproval:
    """Somebody's word that a held change may come into force. `subject` is written as `kind:name`."""

    held: str
    subject: str
    because: str
    at: datetime


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """An event for the audit log. `details` are JSON without secrets."""

    event: str
    at: datetime
    person: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AuditRow:
    """One row of the audit log, numbered from 1.

    `hash` covers `previous` (the hash of the row before) and the event.
    """

    number: int
    event: AuditEvent
    previous: str
    hash: str
    intact: bool = True
    """Whether the row is what its own hash says; whether a row is missing shows only in the whole chain."""


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """The rows of the audit that a listing selects; None: any."""

    event: str | None = None
    events: Collection[str] | None = None
    person: str | None = None
    stack: str | None = None
    run: str | None = None
    revision: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    above: int | None = None
    below: int | None = None
    """Only rows of numbers between these, which are left out."""


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """The answer to a request with a key; `status` is None while it is being answered. `request`: what was asked."""

    request: str
    status: int | None = None
    body: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class Provenance:
    """The runs that made a resource and changed it last; None: from before that was noted."""

    made: RunId | None
    changed: RunId | None

    @classmethod
    def of(cls, made: str | None, changed: str | None) -> Self:
        """Return it from the ids of runs."""
        return cls(*(RunId(run) if run is not None else None for run in (made, changed)))


@dataclass(frozen=True, slots=True)
class OutboxEntry:
    """A notice that is still to be sent: a run ended, or began to wait for a person."""

    id: str
    run: Run
    """The run as it was then; it may have gone on since."""
    at: datetime
    attempt: int = 0
    """How often somebody took it to send it. It fences off whoever took it before."""
    receiver: str | None = None
    """The notifier that is to tell it, as `space/name`; None: it is for policies, and for whoever wants to know."""


@dataclass(frozen=True, slots=True)
class Announcement:
    """Something that a notifier (`space/name`) is still to tell, and that is not about a run."""

    id: str
    receiver: str
    body: Mapping[str, Any]
    """What happened: `event`, and what belongs to it."""
    at: datetime
    attempt: int = 0
    """How often somebody took it to send it. It fences off whoever took it before."""


LEADER = "leader"
"""The lease of the service that follows the configuration."""


@dataclass(frozen=True, slots=True)
class Lease:
    """That one service does something that only one may do at a time, until then. `holder` is its data directory."""

    holder: str
    until: datetime


@dataclass(frozen=True, slots=True)
class ServiceSeen:
    """A service that uses the database. `schema` is the newest that it knows."""

    holder: str
    host: str
    """The name of its machine."""
    version: str
    schema: str
    seen_at: datetime
    asked_at: datetime
    """When it was last asked to look at the repositories; 1970: never."""


@dataclass(frozen=True, slots=True)
class RunFilter:
    """The runs that a listing selects; None: any."""

    stack: StackId | None = None
    spaces: Collection[SpaceName] | None = None
    statuses: Collection[RunStatus] | None = None
    kinds: Collection[RunKind] | None = None
    labels: Mapping[str, str] | None = None
    """Labels that their stacks have, all of them."""
    ending: str | None = None
    """How the id ends; letters and digits."""


@dataclass(frozen=True, slots=True)
class RevisionProgress:
    """How far a revision got: how many stacks have which status, by the newest run of each for that revision.

    `standing` is the run that stands for it: one that failed, else one that has not ended, else the newest.
    """

    revision: Revision
    stacks: Mapping[RunStatus, int]
    oldest: RunId
    newest: RunId
    standing: RunId
    ended_at: datetime | None
    """When the last run ended; None while one has not."""


@dataclass(frozen=True, slots=True)
class StackFilter:
    """The stacks that a listing selects; None: any. A stack must have all the labels."""

    spaces: Collection[SpaceName] | None = None
    labels: Mapping[str, str] | None = None
    sync: Sync | None = None
    tool: str | None = None
    text: str | None = None
    """A part of `space/name`."""
    drifted: bool | None = None
    """True: only stacks whose last check found drift."""
    in_git: bool | None = None
    """True: only stacks whose document is in force. False: only retained ones."""
    conditions: Mapping[ConditionType, ConditionStatus] | None = None
    """A stack must have all of them."""


@dataclass(frozen=True, slots=True)
class ResourceFilter:
    """The resources that a listing selects; None: any."""

    spaces: Collection[SpaceName] | None = None
    stack: StackId | None = None
    type: str | None = None
    provider: str | None = None
    text: str | None = None
    """A part of the address or of what may be shown of its attributes, such as an identifier."""
    shared_in: SharedIn | None = None
    """Only those that another stack of these spaces has, too."""


class StackCounts(NamedTuple):
    """How many stacks there are, how many of them have the condition Ready, and how many have Stalled."""

    stacks: int
    ready: int
    stalled: int


class Place(NamedTuple):
    """Where a resource stands: its stack, and its number among the stack's resources."""

    stack: StackId
    position: int


class PlacedResource(NamedTuple):
    """A resource of a list, with the runs behind it."""

    place: Place
    resource: Resource
    provenance: Provenance
