"""The step that a run takes when a leg ends, or when its policies were asked again: pure.

`runs.record` calls these with a report and the judgement of the policies. They return an event, with the fields of the
run that it brings; `reconciler.runs.transition` then lets the run take that step.
"""

from __future__ import annotations

from typing import Any, assert_never

from reconciler.core.dependencies import stood_in
from reconciler.core.drift import takes_away
from reconciler.core.freezing import Frozen
from reconciler.core.phases import Leg
from reconciler.core.reasons import Reason
from reconciler.core.runs import Run, RunEvent, RunKind
from reconciler.core.state import Waits
from reconciler.core.verdicts import Judgement, Ruling
from reconciler.engine.base import Ending, LegReport

NextStep = tuple[RunEvent, dict[str, Any]]
"""An event, and the fields of the run that come with it."""

CHANGED_POLICIES = "the policies over the stack have changed"

AGAINST = {Ruling.DENIED: Reason.POLICY_DENIED, Ruling.REJECTED: Reason.REJECTED_BY_POLICY}
"""The rulings that end a run, each with its reason."""


def after_leg(  # noqa: PLR0911
    run: Run,
    report: LegReport,
    judgement: Judgement | None = None,
    waits: Waits | None = None,
    window: Frozen | None = None,
    *,
    current: bool,
    suspended: bool,
    held_back: bool = False,
) -> NextStep:
    """Return what the end of a leg means for its run.

    `current`: the run is still for what is desired. `waits`: a stack that it depends on is not settled any more.
    `window`: the freeze windows that keep it from going on to apply. `held_back`: a push policy lets it be
    planned only.
    """
    if report.leg is Leg.APPLY:
        return _after_apply(report)
    match report.ending:
        case Ending.SUCCEEDED if run.checks:
            return _after_check(run, report, current=current)
        case Ending.SUCCEEDED:
            if run.kind is RunKind.PROPOSED:
                return _after_proposal(run, report, judgement, waits, current=current, held_back=held_back)
            event, changes = _after_plan(run, report, judgement, waits, current=current, suspended=suspended)
            if event is RunEvent.PROCEED and window is not None:
                return RunEvent.AWAIT, _until_it_ends(window)
            return event, changes
        case Ending.CANCELED if run.cancel_requested or (current and waits is None):
            # Whoever asked for a plan of a branch is told what it made way for.
            return RunEvent.CANCEL, {"message": report.message if run.proposes is None else run.message}
        case Ending.CANCELED:
            return _superseded(waits, current=current)
        case Ending.FAILED if report.reason == Reason.PLAN_OUTDATED:
            return _superseded(waits, current=current)
        case Ending.FAILED | Ending.INTERRUPTED | Ending.LOST:
            return RunEvent.FAIL, {"reason": report.reason, "message": report.message}
        case _:
            assert_never(report.ending)


def _after_check(run: Run, report: LegReport, *, current: bool) -> NextStep:
    if run.cancel_requested:
        return RunEvent.CANCEL, {"message": report.message}
    return (RunEvent.OBSERVE, {}) if current else _superseded(None, current=False)


def _after_apply(report: LegReport) -> NextStep:
    match report.ending:
        case Ending.SUCCEEDED:
            return RunEvent.SUCCEED, {"message": report.message}
        case Ending.INTERRUPTED:
            return RunEvent.INTERRUPT, {"message": report.message}
        case Ending.FAILED | Ending.CANCELED | Ending.LOST:
            return RunEvent.FAIL, {"reason": report.reason, "message": report.message}
        case _:
            assert_never(report.ending)


def _superseded(waits: Waits | None, *, current: bool) -> NextStep:
    depends = current and waits is not None
    return RunEvent.SUPERSEDE, {
        "message": "a stack that it depends on is out of sync" if depends else "the desired configuration has changed"
    }


def _after_plan(
    run: Run, report: LegReport, judgement: Judgement | None, waits: Waits | None, *, current: bool, suspended: bool
) -> NextStep:
    if _finds_nothing(report):
        return RunEvent.FOUND_NOTHING, {"message": report.message}
    if run.cancel_requested:
        return RunEvent.CANCEL, {"message": report.message}
    if not current or waits is not None:
        return _superseded(waits, current=current)
    return _by_its_policies(run, report, judgement, suspended=suspended)


def _finds_nothing(report: LegReport) -> bool:
    return report.planned is not None and not report.planned.has_changes


