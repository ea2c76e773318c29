"""The ends of legs whose process is gone: the report that it recorded, or what can be said without one.

The engines make these reports; to the loop they are like any other. `LegId` names a leg wherever engines speak of one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from reconciler.core.phases import Leg, Phase
from reconciler.runner.contract.directory import RunDirectory
from reconciler.runner.contract.job import Ending, EndReason, LegReport
from reconciler.runner.processes import descendants
from reconciler.runner.tfstate.backlog import Spool, anything_pending
from reconciler.tools.pulumi.state import unsent


@dataclass(frozen=True, slots=True)
class LegId:
    """Identifies one leg of one attempt."""

    run: str
    attempt: int
    leg: Leg

    def report(self, ending: Ending, reason: str, message: str) -> LegReport:
        """Return a report about a leg that left none itself."""
        phase = Phase.INIT if self.leg is Leg.PLAN else Phase.APPLY
        return LegReport(self.run, self.attempt, self.leg, ending, reason, message, phase)

    def unprepared(self, ending: Ending, reason: str, message: str) -> LegReport:
        """Return a report about a leg whose process was not even started."""
        return replace(
            self.report(ending, reason, message), phase=Phase.PREPARE if self.leg is Leg.PLAN else Phase.APPLY
        )


def report_of_end(directory: RunDirectory, which: LegId, *, canceled: bool) -> LegReport:
    """Return the report of a leg whose process is certainly gone, or never existed."""
    leg, attempt = which.leg, which.attempt
    recorded = directory.read_report(leg, attempt)
    if recorded is not None:
        return replace(recorded, waiting=False)
    # A service may have given the leg up, and been killed before it could report that.
    begun = directory.started(leg, attempt).exists() and not directory.given_up(leg, attempt)
    if leg is Leg.PLAN and canceled:
        return which.report(Ending.CANCELED, EndReason.CANCELED, "canceled")
    if not begun:
        if canceled:
            return which.report(Ending.CANCELED, EndReason.CANCELED, "canceled before it began")
        return never_started(which)
    _kill_left_behind(directory, leg, attempt)
    ending = Ending.INTERRUPTED if leg is Leg.APPLY else Ending.LOST
    report = which.report(ending, EndReason.RUNNER_DIED, "the run's process died")
    if leg is Leg.APPLY:
        report = replace(report, message="the run's process died while applying: how far it came is not known")
        _take_unsent(directory)
    if anything_pending(directory.pending_tfstate):
        report = replace(report, pending_tfstate=directory.pending_tfstate)
    return report


def never_started(which: LegId) -> LegReport:
    """Return the report of a leg that has not begun and never will."""
    return which.report(Ending.LOST, EndReason.NEVER_STARTED, "the run's process never began")


def died(which: LegId, message: str) -> LegReport:
    """Return the report of a leg that was at work where nothing is heard of it any more."""
    ending = Ending.INTERRUPTED if which.leg is Leg.APPLY else Ending.LOST
    return which.report(ending, EndReason.RUNNER_DIED, message)


def unusable(which: LegId, error: OSError) -> LegReport:
    """Return the report of a run whose directory is gone or not writable.

    After an apply began, its result is unknown. A plan without a directory never began: the service that took it was
    killed before it made one.
    """
    if which.leg is Leg.PLAN and isinstance(error, FileNotFoundError):
        return never_started(which)
    return died(which, f"the run's directory cannot be used: {error.strerror}")


def _take_unsent(directory: RunDirectory) -> None:
    """Have the state stored that the run had no time to hand over: Pulumi writes it into the run's own directory."""
    body, pending = unsent(directory.scratch), Spool(directory.pending_tfstate)
    if body is not None and pending.newest_body() != body:
        pending.add("POST", "", body)


def _kill_left_behind(directory: RunDirectory, leg: Leg, attempt: int) -> None:
    """Kill the rest of the session.

    Without a sandbox the tool outlives its runner, and nobody would watch it any more.
    """
    identity = directory.claimant(leg, attempt)
    # A pid in use again belongs to another process. While anything of the old session lives, it cannot be reused.
    if identity is not None and not identity.replaced():
        descendants.kill_session(identity.pid)
