"""What the audit keeps of what the service does by itself: each decision to run, and each apply."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import datetime

from reconciler.core.runs import Run, RunStatus
from reconciler.core.state import StackState
from reconciler.core.verdicts import Judgement, Notice, Verdict
from reconciler.store.protocol import AuditEvent

QUEUED = "run-queued"
APPLYING = "apply-started"
APPLIED = "apply-ended"
JUDGED = "policy-decided"
NOTIFIED = "notified"


def about_run(event: str, run: Run, now: datetime) -> AuditEvent:
    """Put what is known of a run into a row of the audit."""
    details = {
        "run": run.id,
        "stack": str(run.stack),
        "kind": run.kind.value,
        "status": run.status.value,
        "reason": run.reason,
        "revision": run.revision,
        "digest": run.digest,
        "planDigest": run.plan_digest,
        "confirmedBy": run.confirmed_by,
    }
    return AuditEvent(event, now, run.person, {key: value for key, value in details.items() if value is not None})


def about_push(state: StackState, verdicts: Iterable[Verdict], now: datetime) -> list[AuditEvent]:
    """Put what each push policy said of a change into a row of the audit."""
    assert state.desired is not None  # noqa: S101 - a stack that left Git has nothing to push
    about = {"stack": str(state.id), "revision": state.desired.revision, "digest": state.desired.digest}
    return [AuditEvent(JUDGED, now, state.desired.person, {**about, **_said(verdict)}) for verdict in verdicts]


def about_notice(run: Run, policy: str, notice: Notice, now: datetime) -> AuditEvent:
    """Put something that a notification policy told into a row of the audit."""
    details = {
        "run": run.id,
        "stack": str(run.stack),
        "status": run.status.value,
        "policy": policy,
        "severity": notice.severity.value,
        "message": notice.message,
    }
    return AuditEvent(NOTIFIED, now, run.person, details)


def about_silence(run: Run, policy: str, error: str, now: datetime) -> AuditEvent:
    """Put it into a row of the audit that a notification policy could not be evaluated."""
    details = {"run": run.id, "stack": str(run.stack), "status": run.status.value, "policy": policy, "error": error}
    return AuditEvent(NOTIFIED, now, run.person, details)


def about_judgement(run: Run, judgement: Judgement, now: datetime) -> list[AuditEvent]:
    """Put what each policy said of a run into a row of the audit."""
    about = {"run": run.id, "stack": str(run.stack), "digest": judgement.digest, "planDigest": judgement.plan_digest}
    return [
        AuditEvent(
            JUDGED,
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

_BEGINS = frozenset({RunStatus.PLANNING, RunStatus.APPLYING})


def log_run(run: Run) -> None:
    """Say how a run stands; where something begins, why it runs."""
    if run.status in _BEGINS:
        said = "; ".join(f"{why.component}: {why.summary}" for why in run.why) or "asked for"
    else:
        said = run.message
    words = str(run.status) if run.status in _BEGINS else f"{run.status}, {run.reason}"
    # Where the message is the reason in small letters it says nothing more.
    more = f": {said}" if said and said.lower() != str(run.reason).lower() else ""
    _log.info("run %s of %s: %s%s", run.id, run.stack, words, more)
