"""The start page: the spaces with their health, what waits for whom, and the last revisions."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from reconciler.core.runs import RunStatus
from reconciler.web.api import admission, overview, revisions, rollouts, runs, stacks
from reconciler.web.api.auth import PortsIn, Right
from reconciler.web.api.paging import Part
from reconciler.web.pages.choices import PollIn
from reconciler.web.pages.render import mark, redirect, render, unchanged
from reconciler.web.pages.route import PageRoute
from reconciler.web.pages.viewer import OwnFieldsIn, ViewerIn
from reconciler.web.views import spaces, waiting
from reconciler.web.views.problems import problems
from reconciler.web.views.revisions import RevisionView

router = APIRouter(route_class=PageRoute)

_WAITING = 20
_REVISIONS = 8


@router.get("/")
def home(
    request: Request,
    ports: PortsIn,
    viewer: ViewerIn,
    poll: PollIn,
) -> Response:
    """Show the start page, or only what has changed while one looks at it."""
    caller, first = viewer.caller, Part(limit=_WAITING)
    status = overview.configuration_json(ports, caller)
    waits = runs.list_runs(ports, caller, first, status=[RunStatus.UNCONFIRMED])
    stalled = stacks.list_stacks(ports, caller, first, condition=["Stalled=True"])
    drifted = stacks.list_stacks(ports, caller, first, drifted=True)
    held = admission.list_held(ports, caller, first)
    newest = revisions.list_revisions(ports, caller, Part(limit=_REVISIONS))
    values = {
        "status": status,
        "tree": spaces.shown(spaces.space_tree(overview.all_spaces(ports, caller))),
        "mine": waiting.waiting(
            waits.items,
            stalled.items,
            drifted.items,
            held.items,
            rollouts.list_rollouts(ports, caller).items,
            lambda right, space: caller.allows(Right(right), space),
        ),
        "more": {
            "runs": waits.next,
            "stalled": stalled.next,
            "drifted": drifted.next,
            "held": held.next,
            "revisions": newest.next,
        },
        "problems": problems(status.diagnostics),
        "revisions": [RevisionView(each) for each in newest.items],
    }
    now = mark(values, now=ports.now())
    if poll.knows(now):
        return unchanged()
    return render(request, viewer, "home_body.html" if poll.part else "home.html", nav="home", mark=now, **values)


@router.post("/rollouts/{space}/resume")
def resume(ports: PortsIn, viewer: ViewerIn, space: str, sent: OwnFieldsIn) -> Response:
    """Let the paused rollouts of a space go on."""
    _ = sent
    rollouts.resume_rollout(ports, viewer.caller, space)
    return redirect("/")
