"""Blueprints: their inputs, and the documents that their instances make or would make."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from posixpath import dirname, join
from typing import Annotated

from fastapi import APIRouter, Query

from rbac.admission.judge import Judge
from rbac.identity import Person
from reconciler.web.api.auth import Caller, CallerIn, PortsIn, Right
from reconciler.web.api.errors import invalid, not_found
from reconciler.web.api.paging import PartIn, behind, chosen_spaces, named_spaces, page
from reconciler.web.api.schemas.admission import MissingJson
from reconciler.web.api.schemas.blueprints import (
    BlueprintDetailJson,
    BlueprintInputJson,
    BlueprintJson,
    DiagnosticJson,
    InstanceJson,
    MadeJson,
    RenderedJson,
    RenderIn,
)
from reconciler.web.api.schemas.shapes import Page
from reconciler.web.api.told import Told
from reconciler.web.ports import Ports
from spaces.blueprints.rendering import Rendered, render_inputs, render_instance, versions_of
from spaces.diagnostics import printable
from spaces.documents.changes import DocumentChange
from spaces.documents.documents import Placed, PlacedDocuments
from spaces.documents.expansions import space_ref
from spaces.documents.tree import SpaceTree
from spaces.model.blueprint import BlueprintInstanceSpec, BlueprintSpec, versioned
from spaces.names import Kind, ResourceRef, SpaceName, is_name
from spaces.reading.writing import as_yaml

router = APIRouter(prefix="/blueprints", tags=["blueprints"])
instances = APIRouter(prefix="/blueprint-instances", tags=["blueprints"])

_TO_TRY_OUT = (Right.SPACE_READ, Right.INSTANCE_READ, Right.STACK_READ, Right.CONTEXT_READ)
"""Diagnostics name documents that an instance would clash with or need: the caller must be able to read those."""

VersionIn = Annotated[str | None, Query(max_length=64, description="Default: the newest, by number.")]


@router.get("")
def list_blueprints(
    ports: PortsIn,
    caller: CallerIn,
    part: PartIn,
) -> Page[BlueprintJson]:
    """List blueprints with all their versions, in the order of `space/name@version`."""
    documents = ports.documents()
    named, able = named_spaces(documents.tree, caller, part), _readable(caller, documents.tree)
    wanted = named if able is None else able if named is None else able.intersection(named)
    blueprints = [
        blueprint for blueprint in documents.of_kind(Kind.BLUEPRINT) if wanted is None or blueprint.ref.space in wanted
    ]
    cut = behind(sorted(blueprints, key=_key), part.cursor, part.limit, _key)
    return page(cut, part.limit, _key, _blueprint)


@router.get("/{space}/{name}")
def get_blueprint(
    ports: PortsIn, caller: CallerIn, space: str, name: str, version: VersionIn = None
) -> BlueprintDetailJson:
    """Return a blueprint's inputs."""
    what = f"blueprint {space}/{name}"
    documents = ports.documents()
    _require(caller, documents.tree, SpaceName(space), what)
    versions = versions_of(documents, SpaceName(space), name)
    matching = [placed for placed in versions if version is None or placed.ref.name == versioned(name, version)]
    if not matching:
        raise not_found(what if version is None else f"{what} version {version}")
    spec = _spec(matching[-1])
    return BlueprintDetailJson(
        **_blueprint(matching[-1]).model_dump(by_alias=False),
        versions=[_spec(placed).version for placed in versions],
        inputs=[BlueprintInputJson.model_validate(declared) for declared in spec.inputs],
        spaces=_users(caller, documents, matching[-1]),
    )


@router.post("/{space}/{name}/render")
def render(ports: PortsIn, caller: CallerIn, space: str, name: str, asked: RenderIn) -> RenderedJson:
    """Return the documents that an instance with these inputs would make. Nothing is changed."""
    tried = try_out(ports, caller, space, name, asked)
    return _rendered(tried.rendered).model_copy(
        update={
            "changes": _changes(caller, tried.documents, tried.rendered),
            "written": as_yaml(tried.rendered.instance),
            "file": printable(tried.file),
        }
    )


@dataclass(frozen=True, slots=True)
class Tried:
    """An instance that somebody tries out, with the documents in force, and the file for it."""

    ref: ResourceRef
    documents: PlacedDocuments
    rendered: Rendered

    @property
    def file(self) -> str:
        """Where it is already, else a new file beside its space's document."""
        return _file(self.documents, self.ref)


def try_out(ports: Ports, caller: Caller, space: str, name: str, asked: RenderIn) -> Tried:
    """Return what an instance would make; raise 404 where the caller may not see what it is told of."""
    documents, where = ports.documents(), SpaceName(asked.space or space)
    _require(caller, documents.tree, SpaceName(space), f"blueprint {space}/{name}")
    if not documents.tree.exists(where) or not all(caller.allows(right, where) for right in _TO_TRY_OUT):
        if not asked.space:
            # Whoever sees a blueprint knows its space, and has only forgotten to name their own.
            raise invalid("space", f"name the space of the instance: you cannot see the stacks and contexts of {where}")
        raise not_found(f"space {where}")
    if documents.placed(ResourceRef(Kind.BLUEPRINT, SpaceName(space), versioned(name, asked.version))) is None:
        raise not_found(f"blueprint {space}/{name} version {asked.version}")
    ref = ResourceRef(Kind.BLUEPRINT_INSTANCE, where, asked.name)
    return Tried(ref, documents, render_inputs(documents, ref, f"{space}/{name}", asked.version, asked.inputs))


