"""The catalogue of blueprints, the form of one with a preview, and the instances with what they made."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from reconciler.web.api import blueprints, stacks
from reconciler.web.api.auth import PortsIn, Right
from reconciler.web.api.errors import ApiError
from reconciler.web.api.schemas.blueprints import RenderedJson, RenderIn
from reconciler.web.pages.choices import CursorIn, shaped
from reconciler.web.pages.render import render
from reconciler.web.pages.route import PageRoute
from reconciler.web.pages.viewer import OwnFieldsIn, Viewer, ViewerIn
from reconciler.web.ports import Ports
from reconciler.web.views.blueprints import commands, fields_of, inputs_of, offers
from spaces.names import SpaceName

router = APIRouter(prefix="/blueprints", route_class=PageRoute)

_OFFERS = 1000
_PAGE = 50
_STACKS = 20

VersionIn = Annotated[str, Query(max_length=64)]


@router.get("")
def catalogue(request: Request, ports: PortsIn, viewer: ViewerIn, cursor: CursorIn = "") -> Response:
    """Show the blueprints that one may use, and the instances in force."""
    listed = blueprints.list_blueprints(ports, viewer.caller, limit=_OFFERS)
    instances = blueprints.list_instances(ports, viewer.caller, limit=_PAGE, cursor=cursor or None)
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
) -> Response:
    blueprint = blueprints.get_blueprint(ports, viewer.caller, space, name, version or None)
    asked = {"name": (sent or {}).get("name", ""), "space": (sent or {}).get("space", "") or _first(blueprint.spaces)}
    values: dict[str, Any] = {"preview": None, "wrong": "", "commands": ""}
    if sent is not None:
        try:
            given = shaped(RenderIn, version=blueprint.version, inputs=inputs_of(blueprint.inputs, sent), **asked)
            found: RenderedJson = blueprints.render(ports, viewer.caller, space, name, given)
        except ApiError as error:
            values["wrong"] = error.detail
        else:
            words = commands(found, asked["name"], f"{space}/{name}", ports.admission.identity)
            values |= {"preview": found, "commands": words}
    ill = bool(values["wrong"]) or (values["preview"] is not None and bool(values["preview"].diagnostics))
    return render(
        request,
        viewer,
        "blueprint.html",
        HTTPStatus.UNPROCESSABLE_ENTITY if ill else HTTPStatus.OK,
        nav="blueprints",
        blueprint=blueprint,
        fields=fields_of(blueprint.inputs, sent),
        asked=asked,
        **values,
    )


def _first(spaces: list[str]) -> str:
    return spaces[0] if spaces else ""
