"""Revisions of the configuration that made stacks run, and how far each got."""

from __future__ import annotations

from collections.abc import Mapping

from fastapi import APIRouter

from reconciler.core.runs import ACTIVE, Run, RunId, RunKind, RunStatus
from reconciler.store.stored import RevisionProgress, RunFilter
from reconciler.web.api.auth import Caller, CallerIn, PortsIn, Right
from reconciler.web.api.paging import PartIn, chosen_spaces, of_runs, page
from reconciler.web.api.schemas.runs import RevisionJson
from reconciler.web.api.schemas.shapes import Page
from reconciler.web.ports import Ports
from spaces.diagnostics import printable
from spaces.names import Revision

router = APIRouter(prefix="/revisions", tags=["runs"])

_KINDS = (RunKind.TRACKED, RunKind.PROPOSED)
_BAD = (RunStatus.FAILED, RunStatus.INTERRUPTED)


@router.get("")
def list_revisions(
    ports: PortsIn,
    caller: CallerIn,
    part: PartIn,
) -> Page[RevisionJson]:
    """List the revisions that made stacks run, newest first, as far as the caller may read the runs."""
    spaces = chosen_spaces(ports.tree(), caller, Right.RUN_READ, part)
    with ports.store.reading() as reading:
        found = reading.list_revisions(RunFilter(spaces=spaces, kinds=_KINDS), of_runs(part.cursor), part.limit + 1)
        runs = reading.runs_by_id({name for it in found for name in _named(it)}) if found else {}
    return page(found, part.limit, lambda it: it.newest, lambda it: _shown(ports, caller, runs, it))


def summary_of(ports: Ports, caller: Caller, revision: str) -> str | None:
    """Return what a commit says in its first line; only readers of everything are told, as it may name anything."""
    found = ports.summary(Revision(revision)) if caller.sees_everything else None
    return printable(found) if found else None


def _named(progress: RevisionProgress) -> tuple[RunId, RunId, RunId]:
    return progress.newest, progress.standing, progress.oldest


def _shown(ports: Ports, caller: Caller, known: Mapping[RunId, Run], progress: RevisionProgress) -> RevisionJson:
    runs = [known[name] for name in _named(progress) if name in known]

    def number(*statuses: RunStatus) -> int:
        return sum(progress.stacks.get(status, 0) for status in statuses)

    return RevisionJson(
        revision=progress.revision,
        summary=summary_of(ports, caller, progress.revision),
        people=list(dict.fromkeys(run.person for run in runs if run.person)),
        stacks=sum(progress.stacks.values()),
        applied=number(RunStatus.FINISHED),
        running=number(*(ACTIVE - {RunStatus.UNCONFIRMED})),
        waiting=number(RunStatus.UNCONFIRMED),
        failed=number(*_BAD),
        run=progress.standing,
        started_at=min(run.created_at for run in runs),
        finished_at=progress.ended_at,
    )
