"""What a run is, and the one table of what may become of it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, NewType, Self

from reconciler.core.phases import Phase
from reconciler.core.results import ChangeCounts
from reconciler.core.state import Component, Fingerprint, Why
from spaces.names import Digest, Revision, StackId

RunId = NewType("RunId", str)
"""Sorts by the time of creation, and names one run in the installation."""


class RunKind(StrEnum):
    """Why a run exists."""

    TRACKED = "tracked"
    PROPOSED = "proposed"
    DRIFT = "drift"
    DESTROY = "destroy"
    TASK = "task"


WRITING = frozenset({RunKind.TRACKED, RunKind.DESTROY, RunKind.TASK})
"""Kinds that may change the world: a stack has one of them at a time."""

LEADING = frozenset({*WRITING, RunKind.PROPOSED})
"""Kinds by which the loop goes on with a stack: a proposal stands in the place of the run that it shows."""


class RunStatus(StrEnum):
    """Where a run stands."""

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
"""Statuses in which a process of the run may exist."""


class RunEvent(StrEnum):
    """What can happen to a run."""

    CLAIM = "claim"
    FOUND_NOTHING = "found nothing to do"
    PROPOSE = "end as a proposal"
    AWAIT = "await confirmation"
    PROCEED = "proceed to apply"
    CONFIRM = "confirm"
    DISCARD = "discard"
    CANCEL = "cancel"
    SUPERSEDE = "supersede"
    SUCCEED = "succeed"
    FAIL = "fail"
    INTERRUPT = "interrupt"


TRANSITIONS: dict[tuple[RunStatus, RunEvent], RunStatus] = {
    (RunStatus.QUEUED, RunEvent.CLAIM): RunStatus.PLANNING,
    (RunStatus.QUEUED, RunEvent.CANCEL): RunStatus.CANCELED,
    (RunStatus.QUEUED, RunEvent.SUPERSEDE): RunStatus.SUPERSEDED,
    (RunStatus.PLANNING, RunEvent.FOUND_NOTHING): RunStatus.FINISHED,
    (RunStatus.PLANNING, RunEvent.PROPOSE): RunStatus.FINISHED,
    (RunStatus.PLANNING, RunEvent.AWAIT): RunStatus.UNCONFIRMED,
    (RunStatus.PLANNING, RunEvent.PROCEED): RunStatus.APPLYING,
    (RunStatus.PLANNING, RunEvent.FAIL): RunStatus.FAILED,
    (RunStatus.PLANNING, RunEvent.CANCEL): RunStatus.CANCELED,
    (RunStatus.PLANNING, RunEvent.SUPERSEDE): RunStatus.SUPERSEDED,
    (RunStatus.UNCONFIRMED, RunEvent.CONFIRM): RunStatus.APPLYING,
    (RunStatus.UNCONFIRMED, RunEvent.DISCARD): RunStatus.DISCARDED,
    (RunStatus.UNCONFIRMED, RunEvent.SUPERSEDE): RunStatus.SUPERSEDED,
    (RunStatus.APPLYING, RunEvent.SUCCEED): RunStatus.FINISHED,
    (RunStatus.APPLYING, RunEvent.FAIL): RunStatus.FAILED,
    (RunStatus.APPLYING, RunEvent.INTERRUPT): RunStatus.INTERRUPTED,
}


class TransitionRefused(Exception):
    """The event does not fit the run's status; the message says so in words for a person."""


def advance(status: RunStatus, event: RunEvent) -> RunStatus:
    """Give the status that follows; TransitionRefused for everything the table does not name."""
    try:
        return TRANSITIONS[status, event]
    except KeyError:
        raise TransitionRefused(f"a run that is {status} cannot {event}") from None


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
    """What it is meant to bring about; an apply is refused once the stack's desired digest differs."""
    fingerprint: Fingerprint
    created_at: datetime
    why: tuple[Why, ...] = ()
    person: str | None = None
    """Who caused it: the author of the change, or who asked for the run."""
    needs_confirmation: bool = False
    phase: Phase | None = None
    reason: str = "Queued"
    message: str = ""
    changes: ChangeCounts = field(default_factory=ChangeCounts)
    plan_digest: str | None = None
    attempt: int = 0
    """Goes up with every claim; what an older attempt reports is refused."""
    holder: str | None = None
    """The service (by its data directory's id) whose machine the process runs on."""
    lease_until: datetime | None = None
    """Until when the holder's word counts without renewal."""
    cancel_requested: bool = False
    started_at: datetime | None = None
    finished_at: datetime | None = None
    confirmed_by: str | None = None
    awaits_approval: bool = False
    """An approval policy has not said yes yet: nobody can confirm it."""
    to_judge: bool = False
    """It waits, and something happened that the policies over it have to be asked about: a review, or a yes."""

    def evolve(self, **changes: Any) -> Self:
        """Give the same run with some fields changed."""
        return dataclasses.replace(self, **changes)

    def advance(self, event: RunEvent, **changes: Any) -> Self:
        """Give the run after `event`; TransitionRefused where the table has no such step."""
        return dataclasses.replace(self, status=advance(self.status, event), **changes)

    @property
    def is_active(self) -> bool:
        """Say whether the run is still on its way."""
        return self.status in ACTIVE

    @property
    def is_guarded(self) -> bool:
        """Say whether policies judge its plan: then it is never applied without their word on exactly that plan."""
        return bool(self.fingerprint.components.get(Component.POLICIES))

    @property
    def is_writing(self) -> bool:
        """Say whether the run may change the world."""
        return self.kind in WRITING

    @property
    def leads(self) -> bool:
        """Say whether the loop goes on with its stack by this run; others stand beside."""
        return self.kind in LEADING
