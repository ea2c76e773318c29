"""Why a stack is what it is, now or at a time: from the commit over its admission and the policies to the apply.

Each link is a row of the audit, found by the run and the revision that it is about. So the answer takes as long with
100,000 runs as with ten.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Query

from reconciler.core.identifiers import run_id
from reconciler.core.runs import Run, RunId, RunKind, RunStatus
from reconciler.runs.audit import Approvals, Audited
from reconciler.store.queries import Reading
from reconciler.store.stored import AuditFilter, AuditRow, RunFilter
from reconciler.web.api import convert
from reconciler.web.api.auth import CallerIn, PortsIn, Right
from reconciler.web.api.errors import not_found
from reconciler.web.api.schemas.explain import AuthorRunJson, ExplainJson, LinkJson, ProvenanceJson
from reconciler.web.api.schemas.shapes import Moment
from reconciler.web.api.stacks import find_stack
from reconciler.web.api.told import Told
from spaces.names import ROOT, StackId

router = APIRouter(prefix="/stacks", tags=["stacks"])

_APPLIES = RunFilter(statuses={RunStatus.FINISHED}, kinds={RunKind.TRACKED, RunKind.DESTROY})
_AT_ONCE = 4
"""How many runs are read at once: mostly the first two are wanted."""
_PAGE = 20
_MOST = 200
"""The most rows about one run. A run has a row for each policy and review, beside some of its own."""

_ADMISSION = ("trusted", "admitted")
_HELD = ("held", Approvals.ACCEPTED.value)


@router.get("/{space}/{name}/explain")
def explain_stack(
    ports: PortsIn,
    caller: CallerIn,
    space: str,
    name: str,
    *,
    at: Annotated[Moment | None, Query(description="As it was at this time, with its zone. Default: now.")] = None,
    resource: Annotated[
        str | None, Query(max_length=2000, description="Also where this resource comes from, by its address.")
    ] = None,
) -> ExplainJson:
    """Return which run made a stack what it is, and the chain of the audit from the commit to its apply."""
    now = at or datetime.now(UTC)
    with ports.store.reading() as reading:
        stack = find_stack(reading, caller, space, name).id
        caller.require(Right.RUN_READ, stack.space, f"stack {stack}")
        run, rows = explained(reading, stack, now)
        about = None if resource is None else _provenance(reading, stack, resource)
    told, whole = Told.of(caller), caller.allows(Right.AUDIT_READ, ROOT) and caller.sees_everything
    return ExplainJson(
        stack=str(stack),
        at=now,
        run=None if run is None else convert.run_json(run, told),
        chain=[_link(row, told, whole=whole) for row in rows],
        resource=about,
    )


def explained(reading: Reading, stack: StackId, at: datetime) -> tuple[Run | None, list[AuditRow]]:
    """Return the run that made a stack what it was at a time, and the rows of the audit that lead to it, in order."""
    run, before = _applied(reading, stack, at)
    return run, _rows(reading, run, before) if run is not None else []


def _applied(reading: Reading, stack: StackId, at: datetime) -> tuple[Run | None, Run | None]:
    """Return the last run that had applied something by then, or had found nothing to do, and the one before it."""
    wanted = replace(_APPLIES, stack=stack)
    before: str = run_id(at, b"\xff" * 10)
    found: list[Run] = []
    while len(found) < 2:
        page = reading.list_runs(wanted, before, _AT_ONCE)
        found += [run for run in page if run.finished_at is not None and run.finished_at <= at]
        if len(page) < _AT_ONCE:
            break
        before = page[-1].id
    first, second, *_ = (*found, None, None)
    return first, second


def _rows(reading: Reading, run: Run, before: Run | None) -> list[AuditRow]:
    """Return the rows about a run, and about how what it applied came into force, in their order."""
    rows = reading.audit(0, _MOST, AuditFilter(run=run.id))
    first = rows[0].number if rows else None
    rows += reading.newest_audit(AuditFilter(revision=run.revision, events=_ADMISSION, below=first), 1)
    # By numbers: so the rows of all other runs of the stack are not looked through.
    earlier = reading.audit(0, 1, AuditFilter(run=before.id)) if before is not None else []
    between = AuditFilter(stack=str(run.stack), events=_HELD, above=earlier[0].number if earlier else None, below=first)
    rows += reading.newest_audit(between, _PAGE)
    return sorted({row.number: row for row in rows if row.event.event != Audited.NOTIFIED}.values(), key=_number)


def _number(row: AuditRow) -> int:
    return row.number


def _link(row: AuditRow, told: Told, *, whole: bool) -> LinkJson:
    event = row.event
    words = _words(row, whole=whole)
    return LinkJson(
        number=row.number,
        at=event.at,
        event=event.event,
        person=event.person,
        words=told.message(words, None),
        hash=row.hash,
        intact=row.intact,
    )


def _words(row: AuditRow, *, whole: bool) -> str:
    """Word a row for who may read the stack and its runs; on what a right rests is for who may read the whole audit."""
    event, details = row.event.event, row.event.details
    if event in _ADMISSION or event in _HELD:
        return _admission(row, whole=whole)
    if event == Audited.POLICY_DECIDED:
        said = "; ".join([*details.get("messages", ()), *details.get("warnings", ())])
        return f"policy {details.get('policy')} says {details.get('result')}" + (f": {said}" if said else "")
    begins, source = event in {Audited.RUN_QUEUED, Audited.RUN_REQUESTED}, details.get("source")
    parts = [
        f"digest {details['digest'][:12]}" if event != Audited.APPLY_ENDED and "digest" in details else "",
        f"source {source['repository'] or 'here'} at {source['revision'][:12]}" if begins and source else "",
        f"plan {details['planDigest'][:12]}" if details.get("planDigest") else "",
        f"confirmed by {details['confirmedBy']}" if details.get("confirmedBy") else "",
        f"{details.get('status')}, {details.get('reason')}" if event == Audited.APPLY_ENDED else "",
        str(details.get("review", "")),
        str(details.get("note", "")),
        str(details.get("because", "")) if whole else "",
    ]
    return "; ".join(part for part in parts if part)


def _admission(row: AuditRow, *, whole: bool) -> str:
    event, details = row.event.event, row.event.details
    change = details.get("change")
    if event == "trusted":
        return f"revision {details['revision'][:12]}; the first revision is trusted whole"
    if isinstance(change, dict):
        told = [f"{change.get('verb')} of revision {str(change.get('revision'))[:12]}"]
        told += [str(change.get("message"))] if whole else []
        return "; ".join(told)
    parts = [f"revision {details['revision'][:12]}"]
    if whole:
        parts += [str(details.get("because", "")), *details.get("rights", ())]
    return "; ".join(part for part in parts if part)


def _provenance(reading: Reading, stack: StackId, address: str) -> ProvenanceJson:
    found = reading.provenance(stack, address)
    if found is None:
        raise not_found(f"resource {address[:200]} of stack {stack}")
    return ProvenanceJson(address=address, made=_author(reading, found.made), changed=_author(reading, found.changed))


def _author(reading: Reading, name: RunId | None) -> AuthorRunJson | None:
    if name is None:
        return None
    run = reading.run(name)
    if run is None:
        return AuthorRunJson(run=name, revision=None, source=None, person=None, at=None)
    return author_json(run)


def author_json(run: Run) -> AuthorRunJson:
    """Return a run as the one that made or changed a resource."""
    source = run.source.revision if run.source is not None else None
    return AuthorRunJson(run=run.id, revision=run.revision, source=source, person=run.person, at=run.finished_at)
