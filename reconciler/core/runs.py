"""A run, its statuses, and the one table of the events that move it from status to status.

`core.transition` uses the table; nothing else changes the status of a run, but for the claim of queued runs, which the
store makes in SQL for many at once: it is the step `RunEvent.CLAIM` of the table.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, NewType, Self

from reconciler.core.phases import Phase
from reconciler.core.results import ChangeCounts
from reconciler.core.state import Component, Fingerprint, SourceCommit, Why
from spaces.model.pool import DEFAULT_POOL
from spaces.names import Digest, Revision, StackId

RunId = NewType("RunId", str)
"""Names one run in the installation. Ids sort by the time of creation."""


class RunKind(StrEnum):
    """Why a run exists."""

    TRACKED = "tracked"
    PROPOSED = "proposed"
    DRIFT = "drift"
    DESTROY = "destroy"
    TASK = "task"


WRITING = frozenset({RunKind.TRACKED, RunKind.DESTROY, RunKind.TASK})
"""The kinds that may change the world. A stack has one active run of these at a time."""

LEADING = frozenset({*WRITING, RunKind.PROPOSED})
"""The kinds by which the loop carries a stack forward. A proposal takes the place of the run that it previews."""


class RunStatus(StrEnum):
    """How far a run has come, or how it ended."""

    QUEUED = "queued"
    PLANNING = "planning"
    UNCONFIRMED = "unconfirmed"
    APPLYING = "applying"
    FINISHED = "finished"
    FAILED = "failed"
    CANCELED = "canceled"
    DISCARDED = "discarded"
    SUPERSEDED = "superseded"
    INTERRUPTED = "interrupted"


ACTIVE = frozenset({RunStatus.QUEUED, RunStatus.PLANNING, RunStatus.UNCONFIRMED, RunStatus.APPLYING})
AT_WORK = frozenset({RunStatus.PLANNING, RunStatus.APPLYING})
"""The statuses in which the run may have a process."""


class RunEvent(StrEnum):
    """What can happen to a run, worded as the end of "a run that is queued cannot …"."""

    QUEUE = "be queued"
    CLAIM = "be claimed"
    PRIORITIZE = "be prioritized"
    PREPARE = "be prepared"
    FOUND_NOTHING = "find nothing to do"
    PROPOSE = "end as a proposal"
    OBSERVE = "end as a drift check"
    AWAIT = "wait for a person"
    PROCEED = "go on to apply"
    REVIEW = "be reviewed"
    CONFIRM = "be confirmed"
    DISCARD = "be discarded"
    LET_THROUGH = "be let through a freeze window"
    STOP = "be asked to stop"
    CANCEL = "be canceled"
    SUPERSEDE = "be superseded"
    SUCCEED = "succeed"
    FAIL = "fail"
    INTERRUPT = "be interrupted"


TRANSITIONS: dict[tuple[RunStatus | None, RunEvent], RunStatus] = {
    (None, RunEvent.QUEUE): RunStatus.QUEUED,
    (RunStatus.QUEUED, RunEvent.CLAIM): RunStatus.PLANNING,
    (RunStatus.QUEUED, RunEvent.PRIORITIZE): RunStatus.QUEUED,
    (RunStatus.QUEUED, RunEvent.CANCEL): RunStatus.CANCELED,
    (RunStatus.QUEUED, RunEvent.SUPERSEDE): RunStatus.SUPERSEDED,
    (RunStatus.PLANNING, RunEvent.PREPARE): RunStatus.PLANNING,
    (RunStatus.PLANNING, RunEvent.FOUND_NOTHING): RunStatus.FINISHED,
    (RunStatus.PLANNING, RunEvent.PROPOSE): RunStatus.FINISHED,
    (RunStatus.PLANNING, RunEvent.OBSERVE): RunStatus.FINISHED,
    (RunStatus.PLANNING, RunEvent.AWAIT): RunStatus.UNCONFIRMED,
    (RunStatus.PLANNING, RunEvent.PROCEED): RunStatus.APPLYING,
    (RunStatus.QUEUED, RunEvent.LET_THROUGH): RunStatus.QUEUED,
    (RunStatus.PLANNING, RunEvent.LET_THROUGH): RunStatus.PLANNING,
    (RunStatus.UNCONFIRMED, RunEvent.LET_THROUGH): RunStatus.UNCONFIRMED,
    (RunStatus.PLANNING, RunEvent.STOP): RunStatus.PLANNING,
    (RunStatus.PLANNING, RunEvent.FAIL): RunStatus.FAILED,
    (RunStatus.PLANNING, RunEvent.CANCEL): RunStatus.CANCELED,
    (RunStatus.PLANNING, RunEvent.SUPERSEDE): RunStatus.SUPERSEDED,
    (RunStatus.UNCONFIRMED, RunEvent.REVIEW): RunStatus.UNCONFIRMED,
    (RunStatus.UNCONFIRMED, RunEvent.CONFIRM): RunStatus.UNCONFIRMED,
    (RunStatus.UNCONFIRMED, RunEvent.AWAIT): RunStatus.UNCONFIRMED,
    (RunStatus.UNCONFIRMED, RunEvent.PROCEED): RunStatus.APPLYING,
    (RunStatus.UNCONFIRMED, RunEvent.DISCARD): RunStatus.DISCARDED,
    (RunStatus.UNCONFIRMED, RunEvent.SUPERSEDE): RunStatus.SUPERSEDED,
    (RunStatus.APPLYING, RunEvent.STOP): RunStatus.APPLYING,
    (RunStatus.APPLYING, RunEvent.SUCCEED): RunStatus.FINISHED,
    (RunStatus.APPLYING, RunEvent.FAIL): RunStatus.FAILED,
    (RunStatus.APPLYING, RunEvent.INTERRUPT): RunStatus.INTERRUPTED,
}
"""The whole life of a run; None stands for a run that does not exist yet.

