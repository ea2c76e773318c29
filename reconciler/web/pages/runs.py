"""The table of runs, and the page of one run with its plan and its log."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import PlainTextResponse

from reconciler.core.runs import ACTIVE, RunId, RunKind, RunStatus
from reconciler.refusals import OperationRefused
from reconciler.web.api import logs, runs
from reconciler.web.api.auth import Caller, PortsIn, Right
from reconciler.web.api.errors import ApiError, not_found
from reconciler.web.api.paging import Part
from reconciler.web.api.revisions import summary_of
from reconciler.web.api.schemas.runs import PlanJson, ReplanRequest, ReviewRequest, RunJson, WholeRunJson
from reconciler.web.pages.choices import CursorIn, Poll, PollIn, TextIn, choice, labels, shaped, space_names
from reconciler.web.pages.render import mark, redirect, render, unchanged
from reconciler.web.pages.route import PageRoute
from reconciler.web.pages.viewer import OwnFieldsIn, Viewer, ViewerIn
from reconciler.web.ports import Ports
from reconciler.web.views import changes, log
from reconciler.web.views.actions import can_be_reviewed, run_actions, run_forms
from reconciler.web.views.phases import phases
from reconciler.web.views.standing import run_standing
from spaces.names import SpaceName

router = APIRouter(prefix="/runs", route_class=PageRoute)

_PAGE = 50
_LONGEST_NOTE = 2000
_NO_POLL = Poll()

LineIn = Annotated[int | None, Query(ge=1, le=10**9)]


@router.get("")
def runs_page(
    request: Request,
    ports: PortsIn,
    viewer: ViewerIn,
    poll: PollIn,
    *,
    space: TextIn = "",
    subtree: bool = False,
    status: TextIn = "",
    kind: TextIn = "",
    label: TextIn = "",
    cursor: CursorIn = "",
) -> Response:
    """Show a page of the table, or only its rows."""
    wanted, of_kind = choice(RunStatus, "status", status), choice(RunKind, "kind", kind)
    listed = runs.list_runs(
        ports,
        viewer.caller,
        Part(space or None, subtree, _PAGE, cursor or None),
        label=labels(label),
        status=[wanted] if wanted else None,
        kind=[of_kind] if of_kind else None,
    )
    now = mark(listed, now=ports.now())
    if poll.knows(now):
        return unchanged()
    values: dict[str, Any] = {
        "listed": listed,
        "filters": {"space": space, "subtree": subtree, "status": status, "kind": kind, "label": label},
        "cursor": cursor,
        "mark": now,
    }
    if poll.part:
        return render(request, viewer, "runs_rows.html", **values)
    names = space_names(ports, viewer.caller)
    choices = {"spaces": names, "statuses": list(RunStatus), "kinds": list(RunKind)}
    return render(request, viewer, "runs.html", nav="runs", **choices, **values)


@router.get("/{run}")
def run_page(
    request: Request,
    ports: PortsIn,
    viewer: ViewerIn,
    run: str,
    poll: PollIn,
    *,
    line: LineIn = None,
    find: TextIn = "",
    skip: Annotated[int, Query(ge=0, le=10**9)] = 0,
) -> Response:
    """Show a run: the log around a line, or what is found in it, and the plan after `skip` resources."""
    return _show(request, ports, viewer, run, line=line, find=find, skip=skip, poll=poll)


@router.get("/{run}/log")
def log_text(ports: PortsIn, viewer: ViewerIn, run: str) -> Response:
    """Return the whole log as text, as it was written."""
    found, _ = runs.glance(ports, viewer.caller, run)
    data, _ = logs.whole(ports, found.id, active=found.is_active)
    headers = {"Content-Disposition": f'inline; filename="{found.id}.log"', "Content-Security-Policy": "sandbox"}
    return PlainTextResponse(data, headers=headers)


@router.get("/{run}/log/more")
def log_more(
    request: Request,
    ports: PortsIn,
    viewer: ViewerIn,
    run: str,
    *,
    after: Annotated[int, Query(ge=0, le=10**9)],
    offset: Annotated[int, Query(ge=0, le=2**40)],
) -> Response:
    """Return the lines that were written since, and the request for the next ones."""
    found, _ = runs.glance(ports, viewer.caller, run)
    data, ended = logs.since(ports, found.id, offset, active=found.is_active)
    added = log.added(data, after, offset, ended=ended)
    if not added.lines and not ended:
        return unchanged()
    return render(request, viewer, "log_lines.html", run=found, log=added, live=not ended)


_VERBS = {
    "through": runs.let_run_through,
    "confirm": runs.confirm_run,
    "discard": runs.discard_run,
    "prioritize": runs.prioritize_run,
    "cancel": runs.cancel_run,
    "retry": runs.retry_run,
}


@router.post("/{run}/{verb}")
def act(request: Request, ports: PortsIn, viewer: ViewerIn, run: str, verb: str, sent: OwnFieldsIn) -> Response:  # noqa: PLR0917
    """Do something with a run, as the API does; what is refused is said on its page."""
    try:
        return redirect(f"/runs/{_done(ports, viewer.caller, run, verb, sent).id}")
    except OperationRefused as refused:
        said = refused.message
    except ApiError as error:
        if error.status is not HTTPStatus.UNPROCESSABLE_ENTITY:
            raise
        said = error.detail
    return _show(request, ports, viewer, run, refused=said)


def _done(ports: Ports, caller: Caller, run: str, verb: str, sent: Mapping[str, str]) -> RunJson:
    if verb in _VERBS:
        return _VERBS[verb](ports, caller, run)
    match verb:
        case "approve" | "reject":
            review = ReviewRequest(approve=verb == "approve", note=sent.get("note", "")[:_LONGEST_NOTE])
            return runs.review_run(ports, caller, run, review)
        case "replan":
            lines = [line.strip() for line in sent.get("targets", "").splitlines()]
            wanted = shaped(ReplanRequest, targets=[line for line in lines if line])
            return runs.replan_run(ports, caller, run, wanted)
        case _:
            raise not_found("such action")


def _show(
    request: Request,
    ports: Ports,
    viewer: Viewer,
    run: str,
    *,
    line: int | None = None,
    find: str = "",
    skip: int = 0,
    poll: Poll = _NO_POLL,
    refused: str = "",
) -> Response:
    caller = viewer.caller
    state, reviews = runs.glance(ports, caller, run)
    now = mark(state.evolve(lease_until=None), reviews)
    if poll.knows(now):
        return unchanged()
    found = runs.get_run(ports, caller, run)
    where, active = SpaceName(found.stack.partition("/")[0]), RunStatus(found.status) in ACTIVE
    reviewed = any(review.person == caller.person for review in found.reviews)
    plan = _plan(ports, viewer, found)
    values: dict[str, Any] = {
        "run": found,
        "standing": run_standing(found),
        "active": active,
        "actions": run_actions(found, lambda right: caller.allows(Right(right), where)),
        "reviewable": can_be_reviewed(found) and caller.allows(Right.RUN_REVIEW, where),
        "effect": runs.review_effect(ports, caller, RunId(found.id)) if reviewed and active else None,
        "phases": phases(found),
        "plan": changes.plan_view(plan, skip) if plan is not None else None,
        "skip": skip,
        "mark": now,
        "refused": refused,
        "summary": summary_of(ports, caller, found.revision),
    }
    if poll.part:
        return render(request, viewer, "run_state.html", **values)
    data, ended = logs.whole(ports, RunId(found.id), active=active)
    shown = log.window(data, around=line, search=find, ended=ended)
    return render(
        request,
        viewer,
        "run.html",
        HTTPStatus.CONFLICT if refused else HTTPStatus.OK,
        nav="runs",
        log=shown,
        live=not ended and not find and shown.last == shown.total,
        line=line,
        find=find,
        forms=run_forms(found, plan, lambda right: caller.allows(Right(right), where)),
        **values,
    )


def _plan(ports: Ports, viewer: Viewer, run: WholeRunJson) -> PlanJson | None:
    try:
        return runs.get_plan(ports, viewer.caller, run.id)
    except ApiError as error:
        if error.status is not HTTPStatus.NOT_FOUND:
            raise
        return None
