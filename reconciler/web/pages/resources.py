"""Every resource that somebody may see, over all stacks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, Request, Response

from reconciler.store.listed import ResourceBy
from reconciler.web.api import resources
from reconciler.web.api.auth import Caller, PortsIn, Right
from reconciler.web.pages.choices import CursorIn, PollIn, TextIn, choice, space_names
from reconciler.web.pages.render import address, render
from reconciler.web.pages.route import PageRoute
from reconciler.web.pages.viewer import ViewerIn

router = APIRouter(prefix="/resources", route_class=PageRoute)

_PAGE = 100


@router.get("")
def resources_page(
    request: Request,
    ports: PortsIn,
    viewer: ViewerIn,
    poll: PollIn,
    *,
    space: TextIn = "",
    subtree: bool = False,
    stack: TextIn = "",
    type: TextIn = "",  # noqa: A002
    provider: TextIn = "",
    q: TextIn = "",
    shared: bool = False,
    group: TextIn = "",
    cursor: CursorIn = "",
) -> Response:
    """Show a page of the table or of its groups, or only the rows."""
    by = choice(ResourceBy, "group", group)
    filters = {
        "space": space,
        "subtree": subtree,
        "stack": stack,
        "type": type,
        "provider": provider,
        "q": q,
        "shared": shared,
        "group": group,
    }
    wanted = resources.wanted_resources(
        ports,
        viewer.caller,
        space=space or None,
        subtree=subtree,
        stack=stack or None,
        type=type or None,
        provider=provider or None,
        q=q or None,
        shared=shared,
    )
    place: dict[str, Any] = {"limit": _PAGE, "cursor": cursor or None}
    if by is None:
        listed: Any = resources.list_all_resources(ports, viewer.caller, wanted, **place)
    else:
        listed = resources.group_resources(ports, wanted, by, **place)
    values: dict[str, Any] = {
        "listed": listed,
        "by": by,
        "filters": filters,
        "cursor": cursor,
        "explains": _explains(viewer.caller),
    }
    if poll.part:
        answer = render(request, viewer, "resources_rows.html", **values)
        answer.headers["HX-Push-Url"] = address("/resources", **filters)
        return answer
    names = space_names(ports, viewer.caller)
    return render(request, viewer, "resources.html", nav="resources", spaces=names, groups=list(ResourceBy), **values)


def _explains(caller: Caller) -> Callable[[str], bool]:
    """Return whether somebody may ask where the resources of a stack come from: that tells of its runs."""
    readable = caller.spaces(Right.RUN_READ)
    return lambda stack: readable is None or stack.partition("/")[0] in readable
