"""Questions about access: may somebody, who may, and which roles does somebody hold."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response

from rbac.access.actions import ACTIONS
from reconciler.web.api import access
from reconciler.web.api.auth import Caller, PortsIn, Right
from reconciler.web.api.errors import ApiError, not_found
from reconciler.web.pages.choices import TextIn, space_names
from reconciler.web.pages.render import render
from reconciler.web.pages.route import PageRoute
from reconciler.web.pages.viewer import ViewerIn
from reconciler.web.ports import Ports

router = APIRouter(prefix="/access", route_class=PageRoute)

_MOST = 500


@router.get("")
def access_page(
    request: Request,
    ports: PortsIn,
    viewer: ViewerIn,
    *,
    ask: TextIn = "",
    subject: TextIn = "",
    action: TextIn = "",
    space: TextIn = "",
    ref: TextIn = "",
) -> Response:
    """Show the questions, and the answer to the one that was asked."""
    caller, answer, wrong = viewer.caller, None, ""
    try:
        answer = _answer(ports, caller, ask, subject, action, space, ref) if ask else None
    except ApiError as error:
        wrong = error.detail
    return render(
        request,
        viewer,
        "access.html",
        nav="access",
        ask=ask,
        asked={
            # The operator is no subject of the rules, and may do everything.
            "subject": subject or (str(caller.subject) if caller.access is not None else ""),
            "action": action or "stack:read",
            "space": space or "root",
            "ref": ref,
        },
        answer=answer,
        wrong=wrong,
        actions=sorted(map(str, ACTIONS)),
        spaces=space_names(ports, caller),
        what_if=caller.spaces(Right.BINDING_READ) != frozenset(),
    )


def _answer(  # noqa: PLR0917
    ports: Ports, caller: Caller, ask: str, subject: str, action: str, space: str, ref: str
) -> Any:
    at = ref or None
    match ask:
        case "can":
            return access.can(ports, caller, subject, action, space, at)
        case "who":
            return access.who_can(ports, caller, action=action, space=space, ref=at, limit=_MOST)
        case "of":
            return access.roles_of(ports, caller, subject, at, limit=_MOST)
        case "changes":
            return access.access_changes(ports, caller, ref, limit=_MOST)
        case _:
            raise not_found("such question")
