"""The table of stacks, and the page of one stack."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from reconciler.core.state import ConditionStatus, ConditionType, Sync
from reconciler.refusals import OperationRefused
from reconciler.web.api import convert, drift, stacks
from reconciler.web.api.auth import Caller, PortsIn, Right
from reconciler.web.api.dependencies import neighbourhood
from reconciler.web.api.errors import ApiError
from reconciler.web.api.explain import explain_stack
from reconciler.web.api.paging import Part
from reconciler.web.api.schemas.stacks import StackDetailJson
from reconciler.web.api.told import Told
from reconciler.web.pages.choices import CursorIn, Poll, PollIn, TextIn, TimeIn, choice, labels, moment, space_names
from reconciler.web.pages.render import address, mark, redirect, render, unchanged
from reconciler.web.pages.route import PageRoute
from reconciler.web.pages.steering import steer
from reconciler.web.pages.viewer import OwnFieldsIn, Viewer, ViewerIn
from reconciler.web.ports import Ports
from reconciler.web.views import graph
from reconciler.web.views.actions import is_active, stack_actions, stack_forms
from reconciler.web.views.drift import drift_view
from reconciler.web.views.standing import stack_standing
from reconciler.web.views.tones import stack_tone
from spaces.model.tools import ToolName
from spaces.names import SpaceName, StackId

router = APIRouter(prefix="/stacks", route_class=PageRoute)

_PAGE = 50
_RUNS = 10
_RESOURCES = 200
_NO_POLL = Poll()
_CONDITIONS = {
    "Ready=True": "ready",
    "Ready=False": "not ready",
    "Reconciling=True": "reconciling",
    "Stalled=True": "stalled",
    "Drifted=True": "drifted",
    "SourceVerified=False": "source not verified",
}
assert all(  # noqa: S101 - the API knows them
    ConditionType(kind) and ConditionStatus(status) for kind, status in (it.split("=") for it in _CONDITIONS)
)


@router.get("")
def stacks_page(
    request: Request,
    ports: PortsIn,
    viewer: ViewerIn,
    poll: PollIn,
    *,
    space: TextIn = "",
    subtree: bool = False,
    tool: TextIn = "",
    sync: TextIn = "",
    condition: TextIn = "",
    label: TextIn = "",
    q: TextIn = "",
    cursor: CursorIn = "",
) -> Response:
    """Show a page of the table, or only its rows."""
    listed = stacks.list_stacks(
        ports,
        viewer.caller,
        Part(space or None, subtree, _PAGE, cursor or None),
        label=labels(label),
        sync=choice(Sync, "sync", sync),
        tool=choice(ToolName, "tool", tool),
        condition=[condition] if condition else None,
        q=q or None,
    )
    now = mark(listed, now=ports.now())
    if poll.knows(now):
        return unchanged()
    filters = {
        "space": space,
        "subtree": subtree,
        "tool": tool,
        "sync": sync,
        "condition": condition,
        "label": label,
        "q": q,
    }
    values: dict[str, Any] = {"listed": listed, "filters": filters, "cursor": cursor, "mark": now}
    if poll.part:
        answer = render(request, viewer, "stacks_rows.html", **values)
        if not poll.seen:
            answer.headers["HX-Push-Url"] = address("/stacks", **filters)
        return answer
    return render(
        request,
        viewer,
        "stacks.html",
        nav="stacks",
        spaces=space_names(ports, viewer.caller),
        tools=list(ToolName),
        syncs=list(Sync),
        conditions=_CONDITIONS,
        **values,
    )


@router.get("/{space}/{name}")
def stack_page(  # noqa: PLR0917
    request: Request,
    ports: PortsIn,
    viewer: ViewerIn,
    space: str,
    name: str,
    poll: PollIn,
) -> Response:
    """Show a stack, or only what has changed while one looks at it."""
    return _show(request, ports, viewer, space, name, poll=poll)


@router.get("/{space}/{name}/explain")
def explain_page(  # noqa: PLR0917
    request: Request,
    ports: PortsIn,
    viewer: ViewerIn,
    space: str,
    name: str,
    at: TimeIn = "",
    resource: Annotated[str, Query(max_length=2000)] = "",
) -> Response:
    """Show how a stack came to be what it is, or was at a time, and where one of its resources comes from."""
    told, wrong = None, ""
    try:
        told = explain_stack(ports, viewer.caller, space, name, at=moment("at", at), resource=resource or None)
    except ApiError as error:
        if not resource or error.status is not HTTPStatus.NOT_FOUND:
            raise
        told, wrong = explain_stack(ports, viewer.caller, space, name, at=moment("at", at)), error.detail
    shown = {"told": told, "wrong": wrong, "asked": {"at": at, "resource": resource}}
    return render(request, viewer, "explain.html", nav="stacks", space=space, name=name, **shown)


@router.get("/{space}/{name}/adopt")
def adopt_page(request: Request, ports: PortsIn, viewer: ViewerIn, space: str, name: str) -> Response:
    """Show what to change in Git so that it says what the real world has."""
    found = drift.show_adoption(ports, viewer.caller, space, name)
    return render(request, viewer, "adopt.html", nav="stacks", stack=f"{space}/{name}", items=found.items)


@router.post("/{space}/{name}/{verb}")
def act(  # noqa: PLR0917
    request: Request, ports: PortsIn, viewer: ViewerIn, space: str, name: str, verb: str, sent: OwnFieldsIn
) -> Response:
    """Do something with a stack, as the API does; what is refused is said on its page."""
    try:
        return redirect(steer(ports, viewer.caller, space, name, verb, sent))
    except OperationRefused as refused:
        said = refused.message
    except ApiError as error:
        if error.status is not HTTPStatus.UNPROCESSABLE_ENTITY:
            raise
        said = error.detail
    return _show(request, ports, viewer, space, name, refused=said)


def _show(
    request: Request,
    ports: Ports,
    viewer: Viewer,
    space: str,
    name: str,
    *,
    poll: Poll = _NO_POLL,
    refused: str = "",
) -> Response:
    caller = viewer.caller
    stack = stacks.get_stack(ports, caller, space, name)
    where = SpaceName(stack.space)
    sees_runs = caller.allows(Right.RUN_READ, where)
    recent = stacks.list_runs_of_stack(ports, caller, space, name, limit=_RUNS) if sees_runs else None
    now = mark(stack, recent, now=ports.now())
    if poll.knows(now):
        return unchanged()
    values: dict[str, Any] = {
        "stack": stack,
        "standing": stack_standing(stack),
        "recent": recent,
        "actions": stack_actions(stack, caller.person, lambda right: caller.allows(Right(right), where)),
        "follow": stack.last_run.id if stack.last_run is not None and is_active(stack.last_run.status) else "",
        "mark": now,
        "refused": refused,
    }
    if poll.part:
        return render(request, viewer, "stack_state.html", **values)
    return render(
        request,
        viewer,
        "stack.html",
        HTTPStatus.CONFLICT if refused else HTTPStatus.OK,
        nav="stacks",
        picture=_picture(ports, caller, stack),
        resources=stacks.list_resources(ports, caller, space, name, limit=_RESOURCES),
        drift=drift_view(drift.drift_of(ports, caller, StackId(where, stack.name))),
        outputs=stacks.list_outputs(ports, caller, space, name, limit=1000).items,
        effective=_effective(ports, caller, stack),
        forms=stack_forms(stack, lambda right: caller.allows(Right(right), where)),
        **values,
    )


def _picture(ports: Ports, caller: Caller, stack: StackDetailJson) -> graph.Picture | None:
    here = StackId(SpaceName(stack.space), stack.name)
    with ports.store.reading() as reading:
        around = neighbourhood(reading, caller, here)
    if not around.edges:
        return None
    told = Told.of(caller)
    shown = [convert.stack_json(state, None, told) for state in around.states.values()]
    nodes = [graph.Node(each.id, stack_tone(each), each.reason) for each in shown]
    edges = [(str(parent), str(child)) for parent, child in around.edges]
    return graph.draw(stack.id, nodes, edges, around.hidden)


def _effective(ports: Ports, caller: Caller, stack: StackDetailJson) -> Any:
    """Return the effective configuration; None for a stack that is not in force."""
    try:
        return stacks.get_effective(ports, caller, stack.space, stack.name)
    except ApiError as error:
        if error.status is not HTTPStatus.NOT_FOUND:
            raise
        return None
