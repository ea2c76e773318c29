"""What notifiers were told: the deliveries that wait, were taken or were given up, and sending one again."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Query

from reconciler.core.runs import RunId
from reconciler.notifying.messages import event_of
from reconciler.refusals import OperationRefused, Refusal
from reconciler.runs.audit import Audited
from reconciler.store.queries import Reading
from reconciler.store.stored import AuditEvent, AuditFilter, AuditRow, OutboxEntry
from reconciler.web.api.auth import Caller, CallerIn, PortsIn, Right
from reconciler.web.api.errors import not_found
from reconciler.web.api.paging import LimitIn, Part, PartIn, SpaceIn, SubtreeIn, named_spaces, of_number, page
from reconciler.web.api.schemas.notifications import DeliveryJson, ResentJson
from reconciler.web.api.schemas.shapes import Page
from spaces.names import SpaceName

router = APIRouter(prefix="/notifications", tags=["notifications"])

_ROWS = 500
_MOST = 20
"""How many times as many rows are looked through for those that somebody may see."""
_EVER = timedelta(days=3650)

NotifierIn = Annotated[str | None, Query(max_length=130, description="Only those of this notifier, as `space/name`.")]


@router.get("/waiting")
def list_waiting_notifications(  # noqa: PLR0917
    ports: PortsIn,
    caller: CallerIn,
    space: SpaceIn = None,
    subtree: SubtreeIn = False,  # noqa: FBT002
    notifier: NotifierIn = None,
    limit: LimitIn = 100,
) -> Page[DeliveryJson]:
    """List what is still to be sent about runs in the space: at most `limit` deliveries, the longest due first."""
    wanted = named_spaces(ports.tree(), caller, Part(space, subtree))
    with ports.store.reading() as reading:
        found = reading.deliveries(ports.now() + _EVER, _MOST * _ROWS)
    asked = [
        each
        for each in found
        if notifier in {None, each.receiver} and (wanted is None or each.run.stack.space in wanted)
    ]
    able = [each for each in asked if _sees(caller, each.receiver or "", each.run.stack.space)]
    return Page(items=[_waiting(each) for each in able[:limit]])


@router.get("")
def list_notifications(
    ports: PortsIn,
    caller: CallerIn,
    part: PartIn,
    *,
    notifier: NotifierIn = None,
    failed: Annotated[bool, Query(description="Only those that were given up.")] = False,
) -> Page[DeliveryJson]:
    """List the deliveries that were taken or given up, the newest first.

    What is about no run is in the space of its notifier.
    """
    wanted = named_spaces(ports.tree(), caller, part)
    found: list[DeliveryJson] = []
    looked, last = 0, ""
    with ports.store.reading() as reading:
        for row in _rows(reading, of_number(part.cursor)):
            looked, last = looked + 1, str(row.number)
            shown = _shown(caller, row)
            if shown is None or notifier not in {None, shown.notifier} or (failed and shown.error is None):
                continue
            if wanted is not None and (shown.stack or shown.notifier).partition("/")[0] not in wanted:
                continue
            found.append(shown)
            if len(found) > part.limit:
                break
    listed = page(found, part.limit, lambda each: str(each.number), lambda each: each)
    if listed.next is None and looked == _MOST * _ROWS:
        # There may be more that was not looked at.
        return listed.model_copy(update={"next": last})
    return listed


@router.post("/{number}/resend")
def resend_notification(ports: PortsIn, caller: CallerIn, number: int) -> ResentJson:
    """Send a notice about a run again, to the same notifier. 409: the run has gone on since, or is not known."""
    what = f"delivery {number}"
    with ports.store.reading() as reading:
        rows = reading.audit(number - 1, 1, AuditFilter(event=Audited.NOTIFIED)) if 0 < number < 2**31 else []
        shown = _shown(caller, rows[0]) if rows and rows[0].number == number else None
        if shown is None:
            raise not_found(what)
        caller.require(Right.NOTIFIER_UPDATE, SpaceName(shown.notifier.partition("/")[0]), what)
        run = reading.run(RunId(shown.run)) if shown.run is not None else None
    if run is None or event_of(run) != shown.event:
        why = "it is not about a run" if shown.run is None else "the run has gone on since, or is not known any more"
        raise OperationRefused(Refusal.NOT_REPEATABLE, f"{what} cannot be sent again: {why}")
    now = ports.now()
    with ports.store.writing() as transaction:
        transaction.add_deliveries(OutboxEntry(f"{run.id} {run.status}", run, now, 0), [shown.notifier], now)
        details = {"notifier": shown.notifier, "event": shown.event, "run": run.id, "stack": str(run.stack)}
        transaction.append_audit([AuditEvent(Audited.NOTIFICATION_RESENT, now, str(caller.person), details)])
    ports.wake()
    return ResentJson(notifier=shown.notifier, run=run.id, event=shown.event)


def _rows(reading: Reading, below: int | None) -> Iterator[AuditRow]:
    for _ in range(_MOST):
        found = reading.newest_audit(AuditFilter(event=Audited.NOTIFIED, below=below), _ROWS)
        yield from found
        if len(found) < _ROWS:
            return
        below = found[-1].number


def _sees(caller: Caller, notifier: str, stack: SpaceName | None) -> bool:
    """Whether somebody may know of a delivery: they read the notifier, and the runs where it is about one."""
    notifiers, runs = caller.spaces(Right.NOTIFIER_READ), caller.spaces(Right.RUN_READ)
    if notifiers is not None and notifier.partition("/")[0] not in notifiers:
        return False
    return stack is None or runs is None or stack in runs


def _shown(caller: Caller, row: AuditRow) -> DeliveryJson | None:
    """Return a delivery; None where a policy spoke and no notifier, or where the caller may not know of it."""
    details = row.event.details
    notifier, stack = details.get("notifier"), details.get("stack")
    space = SpaceName(str(stack).partition("/")[0]) if stack is not None else None
    if not isinstance(notifier, str) or not _sees(caller, notifier, space):
        return None
    return DeliveryJson(
        number=row.number,
        notifier=notifier,
        event=str(details.get("event")),
        run=details.get("run"),
        stack=stack,
        at=row.event.at,
        attempts=None,
        error=details.get("error"),
    )


def _waiting(entry: OutboxEntry) -> DeliveryJson:
    return DeliveryJson(
        number=None,
        notifier=entry.receiver or "",
        event=str(event_of(entry.run)),
        run=entry.run.id,
        stack=str(entry.run.stack),
        at=entry.at,
        attempts=entry.attempt,
        error=None,
    )