@instances.get("")
def list_instances(
    ports: PortsIn,
    caller: CallerIn,
    part: PartIn,
) -> Page[InstanceJson]:
    """List the instances in force that somebody wrote, in the order of `space/name`, each with its stacks."""
    documents = ports.documents()
    wanted = chosen_spaces(documents.tree, caller, Right.INSTANCE_READ, part)
    found = [
        placed
        for placed in documents.of_kind(Kind.BLUEPRINT_INSTANCE)
        if placed.resource.made is None and (wanted is None or placed.ref.space in wanted)
    ]
    cut = behind(sorted(found, key=_key), part.cursor, part.limit, _key)
    return page(cut, part.limit, _key, lambda placed: _instance(caller, documents, placed))


@instances.get("/{space}/{name}")
def get_instance(ports: PortsIn, caller: CallerIn, space: str, name: str) -> InstanceJson:
    """Return an instance in force."""
    what = f"blueprint instance {space}/{name}"
    caller.require(Right.INSTANCE_READ, SpaceName(space), what)
    documents = ports.documents()
    return _instance(caller, documents, _placed(documents, space, name, what))


@instances.get("/{space}/{name}/render")
def render_one(ports: PortsIn, caller: CallerIn, space: str, name: str) -> RenderedJson:
    """Return the documents that an instance in force makes."""
    what = f"blueprint instance {space}/{name}"
    for right in (Right.INSTANCE_READ, Right.STACK_READ, Right.CONTEXT_READ):
        caller.require(right, SpaceName(space), what)
    documents = ports.documents()
    return _rendered(render_instance(documents, _placed(documents, space, name, what)))


def _readable(caller: Caller, tree: SpaceTree) -> frozenset[SpaceName] | None:
    """Return the spaces whose blueprints somebody may read, there or where these flow to; None: all."""
    able = caller.spaces(Right.BLUEPRINT_READ)
    return None if able is None else frozenset(above for space in able for above in tree.inherited(space))


def _require(caller: Caller, tree: SpaceTree, space: SpaceName, what: str) -> None:
    """Raise 404 for a blueprint of a space whose blueprints the caller may not read."""
    able = _readable(caller, tree)
    if able is not None and space not in able:
        raise caller.nothing(Right.BLUEPRINT_READ, what)


def _placed(documents: PlacedDocuments, space: str, name: str, what: str) -> Placed:
    placed = documents.placed(ResourceRef(Kind.BLUEPRINT_INSTANCE, SpaceName(space), name)) if is_name(name) else None
    if placed is None:
        raise not_found(f"{what} in force")
    return placed


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


def _users(caller: Caller, documents: PlacedDocuments, blueprint: Placed) -> list[str]:
    """Return the spaces in which instances can use a blueprint, and the caller can try it out."""
    able: Collection[SpaceName] | None = documents.tree.inheriting(blueprint.ref.space)
    for right in _TO_TRY_OUT:
        able = caller.narrow(right, able)
    return sorted(able or ())


def _changes(caller: Caller, documents: PlacedDocuments, rendered: Rendered) -> list[MadeJson]:
    """Return what an instance would change, judged as a commit of the caller's would be.

    The operator has no person to commit as: nothing is said to be missing.
    """
    judge = None
    if caller.access is not None and rendered.after is not None:
        # A commit proves nothing of the groups of a sign-in.
        judge = Judge(caller.access, Person(caller.subject.plain, ""), documents, rendered.after)
    told = Told.of(caller)

    def shown(change: DocumentChange) -> MadeJson:
        lacks = judge.change(change) if judge is not None else None
        return MadeJson(
            kind=change.ref.kind,
            space=change.ref.space,
            name=change.ref.name,
            verb=change.verb,
            missing=MissingJson(action=str(lacks.action), space=told.space(lacks.space)) if lacks is not None else None,
        )

    return [shown(change) for change in rendered.changes]


def _file(documents: PlacedDocuments, ref: ResourceRef) -> str:
    """Return the file for an instance: where it is already, else a new one beside its space's document."""
    there = documents.written(ref)
    if there is not None:
        return there.resource.file
    space = documents.placed(space_ref(ref.space))
    beside = dirname(space.resource.file) if space is not None else ""
    taken = {placed.resource.file for kind in Kind for placed in documents.of_kind(kind)}
    names = (ref.name, f"{ref.name}-instance", *(f"{ref.name}-{number}" for number in range(2, len(taken) + 3)))
    return next(path for path in (join(beside, f"{name}.yaml") for name in names) if path not in taken)


def _instance(caller: Caller, documents: PlacedDocuments, placed: Placed) -> InstanceJson:
    spec = placed.resource.spec
    assert isinstance(spec, BlueprintInstanceSpec)  # noqa: S101 - its kind says so
    blueprint = documents.find(Kind.BLUEPRINT, versioned(spec.blueprint, spec.version), placed.ref.space)
    followed = None if blueprint is None else (blueprint.ref.space, blueprint.resource.metadata.name)
    expansion = documents.expansions.get(placed.ref)
    made = expansion.documents if expansion is not None else ()
    sees = caller.allows(Right.STACK_READ, placed.ref.space)
    return InstanceJson(
        space=placed.ref.space,
        name=placed.ref.name,
        blueprint=spec.blueprint if followed is None else "/".join(followed),
        version=spec.version,
        newest=_spec(versions_of(documents, *followed)[-1]).version if followed is not None else None,
        inputs=dict(spec.inputs),
        stacks=[f"{each.ref.space}/{each.ref.name}" for each in made if each.ref.kind is Kind.STACK] if sees else [],
        file=printable(placed.resource.file),
    )
