"""Who names whom: what a document refers to, as written and where."""

from __future__ import annotations

from typing import Any, NamedTuple

from spaces.model.blueprint import BlueprintInstanceSpec, versioned
from spaces.model.configuration import Configuration
from spaces.model.pool import DEFAULT_POOL
from spaces.model.role import BUILT_IN_ROLES, RoleBindingSpec
from spaces.model.secrets import SecretRef
from spaces.model.space import SpaceSpec
from spaces.model.stack import StackSpec
from spaces.model.variables import VariableClass, classify_variable
from spaces.names import ROOT, Kind, ResourceRef, SpaceName
from spaces.reading.resources import Resource

Path = tuple[str | int, ...]
"""Keys and indexes from the top of a document to one value."""

NameKey = tuple[Kind, str]
"""A kind and a bare name: under this key everyone is found who may mean a document of that name."""


class Reference(NamedTuple):
    """One mention of another document: `name` is bare or `space/name`; `path` leads to it in the document."""

    kind: Kind
    name: str
    path: Path

    @property
    def key(self) -> NameKey:
        """The kind and the bare name."""
        return self.kind, self.name.rpartition("/")[2]


def references(resource: Resource) -> tuple[Reference, ...]:
    """List what the document needs in order to work, in the order written."""
    named = names(resource)
    spec: Any = resource.spec
    if not named:
        return ()
    paths: list[Path] = [("spec", "blueprint")]
    if isinstance(spec, StackSpec):
        paths = [("spec", "contexts", index, "name") for index in range(len(spec.contexts))]
        paths += [("spec", "integrations", index) for index in range(len(spec.integrations))]
        paths += [("spec", "workerPool")] if spec.worker_pool != DEFAULT_POOL else []
        paths += [("spec", "source", "repository")] if _source_repository(spec) else []
        paths += [("spec", "dependsOn", index, "stack") for index in range(len(spec.depends_on))]
    if isinstance(spec, Configuration):
        paths = paths if isinstance(spec, StackSpec) else []
        paths += [("spec", "gitCredentials", index) for index in range(len(spec.git_credentials))]
    return tuple(Reference(kind, name, path) for (kind, name), path in zip(named, paths, strict=True))


def names(resource: Resource) -> list[tuple[Kind, str]]:
    """List the kind and name of what `references` gives, in its order; where they stand is seldom asked for."""
    spec: Any = resource.spec
    if not isinstance(spec, Configuration):
        if not isinstance(spec, BlueprintInstanceSpec):
            return []
        return [(Kind.BLUEPRINT, versioned(spec.blueprint, spec.version))]
    found: list[tuple[Kind, str]] = []
    if isinstance(spec, StackSpec):
        found = [(Kind.CONTEXT, use.name) for use in spec.contexts]
        found += [(Kind.CLOUD_INTEGRATION, name) for name in spec.integrations]
        if spec.worker_pool != DEFAULT_POOL:
            found.append((Kind.WORKER_POOL, spec.worker_pool))
        if repository := _source_repository(spec):
            found.append((Kind.REPOSITORY, repository))
        found += [(Kind.STACK, dependency.stack) for dependency in spec.depends_on]
    return found + [(Kind.REPOSITORY, name) for name in spec.git_credentials]


def _source_repository(spec: StackSpec) -> str | None:
    return spec.source.repository if spec.source is not None else None


def parent_names(resource: Resource) -> frozenset[str]:
    """Name the stacks that a stack depends on, as written."""
    return frozenset(name for kind, name in names(resource) if kind is Kind.STACK)


def shared_with(resource: Resource) -> tuple[SpaceName, ...]:
    """Name the spaces that a stack shares its outputs with, each with everything below it."""
    spec: Any = resource.spec
    return tuple(map(SpaceName, spec.share_outputs)) if isinstance(spec, StackSpec) else ()


def moved_from(resource: Resource) -> ResourceRef | None:
    """Name the stack that this one says it was before it moved or was renamed."""
    if resource.metadata.moved_from is None:
        return None
    space, _, name = resource.metadata.moved_from.partition("/")
    return ResourceRef(resource.kind, SpaceName(space), name)


def roles_of(resource: Resource) -> list[tuple[Path, ResourceRef]]:
    """Name the Roles that a binding gives, or that windows ask for, without built-in ones. Roles lie in the root."""
    spec: Any = resource.spec
    named: list[tuple[Path, str]] = []
    if isinstance(spec, RoleBindingSpec):
        named = [(("spec", "role"), spec.role)]
    elif isinstance(spec, SpaceSpec):
        asked = ((("spec", "windows", index, "override"), each.override) for index, each in enumerate(spec.windows))
        named = [(path, role) for path, role in asked if role is not None]
    return [(path, ResourceRef(Kind.ROLE, ROOT, role)) for path, role in named if role not in BUILT_IN_ROLES]


def mentions(resource: Resource) -> frozenset[NameKey]:
    """Every key under which a change elsewhere must find this document, the stack it came from included."""
    keys = {(kind, name.rpartition("/")[2]) for kind, name in names(resource)}
    origin = moved_from(resource)
    if origin is not None:
        keys.add((origin.kind, origin.name))
    keys.update((Kind.SPACE, space) for space in shared_with(resource))
    keys.update((role.kind, role.name) for _, role in roles_of(resource))
    return frozenset(keys)


def secrets_in(resource: Resource) -> list[tuple[Path, str, SecretRef]]:
    """List every secret of a document: its path, the key that it is sealed for, and where it comes from."""
    return [(("spec", *path), key, secret) for path, key, secret in resource.spec.secrets()]


def hijacking_variables(resource: Resource) -> dict[str, object]:
    """Return the variables of a document that take over the process they are set for.

    Each has what decides its value: the value itself, and the document's hooks, which may set it as well.
    """
    spec = resource.spec
    if not isinstance(spec, Configuration):
        return {}
    return {
        name: (value, spec.hooks)
        for name, value in spec.env.items()
        if classify_variable(name) is VariableClass.TAKES_OVER
    }