A step that keeps the status notes something on the run: that somebody said yes, or that it is to stop.
"""


class TransitionRefused(Exception):
    """The event does not fit the run's status. The message is one sentence for a person."""


def status_after(status: RunStatus | None, event: RunEvent) -> RunStatus:
    """Return the status after an event; TransitionRefused for everything the table does not name."""
    try:
        return TRANSITIONS[status, event]
    except KeyError:
        about = "a run that does not exist" if status is None else f"a run that is {status}"
        raise TransitionRefused(f"{about} cannot {event}") from None


@dataclass(frozen=True, slots=True)
class ProposedRef:
    """A branch or commit of the configuration, as somebody named it, and the commit that it was then."""

    ref: str
    revision: Revision


@dataclass(frozen=True, slots=True)
class Run:
    """One execution for a stack."""

    id: RunId
    stack: StackId
    kind: RunKind
    status: RunStatus
    revision: Revision
    """The revision of the configuration that it was queued for."""
    digest: Digest
    """The desired digest that it is to apply. The apply is refused once the stack's desired digest differs."""
    fingerprint: Fingerprint
    created_at: datetime
    why: tuple[Why, ...] = ()
    person: str | None = None
    """The author of the change, or the person who asked for the run."""
    needs_confirmation: bool = False
    phase: Phase | None = None
    reason: str = "Queued"
    message: str = ""
    changes: ChangeCounts = field(default_factory=ChangeCounts)
    plan_digest: str | None = None
    attempt: int = 0
    """Goes up with every claim. Reports of an older attempt are refused."""
    holder: str | None = None
    """The service whose machine the process runs on, by the id of its data directory."""
    lease_until: datetime | None = None
    """When the holder loses the run, unless it renews the lease."""
    cancel_requested: bool = False
    started_at: datetime | None = None
    finished_at: datetime | None = None
    confirmed_by: str | None = None
    awaits_approval: bool = False
    """An approval policy has not approved it yet, so nobody can confirm it."""
    to_judge: bool = False
    """It waits, and its policies have to be asked again: somebody reviewed or confirmed it."""
    source: SourceCommit | None = None
    """The commit of the source that it plans and applies."""
    command: str | None = None
    """The shell command of a task."""
    leaving: bool = False
    """It destroys what a stack made whose document has left Git."""
    repairs: str | None = None
    """The drift check whose findings it puts right."""
    frozen: bool = False
    """It waits for the end of a freeze window, and for nobody: then it goes on by itself."""
    through: str | None = None
    """The person who lets it through freeze windows."""
    gentle: bool = False
    """It waits for a person where its plan deletes or replaces something."""
    scheduled: bool = False
    """A schedule asked for it."""
    retry: int = 0
    """Which retry by itself it is after failures of its tool, from 1; 0: none."""
    refreshes: bool = False
    """It takes over into the tfstate what the real world has, and changes nothing else."""
    prioritized: bool = False
    """Somebody put it before all other queued runs."""
    targets: tuple[str, ...] = ()
    """The addresses of the resources that it plans and applies; empty: all of them."""
    proposes: ProposedRef | None = None
    """What it plans the stack as, which nobody has merged. None: as it is in force."""
    phase_seconds: Mapping[Phase, float] = field(default_factory=dict)
    """How long each phase took that has ended."""
    pool: str = DEFAULT_POOL
    """The worker pool that starts it, as `Desired.pool`. While it is queued it follows its stack, and not any more."""

    def evolve(self, **changes: Any) -> Self:
        """Return the same run with some fields changed."""
        return dataclasses.replace(self, **changes)

    @property
    def is_active(self) -> bool:
        """Whether the run has not ended yet."""
        return self.status in ACTIVE

    @property
    def is_guarded(self) -> bool:
        """Whether policies judge its plan, so that it is applied only after they have answered about that plan."""
        # The policies over a stack that left are those of the moment, and not those of its last document.
        return self.leaving or bool(self.fingerprint.components.get(Component.POLICIES))

    @property
    def is_writing(self) -> bool:
        """Whether the run may change the world."""
        return self.kind in WRITING

    @property
    def destroys(self) -> bool:
        """Whether the run removes what its stack made."""
        return self.kind is RunKind.DESTROY

    @property
    def heeds_suspension(self) -> bool:
        """Whether a suspended stack holds the run up. What a person asks to destroy goes, and leaves it suspended."""
        return self.leaving or self.scheduled or not self.destroys

    @property
    def checks(self) -> bool:
        """Whether the run only compares the real world with what was applied."""
        return self.kind is RunKind.DRIFT

    @property
    def keeps_applied(self) -> bool:
        """Whether what was applied stays what it was: the run is no application of what is desired."""
        return self.kind in {RunKind.DRIFT, RunKind.TASK} or self.proposes is not None

    @property
    def occasion(self) -> str:
        """Why the run exists, where no difference from what was applied says so."""
        if self.repairs is not None:
            return f"puts right the drift that run {self.repairs} found"
        if self.refreshes:
            return "takes over what the real world has"
        if self.proposes is not None:
            return f"shows what {self.proposes.ref} would do"
        if self.checks:
            return "compares the real world with what was applied"
        if self.scheduled:
            return "the time of its stack is over" if self.destroys else "on schedule"
        return "its document left Git" if self.leaving else "requested"

    @property
    def leads(self) -> bool:
        """Whether the loop carries the stack forward by this run; other runs only look."""
        return self.kind in LEADING and self.proposes is None


def leading(active: Iterable[Run]) -> dict[StackId, Run]:
    """Return the run by which the loop carries each stack forward, for those that have one."""
    return {run.stack: run for run in active if run.leads}
