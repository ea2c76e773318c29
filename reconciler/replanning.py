"""A new plan in the place of one, for some of its resources only: for people on call who mend one thing at a time."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from reconciler.core.results import Planned
from reconciler.core.runs import Run, RunEvent, RunId, RunKind, RunStatus
from reconciler.core.standing import is_current
from reconciler.operations import REPEATABLE
from reconciler.queueing import find_run, queue, told
from reconciler.refusals import OperationRefused, Refusal, in_force
from reconciler.runs.audit import Asked
from reconciler.runs.transition import advance
from reconciler.store.protocol import Store
from reconciler.tools.registry import tool


def replan(  # noqa: PLR0917
    store: Store, run: RunId, targets: Collection[str], person: str, now: datetime, because: str = ""
) -> Run:
    """Queue a run that plans only some of the changes of another one, and always waits for a person.

    A run that waits makes way for it. Once it has applied, the stack stays out of sync: PartlyApplied.
    """
    chosen = tuple(dict.fromkeys(targets))
    with store.writing() as transaction:
        found = find_run(transaction, run)
        stack, desired = in_force(transaction, found.stack)
        if not tool(desired.tool).abilities.targets:
            raise OperationRefused(
                Refusal.TOOL_CANNOT_TARGET,
                f"{found.stack} cannot be planned in part: {desired.tool} plans all or nothing",
            )
        planned = transaction.planned(run)
        if found.kind is not RunKind.TRACKED or planned is None or found.status is RunStatus.FINISHED:
            raise OperationRefused(Refusal.NOT_REPEATABLE, f"run {run} has no plan that waits or was not applied")
        if found.status not in {RunStatus.UNCONFIRMED, *REPEATABLE, RunStatus.SUPERSEDED}:
            raise OperationRefused(Refusal.STILL_ACTIVE, f"run {run} is {found.status}: wait until it has planned")
        if not is_current(stack, found):
            raise OperationRefused(
                Refusal.OUTDATED, f"run {run} is outdated: the configuration of {found.stack} has changed since"
            )
        unknown = [each for each in chosen if not _plans(planned, each)]
        if unknown:
            raise OperationRefused(Refusal.NOT_PLANNED, f"run {run} changes nothing of {', '.join(unknown)}")
        if found.is_active:
            message = f"{person} had it planned anew for {', '.join(chosen)}"
            advance(transaction, stack, found, RunEvent.SUPERSEDE, now, message=message)
        asked = Asked(person, because, {"targets": list(chosen), "insteadOf": run})
        words = f"replan of run {run} for {', '.join(chosen)} requested"
        queued = queue(transaction, found.stack, asked, now, words, targets=chosen, needs_confirmation=True)
    return told(queued)


def _plans(planned: Planned, address: str) -> bool:
    """Whether a plan changes a resource, or something inside a module, of this address."""
    return any(
        each.address == address or each.address.startswith((f"{address}.", f"{address}[")) for each in planned.changes
    )
