"""What the word of the policies means for a run: pure, for a plan that has just ended and for one that waits."""

from __future__ import annotations

from datetime import datetime
from typing import assert_never

from reconciler.core.phases import Leg, Phase
from reconciler.core.reasons import Reason
from reconciler.core.runs import Run, RunEvent, RunKind, RunStatus
from reconciler.core.verdicts import Judgement, Ruling
from reconciler.engine.base import Ending, LegReport

CHANGED_POLICIES = "the policies over it are others now"

AGAINST = {Ruling.DENIED: Reason.POLICY_DENIED, Ruling.REJECTED: Reason.REJECTED_BY_POLICY}
"""The rulings that end a run, each with its reason."""


def ruled(run: Run, judgement: Judgement | None, *, suspended: bool) -> RunEvent:
    """Say what comes after a plan with changes. A run that policies judge never goes on without their word.

    A proposal ends with it, whatever it is.
    """
    proposed = run.kind is RunKind.PROPOSED
    if run.is_guarded and (judgement is None or (judgement.ruling in AGAINST and not proposed)):
        return RunEvent.FAIL
    if proposed:
        return RunEvent.PROPOSE
    waits = judgement is not None and judgement.ruling is Ruling.WAITS
    return RunEvent.AWAIT if waits or run.needs_confirmation or suspended else RunEvent.PROCEED


def after_judgement(run: Run, judgement: Judgement, *, suspended: bool, now: datetime) -> Run:
    """Say what becomes of a run that waits, once its policies were asked."""
    match judgement.ruling:
        case Ruling.DENIED | Ruling.REJECTED:
            reason = AGAINST[judgement.ruling]
            return run.advance(
                RunEvent.DISCARD, reason=reason, message=judgement.message, finished_at=now, to_judge=False
            )
        case Ruling.WAITS:
            return run.evolve(
                reason=Reason.WAITS_FOR_APPROVAL,
                message=judgement.message,
                awaits_approval=True,
                confirmed_by=None,
                to_judge=False,
            )
        case Ruling.PASSES:
            approved = run.awaits_approval and not run.needs_confirmation
            waits = run.evolve(
                reason=Reason.WAITS_FOR_CONFIRMATION,
                message="approved" if run.awaits_approval else run.message,
                awaits_approval=False,
                to_judge=False,
            )
            if suspended or not (approved or run.confirmed_by is not None):
                return waits
            message = f"confirmed by {run.confirmed_by}" if run.confirmed_by is not None else "approved"
            return waits.advance(RunEvent.CONFIRM, phase=Phase.APPLY, reason=Reason.APPLYING, message=message)
        case _:
            assert_never(judgement.ruling)


def as_judged(run: Run, judgement: Judgement | None, report: LegReport) -> Run:
    """Say on the run what its policies said, where that is why it stands as it does."""
    if judgement is None:
        if run.status is RunStatus.FAILED and report.leg is Leg.PLAN and report.ending is Ending.SUCCEEDED:
            return run.evolve(reason=Reason.PLAN_OUTDATED, message=CHANGED_POLICIES)
        return run
    ruling = judgement.ruling
    if run.kind is RunKind.PROPOSED and run.status is RunStatus.FINISHED and judgement.message:
        return run.evolve(message=f"{run.message}; {judgement.message}")
    if run.status is RunStatus.FAILED and ruling in AGAINST:
        return run.evolve(reason=AGAINST[ruling], message=judgement.message)
    if run.status is RunStatus.UNCONFIRMED and ruling is Ruling.WAITS:
        return run.evolve(reason=Reason.WAITS_FOR_APPROVAL, message=judgement.message, awaits_approval=True)
    return run
