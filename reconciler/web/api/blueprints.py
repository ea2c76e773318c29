"""Blueprints: their inputs, and the documents that their instances make or would make."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from reconciler.web.api.auth import CallerIn, PortsIn, Right
from reconciler.web.api.errors import not_found
from reconciler.web.api.paging import CursorIn, LimitIn, SpaceIn, SubtreeIn, behind, chosen_spaces, page
from reconciler.web.api.schemas.blueprints import (
    BlueprintDetailJson,
    BlueprintInputJson,
    BlueprintJson,
    DiagnosticJson,
    RenderedJson,
    RenderIn,
)
from reconciler.web.api.schemas.shapes import Page
from spaces.blueprints.rendering import Rendered, render_inputs, render_instance, versions_of
from spaces.documents.documents import Placed
from spaces.model.blueprint import BlueprintSpec, versioned
from spaces.names import Kind, ResourceRef, SpaceName, is_name

router = APIRouter(prefix="/blueprints", tags=["blueprints"])
instances = APIRouter(prefix="/blueprint-instances", tags=["blueprints"])

VersionIn = Annotated[str | None, Query(max_length=64, description="Default: the newest, by number.")]


@router.get("")
def list_blueprints(
    ports: PortsIn,
    caller: CallerIn,
    *,
    space: SpaceIn = None,
    subtree: SubtreeIn = False,
    limit: LimitIn = 100,
    cursor: CursorIn = None,
) -> Page[BlueprintJson]:
    """List blueprints with all their versions, in the order of `space/name@version`."""
    documents = ports.documents()
    wanted = chosen_spaces(documents.tree, caller, Right.BLUEPRINT_READ, space, subtree=subtree)
    blueprints = [
        blueprint for blueprint in documents.of_kind(Kind.BLUEPRINT) if wanted is None or blueprint.ref.space in wanted
    ]
    cut = behind(sorted(blueprints, key=_key), cursor, limit, _key)
    return page(cut, limit, _key, _blueprint)


@router.get("/{space}/{name}")
def get_blueprint(
    ports: PortsIn, caller: CallerIn, space: str, name: str, version: VersionIn = None
) -> BlueprintDetailJson:
    """Return a blueprint's inputs."""
    what = f"blueprint {space}/{name}"
    caller.require(Right.BLUEPRINT_READ, SpaceName(space), what)
    versions = versions_of(ports.documents(), SpaceName(space), name)
    matching = [placed for placed in versions if version is None or placed.ref.name == versioned(name, version)]
    if not matching:
        raise not_found(what if version is None else f"{what} version {version}")
    spec = _spec(matching[-1])
    return BlueprintDetailJson(
        **_blueprint(matching[-1]).model_dump(by_alias=False),
        versions=[_spec(placed).version for placed in versions],
        inputs=[BlueprintInputJson.model_validate(declared) for declared in spec.inputs],
    )


@router.post("/{space}/{name}/render")
def render(ports: PortsIn, caller: CallerIn, space: str, name: str, asked: RenderIn) -> RenderedJson:
    """Return the documents that an instance with these inputs would make. Nothing is changed."""
    caller.require(Right.BLUEPRINT_READ, SpaceName(space), f"blueprint {space}/{name}")
    documents, where = ports.documents(), SpaceName(asked.space or space)
    # The diagnostics name documents that it would clash with or need, so the caller must be able to read those.
    needed = (Right.SPACE_READ, Right.INSTANCE_READ, Right.STACK_READ, Right.CONTEXT_READ)
    if not documents.tree.exists(where) or not all(caller.allows(right, where) for right in needed):
        raise not_found(f"space {where}")
    if documents.placed(ResourceRef(Kind.BLUEPRINT, SpaceName(space), versioned(name, asked.version))) is None:
        raise not_found(f"blueprint {space}/{name} version {asked.version}")
    ref = ResourceRef(Kind.BLUEPRINT_INSTANCE, where, asked.name)
    return _rendered(render_inputs(documents, ref, f"{space}/{name}", asked.version, asked.inputs))


@instances.get("/{space}/{name}/render")
def render_one(ports: PortsIn, caller: CallerIn, space: str, name: str) -> RenderedJson:
    """Return the documents that an instance in force makes."""
    what = f"blueprint instance {space}/{name}"
    for right in (Right.INSTANCE_READ, Right.STACK_READ, Right.CONTEXT_READ):
        caller.require(right, SpaceName(space), what)
    documents = ports.documents()
    placed = documents.placed(ResourceRef(Kind.BLUEPRINT_INSTANCE, SpaceName(space), name)) if is_name(name) else None
    if placed is None:
        raise not_found(f"{what} in force")
    return _rendered(render_instance(documents, placed))


def _key(placed: Placed) -> str:
    return f"{placed.ref.space}/{placed.ref.name}"


def _spec(placed: Placed) -> BlueprintSpec:
    spec = placed.resource.spec
    assert isinstance(spec, BlueprintSpec)  # noqa: S101 - its kind says so
    return spec


def _blueprint(placed: Placed) -> BlueprintJson:
    return BlueprintJson(
        space=placed.ref.space,
        name=placed.resource.metadata.name,
        version=_spec(placed).version,
        description=placed.resource.metadata.description,
    )


def _rendered(rendered: Rendered) -> RenderedJson:
    return RenderedJson(
        documents=[dict(document) for document in rendered.documents],
        diagnostics=[DiagnosticJson(**diagnostic.to_json()) for diagnostic in rendered.diagnostics],
    )
