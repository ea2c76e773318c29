"""A stack's effective configuration: what its runs get, and where each value comes from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from posixpath import dirname, join, normpath
from typing import TypeAlias

from spaces.attachments import place_of
from spaces.consistency import contexts_in_use
from spaces.guardrails import Guardrail, guardrails
from spaces.model.configuration import Configuration, Phase
from spaces.model.repository import RepositorySpec
from spaces.model.secrets import FileValue, FromSource, SecretRef
from spaces.model.stack import StackSpec
from spaces.names import Kind, ResourceRef, StackId
from spaces.placed import Placed, PlacedDocuments
from spaces.resources import Resource


class When(StrEnum):
    """On which side of a phase a hook runs."""

    BEFORE = "before"
    AFTER = "after"


@dataclass(frozen=True, slots=True)
class Origin:
    """The document that a value comes from."""

    ref: ResourceRef


@dataclass(frozen=True, slots=True)
class RepositoryFile:
    """A file of the configuration repository, as it was with the document in force that mounts it."""

    path: str
    data: bytes = field(repr=False)


Content: TypeAlias = str | SecretRef | RepositoryFile
"""What stands in the document, or where it is to be had."""


@dataclass(frozen=True, slots=True)
class Value:
    """A value in effect; `overrides` are those that set it too and lost, the strongest first."""

    value: Content
    origin: Origin
    overrides: tuple[Origin, ...] = ()


@dataclass(frozen=True, slots=True)
class HookCommand:
    """A shell command, and who asks for it."""

    command: str
    origin: Origin


@dataclass(frozen=True, slots=True)
class ResolvedSource:
    """Where a stack's code is. `repository` and `branch` are None for the configuration repository and its branch.

    `path` counts from the top of that repository, normalised, `.` for the top itself; so do the globs of `include`.
    """

    repository: ResourceRef | None
    branch: str | None
    path: str
    include: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class EffectiveStack:
    """All that the configuration says about a stack's runs."""

    id: StackId
    spec: StackSpec
    labels: Mapping[str, str]
    source: ResolvedSource | None
    env: Mapping[str, Value]
    files: Mapping[str, Value]
    hooks: Mapping[tuple[When, Phase], tuple[HookCommand, ...]]
    contexts: tuple[ResourceRef, ...]
    """The contexts in use, weakest first."""
    policies: tuple[Guardrail, ...] = ()
    """The policies over it, those of far spaces first."""


@dataclass(frozen=True, slots=True)
class _Layer:
    """One document's share of a stack's configuration."""

    origin: Origin
    resource: Resource
    spec: Configuration

    def files(self) -> Mapping[str, Content]:
        return {name: self._content(value) for name, value in self.spec.files.items()}

    def _content(self, value: FileValue) -> Content:
        if not isinstance(value, FromSource):
            return value
        return RepositoryFile(place_of(self.resource.file, value.source), self.resource.attached(value.source))


def effective(documents: PlacedDocuments, stack: StackId) -> EffectiveStack:
    """Work out a stack's configuration among documents that are in force; KeyError when it is not one of them."""
    placed = documents.placed(stack.ref)
    if placed is None or not isinstance(placed.resource.spec, StackSpec):
        raise KeyError(str(stack))
    spec = placed.resource.spec
    used = contexts_in_use(documents, placed)
    layers = [_Layer(Origin(use.ref), use.resource, use.spec) for use in used]
    layers.append(_Layer(Origin(placed.ref), placed.resource, spec))
    return EffectiveStack(
        stack,
        spec,
        placed.resource.metadata.labels,
        _source(documents, placed, spec),
        _overlay((layer.origin, layer.spec.env) for layer in layers),
        _overlay((layer.origin, layer.files()) for layer in layers),
        _hooks(layers),
        tuple(use.ref for use in used),
        guardrails(documents, placed),
    )


def _source(documents: PlacedDocuments, placed: Placed, spec: StackSpec) -> ResolvedSource | None:
    source = spec.source
    if source is None:
        return None
    if source.repository is None:
        path = normpath(join(dirname(placed.resource.file), source.path))
        return ResolvedSource(None, None, path, source.include)
    repository = documents.find(Kind.REPOSITORY, source.repository, placed.ref.space)
    if repository is None or not isinstance(repository.resource.spec, RepositorySpec):
        raise KeyError(f"Repository {source.repository}")
    branch = source.branch if source.branch is not None else repository.resource.spec.branch
    return ResolvedSource(repository.ref, branch, normpath(source.path), source.include)


def _overlay(layers: Iterable[tuple[Origin, Mapping[str, Content]]]) -> dict[str, Value]:
    values: dict[str, Value] = {}
    for origin, layer in layers:
        for key, value in layer.items():
            below = values.get(key)
            values[key] = Value(value, origin, (below.origin, *below.overrides) if below else ())
    return values


def _hooks(
    layers: list[_Layer],
) -> dict[tuple[When, Phase], tuple[HookCommand, ...]]:
    """Line the hooks up: before a phase the weakest layer first, after it the weakest last."""
    lines: dict[tuple[When, Phase], tuple[HookCommand, ...]] = {}
    for when, ordered in ((When.BEFORE, layers), (When.AFTER, layers[::-1])):
        for layer in ordered:
            hooks = layer.spec.hooks.before if when is When.BEFORE else layer.spec.hooks.after
            for phase, commands in hooks.items():
                line = tuple(HookCommand(command, layer.origin) for command in commands)
                lines[when, phase] = (*lines.get((when, phase), ()), *line)
    return lines
