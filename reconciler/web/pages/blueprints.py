"""The catalogue of blueprints, the form of one with a preview, and the instances with what they made."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from reconciler.refusals import OperationRefused
from reconciler.web.api import admission, blueprints, orders, stacks
from reconciler.web.api.auth import PortsIn, Right
from reconciler.web.api.errors import ApiError
from reconciler.web.api.paging import Part
from reconciler.web.api.schemas.blueprints import RenderedJson, RenderIn
from reconciler.web.api.schemas.orders import OrderIn
from reconciler.web.pages.choices import CursorIn, PollIn, shaped
from reconciler.web.pages.render import mark, redirect, render, unchanged
from reconciler.web.pages.route import PageRoute
from reconciler.web.pages.viewer import OwnFieldsIn, Viewer, ViewerIn
from reconciler.web.ports import Ports
from reconciler.web.views.blueprints import commands, fields_of, inputs_of, is_about, offers
from spaces.names import SpaceName

router = APIRouter(prefix="/blueprints", route_class=PageRoute)
ordered = APIRouter(prefix="/orders", route_class=PageRoute)

_OFFERS = 1000
_PAGE = 50
_STACKS = 20

VersionIn = Annotated[str, Query(max_length=64)]


@router.get("")
def catalogue(request: Request, ports: PortsIn, viewer: ViewerIn, cursor: CursorIn = "") -> Response:
    """Show the blueprints that one may use, and the instances in force."""
    listed = blueprints.list_blueprints(ports, viewer.caller, Part(limit=_OFFERS))
    instances = blueprints.list_instances(ports, viewer.caller, Part(limit=_PAGE, cursor=cursor or None))
    shown = {"offers": offers(listed.items), "more": listed.next, "instances": instances, "cursor": cursor}
    return render(request, viewer, "blueprints.html", nav="blueprints", **shown)


@router.get("/{space}/{name}")
def blueprint_page(  # noqa: PLR0917
    request: Request, ports: PortsIn, viewer: ViewerIn, space: str, name: str, version: VersionIn = ""
) -> Response:
    """Show the form of a blueprint's version, of the newest if none is named."""
    return _form(request, ports, viewer, space, name, version)


@router.post("/{space}/{name}")
def preview(  # noqa: PLR0917
    request: Request, ports: PortsIn, viewer: ViewerIn, space: str, name: str, sent: OwnFieldsIn
) -> Response:
    """Show what an instance with the form's inputs would make. Nothing is changed."""
    return _form(request, ports, viewer, space, name, sent.get("version", ""), sent)


@router.post("/{space}/{name}/order")
def order(  # noqa: PLR0917
    request: Request, ports: PortsIn, viewer: ViewerIn, space: str, name: str, sent: OwnFieldsIn
) -> Response:
    """Commit an instance with the form's inputs on a branch; where that fails, say why, and show its document."""
    blueprint = blueprints.get_blueprint(ports, viewer.caller, space, name, sent.get("version") or None)
    try:
        given = shaped(
            OrderIn,
            version=blueprint.version,
            inputs=inputs_of(blueprint.inputs, sent),
            name=sent.get("name", ""),
            space=sent.get("space") or None,
        )
        made = orders.order(ports, viewer.caller, space, name, given)
    except (ApiError, OperationRefused) as refused:
        return _form(request, ports, viewer, space, name, blueprint.version, sent, refused=str(refused))
    return redirect(f"/orders/{made.commit}")


@ordered.get("/{commit}")
def order_page(request: Request, ports: PortsIn, viewer: ViewerIn, commit: str, poll: PollIn) -> Response:
    """Show an order: its branch and commit, and what comes next; or only what has changed of that."""
    found = orders.get_order(ports, viewer.caller, commit)
    listed = admission.list_held(ports, viewer.caller, Part(found.space, limit=_OFFERS)) if not found.in_force else None
    held = [it for it in (listed.items if listed is not None else ()) if is_about(it, found)]
    now = mark(found, held, now=ports.now())
    if poll.knows(now):
        return unchanged()
    template = "order_state.html" if poll.part else "order.html"
    return render(request, viewer, template, nav="blueprints", order=found, held=held, mark=now)


@router.get("/instances/{space}/{name}")
def instance_page(request: Request, ports: PortsIn, viewer: ViewerIn, space: str, name: str) -> Response:
    """Show an instance: its inputs, and the stacks that it made with their outputs."""
    caller = viewer.caller
    instance = blueprints.get_instance(ports, caller, space, name)
    made = []
    for each in instance.stacks[:_STACKS]:
        where, _, stack = each.partition("/")
        try:
            found = stacks.get_stack(ports, caller, where, stack)
        except ApiError as error:
            if error.status is not HTTPStatus.NOT_FOUND:
                raise
            continue  # it is in force, and the loop has not taken it in yet
        made.append((found, stacks.list_outputs(ports, caller, where, stack, limit=1000).items))
    sees = all(caller.allows(right, SpaceName(space)) for right in (Right.STACK_READ, Right.CONTEXT_READ))
    return render(
        request,
        viewer,
        "instance.html",
        nav="blueprints",
        instance=instance,
        made=made,
        more=max(0, len(instance.stacks) - _STACKS),
        documents=blueprints.render_one(ports, caller, space, name).documents if sees else (),
    )


def _form(  # noqa: PLR0917
    request: Request,
    ports: Ports,
    viewer: Viewer,
    space: str,
    name: str,
    version: str,
    sent: dict[str, str] | None = None,
    *,
    refused: str = "",
) -> Response:
    blueprint = blueprints.get_blueprint(ports, viewer.caller, space, name, version or None)
    asked = {"name": (sent or {}).get("name", ""), "space": (sent or {}).get("space", "") or _first(blueprint.spaces)}
    values: dict[str, Any] = {"preview": None, "wrong": "", "commands": "", "refused": refused, "lacks": ""}
    if sent is not None:
        try:
            given = shaped(RenderIn, version=blueprint.version, inputs=inputs_of(blueprint.inputs, sent), **asked)
            found: RenderedJson = blueprints.render(ports, viewer.caller, space, name, given)
        except ApiError as error:
            values["wrong"] = error.detail
        else:
            words = commands(found, asked["name"], f"{space}/{name}", ports.admission.identity)
            values |= {"preview": found, "commands": words, "lacks": _lacks(ports, viewer, given, space)}
    ill = bool(values["wrong"]) or (values["preview"] is not None and bool(values["preview"].diagnostics))
    status = HTTPStatus.CONFLICT if refused else HTTPStatus.OK
    return render(
        request,
        viewer,
        "blueprint.html",
        HTTPStatus.UNPROCESSABLE_ENTITY if ill else status,
        nav="blueprints",
        blueprint=blueprint,
        fields=fields_of(blueprint.inputs, sent),
        asked=asked,
        given=[(name, text) for name, text in (sent or {}).items() if name.startswith("input.")],
        orders_on=ports.orders_on,
        **values,
    )


def _lacks(ports: Ports, viewer: Viewer, asked: RenderIn, space: str) -> str:
    """Return the right that somebody lacks to order an instance; empty: they may."""
    where = SpaceName(asked.space or space)
    right = orders.right_to(ports.documents(), where, asked.name)
    return "" if viewer.caller.allows(right, where) else f"{right} in {where}"


def _first(spaces: list[str]) -> str:
    return spaces[0] if spaces else ""