def _after_proposal(
    run: Run, report: LegReport, judgement: Judgement | None, waits: Waits | None, *, current: bool, held_back: bool
) -> NextStep:
    """Return what comes after the plan of a proposal: it ends with it, whatever its policies say."""
    if run.cancel_requested:
        return RunEvent.CANCEL, {"message": report.message}
    if not current or waits is not None:
        return _superseded(waits, current=current)
    if not _finds_nothing(report) and run.is_guarded and judgement is None:
        return RunEvent.FAIL, {"reason": Reason.PLAN_OUTDATED, "message": CHANGED_POLICIES}
    if _finds_nothing(report):
        message = "nothing would change"
    elif run.proposes is not None:
        message = f"planned only, as {run.proposes.ref} would have it"
    else:
        message = "planned only; a push policy keeps it from applying" if held_back else "planned only, as requested"
    if absent := stood_in(run):
        message = f"{message}; previewAs stood in for {', '.join(absent)}"
    if judgement is not None and judgement.message:
        message = f"{message}; {judgement.message}"
    return RunEvent.PROPOSE, {"message": message}


def _by_its_policies(run: Run, report: LegReport, judgement: Judgement | None, *, suspended: bool) -> NextStep:
    """Return what comes after a plan that still counts. A guarded run never goes on without its policies' answer."""
    if run.is_guarded and judgement is None:
        return RunEvent.FAIL, {"reason": Reason.PLAN_OUTDATED, "message": CHANGED_POLICIES}
    if judgement is not None and judgement.ruling in AGAINST:
        return RunEvent.FAIL, {"reason": AGAINST[judgement.ruling], "message": judgement.message}
    message, asks = report.message, run.needs_confirmation
    if run.gentle and report.planned is not None and takes_away(report.planned):
        message, asks = "to put the drift right it would delete or replace something", True
    if judgement is not None and judgement.asks_for_person:
        message, asks = judgement.message, True
    if judgement is not None and judgement.ruling is Ruling.WAITS:
        return RunEvent.AWAIT, {**_for_approval(judgement), "needs_confirmation": asks}
    if asks or suspended:
        return RunEvent.AWAIT, {"message": message, "needs_confirmation": asks}
    return RunEvent.PROCEED, {"message": "applies the saved plan"}


def while_it_waits(run: Run, judgement: Judgement, window: Frozen | None = None, *, suspended: bool) -> NextStep:
    """Return what becomes of a run that waits, once its policies were asked again. `window` as for `after_leg`."""
    event, changes = _once_judged(run, judgement, suspended=suspended)
    if event is RunEvent.PROCEED and window is not None:
        return RunEvent.AWAIT, {**_until_it_ends(window), "awaits_approval": False}
    return event, changes if event is RunEvent.PROCEED else {**changes, "frozen": False}


def _until_it_ends(window: Frozen) -> dict[str, Any]:
    return {"reason": Reason.FROZEN, "message": f"it goes on by itself: {window}", "frozen": True}


def _once_judged(run: Run, judgement: Judgement, *, suspended: bool) -> NextStep:
    match judgement.ruling:
        case Ruling.DENIED | Ruling.REJECTED:
            return RunEvent.DISCARD, {"reason": AGAINST[judgement.ruling], "message": judgement.message}
        case Ruling.WAITS:
            asks = run.needs_confirmation or judgement.asks_for_person
            return RunEvent.AWAIT, {**_for_approval(judgement), "confirmed_by": None, "needs_confirmation": asks}
        case Ruling.ASKS if run.confirmed_by is None:
            changes = {"message": judgement.message, "awaits_approval": False, "needs_confirmation": True}
            return RunEvent.AWAIT, changes
        case Ruling.ASKS | Ruling.PASSES:
            approved = run.awaits_approval and not run.needs_confirmation
            if suspended or not (approved or run.frozen or run.confirmed_by is not None):
                message = "approved" if run.awaits_approval else run.message
                return RunEvent.AWAIT, {"message": message, "awaits_approval": False}
            message = set_going(run) or "approved"
            return RunEvent.PROCEED, {"message": message, "awaits_approval": False}
        case _:
            assert_never(judgement.ruling)


def set_going(run: Run) -> str | None:
    """Return what lets a run that waits go on; None: nothing of what it says itself."""
    if run.confirmed_by is not None:
        return f"confirmed by {run.confirmed_by}"
    if run.through is not None:
        return f"let through the freeze window by {run.through}"
    return "the freeze window is over" if run.frozen else None


def _for_approval(judgement: Judgement) -> dict[str, Any]:
    return {"reason": Reason.WAITS_FOR_APPROVAL, "message": judgement.message, "awaits_approval": True}
