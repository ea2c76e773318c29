"""The audit, the newest row first, for whoever may read everything."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from reconciler.runs.audit import Approvals, Audited
from reconciler.web.api import audit
from reconciler.web.api.auth import PortsIn
from reconciler.web.pages.choices import CursorIn, TextIn, TimeIn, moment
from reconciler.web.pages.render import render
from reconciler.web.pages.route import PageRoute
from reconciler.web.pages.viewer import ViewerIn
from reconciler.web.views.audit import AuditView

router = APIRouter(prefix="/audit", route_class=PageRoute)

_PAGE = 50
_EVENTS = sorted({"trusted", "admitted", "held", "hold-ended", "database-restored", *Audited, *Approvals})


@router.get("")
def audit_page(
    request: Request,
    ports: PortsIn,
    viewer: ViewerIn,
    *,
    event: Annotated[str, Query(max_length=60)] = "",
    person: TextIn = "",
    stack: Annotated[str, Query(max_length=130)] = "",
    run: Annotated[str, Query(max_length=26)] = "",
    revision: Annotated[str, Query(max_length=64)] = "",
    since: TimeIn = "",
    until: TimeIn = "",
    cursor: CursorIn = "",
) -> Response:
    """Show a page of the audit."""
    listed = audit.list_audit(
        ports,
        viewer.caller,
        event=event or None,
        person=person or None,
        stack=stack or None,
        run=run or None,
        revision=revision or None,
        since=moment("since", since),
        until=moment("until", until),
        newest=True,
        limit=_PAGE,
        cursor=cursor or None,
    )
    filters: dict[str, Any] = {
        "event": event,
        "person": person,
        "stack": stack,
        "run": run,
        "revision": revision,
        "since": since,
        "until": until,
    }
    rows = [AuditView.of(row) for row in listed.items]
    shown = {"rows": rows, "next_page": listed.next, "filters": filters, "cursor": cursor, "events": _EVENTS}
    return render(request, viewer, "audit.html", nav="audit", **shown)
