"""What notifiers were told, and a button that sends it again."""

from __future__ import annotations

from http import HTTPStatus

from fastapi import APIRouter, Request, Response

from reconciler.refusals import OperationRefused
from reconciler.web.api import notifications
from reconciler.web.api.auth import PortsIn, Right
from reconciler.web.api.paging import Part
from reconciler.web.pages.choices import CursorIn, TextIn
from reconciler.web.pages.render import redirect, render
from reconciler.web.pages.route import PageRoute
from reconciler.web.pages.viewer import OwnFieldsIn, Viewer, ViewerIn
from reconciler.web.ports import Ports

router = APIRouter(prefix="/notifications", route_class=PageRoute)

_PAGE = 50


@router.get("")
def notifications_page(  # noqa: PLR0917
    request: Request,
    ports: PortsIn,
    viewer: ViewerIn,
    notifier: TextIn = "",
    failed: bool = False,  # noqa: FBT001, FBT002
    cursor: CursorIn = "",
) -> Response:
    """Show the deliveries that wait, and those that were taken or given up."""
    return _show(request, ports, viewer, notifier, cursor, failed=failed)


@router.post("/{number}/resend")
def resend(request: Request, ports: PortsIn, viewer: ViewerIn, number: int, sent: OwnFieldsIn) -> Response:
    """Send a notice again, as the API does; what is refused is said on the page."""
    _ = sent
    try:
        notifications.resend_notification(ports, viewer.caller, number)
    except OperationRefused as refused:
        return _show(request, ports, viewer, "", "", failed=False, refused=refused.message)
    return redirect("/notifications")


def _show(
    request: Request, ports: Ports, viewer: Viewer, notifier: str, cursor: str, *, failed: bool, refused: str = ""
) -> Response:
    caller = viewer.caller
    # What waits is not given up, and stands on the first page alone.
    waits = not (failed or cursor)
    able = caller.spaces(Right.NOTIFIER_UPDATE)
    return render(
        request,
        viewer,
        "notifications.html",
        HTTPStatus.CONFLICT if refused else HTTPStatus.OK,
        nav="notifications",
        waiting=notifications.list_waiting_notifications(ports, caller, notifier=notifier or None, limit=_PAGE).items
        if waits
        else [],
        listed=notifications.list_notifications(
            ports, caller, Part(limit=_PAGE, cursor=cursor or None), notifier=notifier or None, failed=failed
        ),
        filters={"notifier": notifier, "failed": failed},
        cursor=cursor,
        refused=refused,
        may_resend=lambda name: able is None or name.partition("/")[0] in able,
    )
