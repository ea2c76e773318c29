"""What the audit keeps of what the service does by itself: each decision to run, and each apply."""

from __future__ import annotations

from datetime import datetime

from reconciler.core.runs import Run
from reconciler.core.verdicts import Judgement
from reconciler.store.protocol import AuditEvent

QUEUED = "run-queued"
APPLYING = "apply-started"
APPLIED = "apply-ended"
JUDGED = "policy-decided"


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


def about_judgement(run: Run, judgement: Judgement, now: datetime) -> list[AuditEvent]:
    """Put what each policy said of a run into a row of the audit."""
    about = {"run": run.id, "stack": str(run.stack), "digest": judgement.digest, "planDigest": judgement.plan_digest}
    return [
        AuditEvent(
            JUDGED,
            now,
            run.person,
            {
                **about,
                "policy": verdict.policy,
                "type": verdict.type,
                "enforcement": "mandatory" if verdict.mandatory else "advisory",
                "result": verdict.result.value,
                "messages": list(verdict.messages),
                "warnings": list(verdict.warnings),
            },
        )
        for verdict in judgement.verdicts
    ]
