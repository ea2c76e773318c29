"""The audit of everything that was admitted, approved and asked for."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import StringConstraints

from reconciler.store.stored import AuditFilter, AuditRow
from reconciler.web.api.auth import Caller, CallerIn, PortsIn, Right
from reconciler.web.api.errors import not_found
from reconciler.web.api.paging import CursorIn, LimitIn, of_number, page
from reconciler.web.api.schemas.admission import AuditCheckJson, AuditJson
from reconciler.web.api.schemas.shapes import Moment, Page
from spaces.names import ROOT

router = APIRouter(prefix="/audit", tags=["admission"])

_MOST_KEPT = 300
"""More rows than an explanation has."""
_HEAD = r"^[1-9][0-9]{0,17}:[0-9a-f]{64}$"


@router.get("")
def list_audit(
    ports: PortsIn,
    caller: CallerIn,
    *,
    event: Annotated[str | None, Query(max_length=60, description="Only rows of this event.")] = None,
    person: Annotated[str | None, Query(max_length=400, description="Only rows of this person.")] = None,
    stack: Annotated[str | None, Query(max_length=130, description="Only rows about this stack.")] = None,
    run: Annotated[str | None, Query(max_length=26, description="Only rows about this run, by its whole id.")] = None,
    revision: Annotated[str | None, Query(max_length=64, description="Only rows about this revision, whole.")] = None,
    since: Annotated[Moment | None, Query(description="Only rows from this time on, with its zone.")] = None,
    until: Annotated[Moment | None, Query(description="Only rows up to this time, with its zone.")] = None,
    newest: Annotated[bool, Query(description="The newest first.")] = False,
    limit: LimitIn = 100,
    cursor: CursorIn = None,
) -> Page[AuditJson]:
    """List the audit, oldest first. It tells of everything, and is for whoever may read everything."""
    _see_audit(caller)
    wanted = AuditFilter(event=event, person=person, stack=stack, run=run, revision=revision, since=since, until=until)
    edge = of_number(cursor)
    with ports.store.reading() as reading:
        if newest:
            found = reading.newest_audit(replace(wanted, below=edge), limit + 1)
        else:
            found = reading.audit(edge or 0, limit + 1, wanted)
    return page(found, limit, lambda row: str(row.number), _row)


@router.get("/check")
def check_audit(
    ports: PortsIn,
    caller: CallerIn,
    kept: Annotated[
        list[Annotated[str, StringConstraints(pattern=_HEAD)]] | None,
        Query(max_length=_MOST_KEPT, description="Earlier rows, NUMBER:HASH, which must still be in the chain."),
    ] = None,
) -> AuditCheckJson:
    """Check whether any row of the audit was changed, removed or inserted."""
    _see_audit(caller)
    rows = dict(row.split(":") for row in kept or ())
    with ports.store.reading() as reading:
        fault = reading.audit_fault({int(number): hashed for number, hashed in rows.items()})
        length, head = reading.audit_head()
    return AuditCheckJson(whole=fault is None, fault=fault, head=f"{length}:{head}")


def sees_audit(caller: Caller) -> bool:
    """Whether the audit is for this caller."""
    return caller.allows(Right.AUDIT_READ, ROOT) and caller.sees_everything


def _see_audit(caller: Caller) -> None:
    if not sees_audit(caller):
        raise not_found("audit")


def _row(row: AuditRow) -> AuditJson:
    return AuditJson(
        number=row.number,
        event=row.event.event,
        at=row.event.at,
        person=row.event.person,
        details=dict(row.event.details),
        previous=row.previous,
        hash=row.hash,
    )
