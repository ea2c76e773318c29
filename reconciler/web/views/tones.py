"""The five tones of a state. A colour never stands alone: the word is always beside it."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum

from reconciler.core.reasons import RETRYABLE, Reason
from reconciler.core.runs import RunStatus
from reconciler.core.state import ConditionStatus, ConditionType
from reconciler.tools.kubernetes.health import HealthStatus
from reconciler.web.api.schemas.pools import PoolJson
from reconciler.web.api.schemas.stacks import ConditionJson, StackJson
from spaces.model.pool import WITH_WORKERS


class Tone(StrEnum):
    """How a state is to be taken."""

    GOOD = "good"
    BUSY = "busy"
    """Something is at work, or comes next by itself."""
    WAITING = "waiting"
    """It waits for a person, or for another stack."""
    BAD = "bad"
    QUIET = "quiet"
    """Nothing happens, and nothing has to."""


_RUNS = {
    RunStatus.QUEUED: Tone.BUSY,
    RunStatus.PLANNING: Tone.BUSY,
    RunStatus.APPLYING: Tone.BUSY,
    RunStatus.UNCONFIRMED: Tone.WAITING,
    RunStatus.FINISHED: Tone.GOOD,
    RunStatus.FAILED: Tone.BAD,
    RunStatus.INTERRUPTED: Tone.BAD,
    RunStatus.CANCELED: Tone.QUIET,
    RunStatus.DISCARDED: Tone.QUIET,
    RunStatus.SUPERSEDED: Tone.QUIET,
}

_REASONS: dict[str, Tone] = {
    Reason.WAITS_FOR_CONFIRMATION: Tone.WAITING,
    Reason.WAITS_FOR_APPROVAL: Tone.WAITING,
    Reason.WAITS_FOR_DEPENDENCY: Tone.WAITING,
    Reason.PARTLY_APPLIED: Tone.WAITING,
    Reason.SUSPENDED: Tone.QUIET,
    Reason.RETAINED: Tone.QUIET,
    Reason.DESTROYED: Tone.QUIET,
    Reason.IGNORED_BY_POLICY: Tone.QUIET,
    Reason.PROPOSED_BY_POLICY: Tone.QUIET,
    Reason.POLICY_FAILED: Tone.BAD,
}

_HEALTHS: dict[str, Tone] = {
    HealthStatus.READY: Tone.GOOD,
    HealthStatus.PROGRESSING: Tone.BUSY,
    HealthStatus.FAILED: Tone.BAD,
    HealthStatus.MISSING: Tone.BAD,
}

_NO_CONDITION = ConditionJson(
    status=ConditionStatus.UNKNOWN, reason="", message="", since=datetime.min.replace(tzinfo=UTC)
)


def is_drifted(stack: StackJson) -> bool:
    """Whether the last check of a stack found that the real world differs."""
    return condition_of(stack, ConditionType.DRIFTED).status == ConditionStatus.TRUE


def pool_state(pool: PoolJson) -> tuple[Tone, str]:
    """Return the tone of a worker pool, and the word for its state."""
    if pool.drained is not None:
        return Tone.WAITING, "drained"
    if pool.engine in WITH_WORKERS and all(worker.gone for worker in pool.workers):
        return Tone.BAD, "no worker"
    full = pool.max_parallel is not None and pool.active >= pool.max_parallel
    return (Tone.BUSY, "full") if full else (Tone.GOOD, "open")


def health_tone(health: str) -> Tone:
    """Return the tone of a resource's health, in the word of its tool."""
    return _HEALTHS[health]


def run_tone(status: str) -> Tone:
    """Return the tone of a run."""
    return _RUNS[RunStatus(status)]


def condition_of(stack: StackJson, kind: ConditionType) -> ConditionJson:
    """Return a condition of a stack; an unknown one if the stack does not have it yet."""
    return stack.conditions.get(kind, _NO_CONDITION)


def stack_tone(stack: StackJson) -> Tone:
    """Return the tone of a stack."""
    if stack.retained:
        return Tone.QUIET
    if condition_of(stack, ConditionType.STALLED).status == ConditionStatus.TRUE:
        return Tone.BAD
    if stack.reason in _REASONS:
        return _REASONS[stack.reason]
    if condition_of(stack, ConditionType.READY).status == ConditionStatus.TRUE:
        return Tone.WAITING if is_drifted(stack) else Tone.GOOD
    if stack.reason in RETRYABLE:
        return Tone.BAD
    reconciling = condition_of(stack, ConditionType.RECONCILING).status
    return Tone.BUSY if reconciling == ConditionStatus.TRUE else Tone.QUIET
