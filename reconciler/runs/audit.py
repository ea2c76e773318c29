"""The rows of the audit about runs and stacks, and the log lines about runs.

Each step of a run leaves at most one row: the person's, where somebody asked for it, else the service's own.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from reconciler.core.runs import Run, RunEvent, RunStatus
from reconciler.core.state import StackState
from reconciler.core.transition import Transition
from reconciler.core.verdicts import Judgement, Notice, Verdict
from reconciler.store.stored import ApiToken, AuditEvent


class Audited(StrEnum):
    """The events that the audit keeps, beside those of admission."""

    RUN_QUEUED = "run-queued"
    APPLY_STARTED = "apply-started"
    APPLY_ENDED = "apply-ended"
    POLICY_DECIDED = "policy-decided"
    NOTIFIED = "notified"
    NOTIFICATION_RESENT = "notification-resent"

    RUN_REQUESTED = "run-requested"
    RUN_CONFIRMED = "run-confirmed"
    RUN_DISCARDED = "run-discarded"
    RUN_CANCELED = "run-canceled"
    RUN_REVIEWED = "run-reviewed"
    RUN_LET_THROUGH = "run-let-through"
    RUN_PRIORITIZED = "run-prioritized"
    STACK_SUSPENDED = "stack-suspended"
    STACK_RESUMED = "stack-resumed"
    STACK_FORGOTTEN = "stack-forgotten"
    ROLLOUT_RESUMED = "rollout-resumed"
    POOL_DRAINED = "pool-drained"
    POOL_RESUMED = "pool-resumed"
    STACK_LOCKED = "stack-locked"
    STACK_UNLOCKED = "stack-unlocked"
    STACK_PINNED = "stack-pinned"
    STACK_UNPINNED = "stack-unpinned"
    TFSTATE_READ = "tfstate-read"
    TFSTATE_WRITTEN = "tfstate-written"
    TFSTATE_UNLOCKED = "tfstate-unlocked"
    BLUEPRINT_ORDERED = "blueprint-ordered"
    ORDER_FAILED = "order-failed"
    HELD_APPROVED = "approval-given"
    TOKEN_CREATED = "token-created"  # noqa: S105 - an event, no secret
    TOKEN_REVOKED = "token-revoked"  # noqa: S105
    ISSUER_ROTATED = "issuer-rotated"


class Approvals(StrEnum):
    """What admission makes of an approval."""

    ACCEPTED = "approved"
    REFUSED = "approval-refused"


@dataclass(frozen=True, slots=True)
class Asked:
    """The person who asked for something, and the access decision that it rests on."""

    person: str
    because: str = ""
    details: Mapping[str, object] = field(default_factory=dict)
    """What else the audit keeps of the request."""


_BY_A_PERSON = {
    RunEvent.QUEUE: Audited.RUN_REQUESTED,
    RunEvent.PRIORITIZE: Audited.RUN_PRIORITIZED,
    RunEvent.REVIEW: Audited.RUN_REVIEWED,
    RunEvent.CONFIRM: Audited.RUN_CONFIRMED,
    RunEvent.DISCARD: Audited.RUN_DISCARDED,
    RunEvent.LET_THROUGH: Audited.RUN_LET_THROUGH,
    RunEvent.STOP: Audited.RUN_CANCELED,
    RunEvent.CANCEL: Audited.RUN_CANCELED,
}


def about_step(step: Transition, asked: Asked | None, now: datetime) -> AuditEvent | None:
    """Return the row about a step of a run; None: the audit keeps no row of such a step."""
    if asked is not None:
        event = _BY_A_PERSON.get(step.event)
        return None if event is None else _about_request(event, step.run, asked, now)
    if step.run.checks:
        # They change nothing, and come all the time.
        return None
    if step.event is RunEvent.QUEUE:
        return _about_run(Audited.RUN_QUEUED, step.run, now)
    if step.event is RunEvent.PROCEED:
        return _about_run(Audited.APPLY_STARTED, step.run, now)
    if step.before is RunStatus.APPLYING and not step.run.is_active:
        return _about_run(Audited.APPLY_ENDED, step.run, now)
    return None


def _about_request(event: Audited, run: Run, asked: Asked, now: datetime) -> AuditEvent:
    details = {
        "run": run.id,
        "stack": str(run.stack),
        "revision": run.revision,
        "digest": run.digest,
        **_source_of(run),
        "because": asked.because,
        **asked.details,
    }
    return AuditEvent(event, now, asked.person, details)


def _about_run(event: Audited, run: Run, now: datetime) -> AuditEvent:
    details = {
        "run": run.id,
        "stack": str(run.stack),
        "kind": run.kind.value,
        "status": run.status.value,
        "reason": run.reason,
        "revision": run.revision,
        "digest": run.digest,
        "planDigest": run.plan_digest,
        "command": run.command,
        "confirmedBy": run.confirmed_by,
        **_source_of(run),
    }
    return AuditEvent(event, now, run.person, {key: value for key, value in details.items() if value is not None})


def _source_of(run: Run) -> dict[str, object]:
    source = run.source
    if source is None:
        return {}
    return {"source": {"repository": source.repository, "revision": source.revision, "author": source.author}}


def about_request(event: Audited, asked: Asked, now: datetime, **details: object) -> AuditEvent:
    """Return the row about a request that is not about a run."""
    return AuditEvent(event, now, asked.person, {**details, "because": asked.because})


def about_push(state: StackState, verdicts: Iterable[Verdict], now: datetime) -> list[AuditEvent]:
    """Return a row for each push policy, with its answer about a change."""
    assert state.desired is not None  # noqa: S101 - a stack that left Git has nothing to push
    about = {"stack": str(state.id), "revision": state.desired.revision, "digest": state.desired.digest}
    return [
        AuditEvent(Audited.POLICY_DECIDED, now, state.desired.person, {**about, **_said(verdict)})
        for verdict in verdicts
    ]


def about_notice(run: Run, policy: str, notice: Notice, now: datetime) -> AuditEvent:
    """Return the row about a notification that a policy asked for."""
    details = {
        "run": run.id,
        "stack": str(run.stack),
        "status": run.status.value,
        "policy": policy,
        "severity": notice.severity.value,
        "message": notice.message,
    }
    return AuditEvent(Audited.NOTIFIED, now, run.person, details)


def about_silence(run: Run, policy: str, error: str, now: datetime) -> AuditEvent:
    """Return the row about a notification policy that could not be evaluated."""
    details = {"run": run.id, "stack": str(run.stack), "status": run.status.value, "policy": policy, "error": error}
    return AuditEvent(Audited.NOTIFIED, now, run.person, details)


def about_delivery(run: Run | None, notifier: str, event: str, error: str | None, now: datetime) -> AuditEvent:
    """Return the row about what a notifier told, or could not tell; without a run it is about the configuration."""
    details: dict[str, object] = {"notifier": notifier, "event": event}
    if run is not None:
        details = {"run": run.id, "stack": str(run.stack), "status": run.status.value, **details}
    if error is not None:
        details["error"] = error
    return AuditEvent(Audited.NOTIFIED, now, run.person if run is not None else None, details)


def about_judgement(run: Run, judgement: Judgement, now: datetime) -> list[AuditEvent]:
    """Return a row for each policy over a run, with its answer."""
    about = {"run": run.id, "stack": str(run.stack), "digest": judgement.digest, "planDigest": judgement.plan_digest}
    return [
        AuditEvent(
            Audited.POLICY_DECIDED,
            now,
            run.person,
            {**about, **_said(verdict)},
        )
        for verdict in judgement.verdicts
    ]


def _said(verdict: Verdict) -> dict[str, object]:
    return {
        "policy": verdict.policy,
        "type": verdict.type,
        "enforcement": "mandatory" if verdict.mandatory else "advisory",
        "result": verdict.result.value,
        "messages": list(verdict.messages),
        "warnings": list(verdict.warnings),
    }


_log = logging.getLogger(__name__)

_LEVELS = {RunStatus.FAILED: logging.WARNING, RunStatus.INTERRUPTED: logging.ERROR}
_BEGINS = frozenset({RunStatus.PLANNING, RunStatus.APPLYING})


def log_run(run: Run) -> None:
    """Log the status of a run; where it is queued or a phase begins, also why, and who caused it."""
    if run.status is RunStatus.QUEUED:
        said = "; ".join(f"{why.component}: {why.summary}" for why in run.why) or run.message or run.occasion
        said += f" (by {run.person})" if run.person is not None and run.person not in said else ""
    elif run.status in _BEGINS:
        said = "; ".join(f"{why.component}: {why.summary}" for why in run.why) or run.occasion
        if run.source is not None and run.source.repository is not None:
            author = f" by {run.source.author}" if run.source.author is not None else ""
            said += f"; from {run.source.repository} at {run.source.revision[:12]}{author}"
    else:
        said = run.message
    words = str(run.status) if run.status in {RunStatus.QUEUED, *_BEGINS} else f"{run.status}, {run.reason}"
    # Where the message is the reason in small letters it says nothing more.
    more = f": {said}" if said and said.lower() != str(run.reason).lower() else ""
    level = _LEVELS.get(run.status, logging.INFO)
    _log.log(level, "run %s of %s: %s%s", run.id, run.stack, words, more)


def about_token(event: Audited, token: ApiToken, person: str | None, now: datetime) -> AuditEvent:
    """Return the audit's event about a token of the API."""
    until = token.expires_at.isoformat() if token.expires_at is not None else None
    return AuditEvent(event, now, person, {"token": token.id, "subject": token.subject, "expires": until})
