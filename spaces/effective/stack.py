"""A stack's effective configuration: the values that its runs get, and the document that each value comes from.

The loop calls `effective` for each stack that a change can affect, and the API for the one that a person looks at. The
result holds references to secrets and to other stacks' outputs, never their values. Contexts are laid over each other
from the weakest to the strongest, above the integrations, and the stack's own document comes last.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from posixpath import normpath
from typing import NamedTuple, TypeAlias

from spaces.documents.documents import Placed, PlacedDocuments
from spaces.documents.secrets import Login, Secret, login_of, secret_of
from spaces.effective.integrations import OfRun, UsedIntegration, variables
from spaces.effective.policies import Guardrail, guardrails
from spaces.model.configuration import Configuration, HookPhase, plain_path
from spaces.model.pool import DEFAULT_POOL
from spaces.model.refs import Ref
from spaces.model.repository import RepositorySpec
from spaces.model.sealed import SealedPlace
from spaces.model.secrets import FileValue, FromSource, FromText, SecretRef
from spaces.model.stack import StackSpec
from spaces.names import ROOT, Kind, ResourceRef, SpaceName, StackId, space_path
from spaces.reading.attachments import place_of
from spaces.reading.resources import Made, Resource
from spaces.rules.dependencies import ResolvedDependency, dependencies_of
from spaces.rules.integrations import IntegrationInUse, integrations_in_use
from spaces.rules.rules import ContextInUse, contexts_in_use


class When(StrEnum):
    """The side of a phase on which a hook runs."""

    BEFORE = "before"
    AFTER = "after"


class Origin(NamedTuple):
    """The document that a value comes from; `made` says which instance made it, None if somebody wrote it."""

    ref: ResourceRef
    made: Made | None = None


@dataclass(frozen=True, slots=True)
class RepositoryFile:
    """A file of the configuration repository, with its content as of the document in force that mounts it."""

    path: str
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class OutputOf:
    """An output of a stack that must be in sync first. Its value is the one that the stack's last run left behind."""

    stack: StackId
    output: str

    def __str__(self) -> str:
        """Return it in words."""
        return f"output {self.output} of {self.stack}"


Content: TypeAlias = str | Secret | RepositoryFile | OutputOf | OfRun
"""A text from the document, a reference to the place of the value, or what only a run knows."""


class Value(NamedTuple):
    """An effective value; `overrides` are the documents that set it too and lost, the strongest first."""

    value: Content
    origin: Origin
    overrides: tuple[Origin, ...] = ()
    executable: bool = False
    """Of a file: whether it may be run."""


class HookCommand(NamedTuple):
    """A shell command, and the document that it comes from."""

    command: str
    origin: Origin


@dataclass(frozen=True, slots=True)
class ResolvedSource:
    """Where a stack's code lies. `repository` and `ref` are None for the configuration repository and its branch.

    `path` is relative to the top of that repository, normalized, `.` for the top itself; so are the globs of `include`.
    """

    repository: ResourceRef | None
    ref: Ref | None
    path: str
    include: tuple[str, ...]


class GitCredential(NamedTuple):
    """A repository to which Git may sign in during a run, and the document that says so."""

    repository: ResourceRef
    url: str
    login: Login | None
    """None: the repository has none, so that nothing is given."""
    origin: Origin


class UsedContext(NamedTuple):
    """A context that a stack uses, and why it does.

    A context that the stack names has a `priority`. A context that attached itself has the `labels` by which it did;
    they are empty if it attaches itself to every stack.
    """

    ref: ResourceRef
    priority: int | None
    labels: Mapping[str, str] | None = None

    def __str__(self) -> str:
        """Return why the stack uses it."""
        if self.labels is None:
            return f"named, priority {self.priority}"
        pairs = ", ".join(f"{key}={value}" for key, value in sorted(self.labels.items()))
        return f"attached by labels {pairs}" if pairs else "attached to every stack"


@dataclass(frozen=True, slots=True)
class EffectiveStack:
    """Everything that the configuration says about a stack's runs."""

    id: StackId
    spec: StackSpec
    labels: Mapping[str, str]
    source: ResolvedSource | None
    env: Mapping[str, Value]
    files: Mapping[str, Value]
    hooks: Mapping[tuple[When, HookPhase], tuple[HookCommand, ...]]
    contexts: tuple[UsedContext, ...]
    """The contexts in use, the weakest first."""
    dependencies: tuple[ResolvedDependency, ...] = ()
    """The stacks that must be in sync first, in the order written."""
    made: Made | None = None
    """The instance that made the stack; None if somebody wrote it."""
    policies: tuple[Guardrail, ...] = ()
    """The policies over it, those of the farthest spaces first."""
    integrations: tuple[UsedIntegration, ...] = ()
    """The cloud integrations in use, the weakest first."""
    lineage: tuple[SpaceName, ...] = (ROOT,)
    """Its space and all above it, the root last."""
    git_credentials: tuple[GitCredential, ...] = ()
    """The repositories to which Git may sign in."""
    secrets: Mapping[str, Value] = field(default_factory=dict)
    """The secrets in the tool's own settings, by the key that each is sealed for: `ansible.privateKey`."""
    pool: ResourceRef | None = None
    """The pool that starts its runs; None: the service's own machine."""

    def sealed_place(self, owner: ResourceRef, key: str) -> SealedPlace:
        """Return the place of a secret in one of its documents, which lie in its space or above."""
        return SealedPlace(owner, key, space_path(self.lineage[self.lineage.index(owner.space) :]))


_HookLines = Mapping[HookPhase, tuple[HookCommand, ...]]


class Layer(NamedTuple):
    """One document's part of a stack's configuration, with canonical file paths."""

    origin: Origin
    env: Mapping[str, Value]
    files: Mapping[str, Value]
    before: _HookLines
    after: _HookLines

    @classmethod
    def of(cls, origin: Origin, resource: Resource, spec: Configuration) -> Layer:
        """Return the configuration of a document as a layer."""
        hooks = spec.hooks
        return cls(
            origin,
            {name: Value(_plain(resource, value), origin) for name, value in spec.env.items()},
            {plain_path(name): _file(resource, value, origin) for name, value in spec.files.items()},
            _lines(hooks.before, origin) if hooks.before else {},
            _lines(hooks.after, origin) if hooks.after else {},
        )


Layers: TypeAlias = dict[Placed, Layer]
"""The layers of contexts that were computed for other stacks already."""


def effective(documents: PlacedDocuments, stack: StackId, known: Layers | None = None) -> EffectiveStack:
    """Return a stack's configuration, computed from documents in force; raise KeyError if it is not one of them.

    A caller who asks for many stacks passes the same `known` each time, so that each context is computed once.
    """
    placed = documents.placed(stack.ref)
    if placed is None or not isinstance(placed.resource.spec, StackSpec):
        raise KeyError(str(stack))
    spec = placed.resource.spec
    used = contexts_in_use(documents, placed)
    integrations = tuple(_integration(use) for use in integrations_in_use(documents, placed))
    layers = [_identity(each) for each in integrations]
    layers += [_layer(use, {} if known is None else known) for use in used]
    made = placed.resource.made
    own = Origin(placed.ref, made)
    layers.append(Layer.of(own, placed.resource, spec))
    dependencies = tuple(dependencies_of(documents, placed)) if spec.depends_on else ()
    return EffectiveStack(
        stack,
        spec,
        placed.resource.metadata.labels,
        _source(documents, placed, spec),
        _overlay([*(layer.env for layer in layers), _variables(own, dependencies)]),
        _overlay([*(layer.files for layer in layers), _output_files(own, dependencies)]),
        _hooks([layer for layer in layers if layer.before or layer.after]),
        tuple(map(_used, used)),
        dependencies,
        made,
        guardrails(documents, placed),
        integrations,
        documents.tree.lineage(stack.space),
        tuple(_git_credentials(documents, [*((use.placed, use.spec) for use in used), (placed, spec)])),
        _tool_secrets(placed.resource, spec, own),
        _pool(documents, placed, spec),
    )


def _pool(documents: PlacedDocuments, placed: Placed, spec: StackSpec) -> ResourceRef | None:
    if spec.worker_pool == DEFAULT_POOL:
        return None
    found = documents.find(Kind.WORKER_POOL, spec.worker_pool, placed.ref.space)
    if found is None:
        raise KeyError(f"WorkerPool {spec.worker_pool}")
    return found.ref


def _git_credentials(
    documents: PlacedDocuments, layers: Iterable[tuple[Placed, Configuration]]
) -> Iterable[GitCredential]:
    """Find the repositories that each document names, from where it is itself; each once."""
    found: dict[ResourceRef, GitCredential] = {}
    for owner, configuration in layers:
        for name in configuration.git_credentials:
            placed = documents.find(Kind.REPOSITORY, name, owner.ref.space)
            if placed is None or not isinstance(placed.resource.spec, RepositorySpec):
                raise KeyError(f"Repository {name}")
            spec, origin = placed.resource.spec, Origin(owner.ref, owner.resource.made)
            found.setdefault(placed.ref, GitCredential(placed.ref, spec.url, login_of(placed.resource), origin))
    return found.values()


def _variables(origin: Origin, dependencies: Iterable[ResolvedDependency]) -> dict[str, Value]:
    return {
        use.env: Value(OutputOf(dependency.parent, output), origin)
        for dependency in dependencies
        for output, use in dependency.outputs.items()
        if use.env is not None
    }


def _output_files(origin: Origin, dependencies: Iterable[ResolvedDependency]) -> dict[str, Value]:
    return {
        plain_path(use.file): Value(OutputOf(dependency.parent, output), origin)
        for dependency in dependencies
        for output, use in dependency.outputs.items()
        if use.file is not None
    }


def _layer(use: ContextInUse, known: Layers) -> Layer:
    layer = known.get(use.placed)
    if layer is None:
        layer = known[use.placed] = Layer.of(Origin(use.ref), use.placed.resource, use.spec)
    return layer


def _used(use: ContextInUse) -> UsedContext:
    if use.place is not None or use.spec.attach is None:
        return UsedContext(use.ref, use.priority)
    return UsedContext(use.ref, None, use.spec.attach.match_labels)


def _integration(use: IntegrationInUse) -> UsedIntegration:
    attach = use.spec.attach if use.place is None else None
    return UsedIntegration(use.ref, use.spec, None if attach is None else attach.match_labels)


def _identity(used: UsedIntegration) -> Layer:
    """Return the variables of an integration as the weakest layer: whatever else sets one of them wins."""
    origin = Origin(used.ref)
    return Layer(origin, {name: Value(value, origin) for name, value in variables(used).items()}, {}, {}, {})


def _file(resource: Resource, value: FileValue, origin: Origin) -> Value:
    match value:
        case FromSource():
            content = RepositoryFile(place_of(resource.file, value.source), resource.attached(value.source))
            return Value(content, origin, executable=value.executable)
        case FromText():
            return Value(value.text, origin, executable=value.executable)
        case _:
            return Value(_plain(resource, value), origin)


def _plain(resource: Resource, value: str | SecretRef) -> str | Secret:
    return value if isinstance(value, str) else secret_of(resource, value)


def _tool_secrets(resource: Resource, spec: StackSpec, origin: Origin) -> dict[str, Value]:
    settings, tool = spec.settings(), spec.tool.value
    found = () if settings is None else settings.secrets()
    return {".".join((tool, *path)): Value(secret_of(resource, secret), origin) for path, secret in found}


def _lines(hooks: Mapping[HookPhase, tuple[str, ...]], origin: Origin) -> _HookLines:
    return {phase: tuple(HookCommand(command, origin) for command in commands) for phase, commands in hooks.items()}


def _source(documents: PlacedDocuments, placed: Placed, spec: StackSpec) -> ResolvedSource | None:
    source = spec.source
    if source is None:
        return None
    if source.repository is None:
        return ResolvedSource(None, None, place_of(placed.resource.file, source.path), source.include)
    repository = documents.find(Kind.REPOSITORY, source.repository, placed.ref.space)
    if repository is None or not isinstance(repository.resource.spec, RepositorySpec):
        raise KeyError(f"Repository {source.repository}")
    followed = source.ref or repository.resource.spec.branch
    return ResolvedSource(repository.ref, followed, normpath(source.path), source.include)


def _overlay(layers: Iterable[Mapping[str, Value]]) -> dict[str, Value]:
    """Lay the layers over each other, the weakest first."""
    values: dict[str, Value] = {}
    losers: dict[str, list[Origin]] = {}
    for layer in filter(None, layers):
        if not values.keys().isdisjoint(layer):
            for key in values.keys() & layer.keys():
                losers.setdefault(key, []).append(values[key].origin)
        values.update(layer)
    for key, origins in losers.items():
        winner = values[key]
        values[key] = winner._replace(overrides=tuple(origins[::-1]))
    return values


def _hooks(layers: list[Layer]) -> dict[tuple[When, HookPhase], tuple[HookCommand, ...]]:
    """Return the hooks in order: before a phase the weakest layer first, after it the weakest layer last."""
    if not layers:
        return {}
    before = _in_line([layer.before for layer in layers])
    after = _in_line([layer.after for layer in reversed(layers)])
    return {
        **{(When.BEFORE, phase): tuple(line) for phase, line in before.items()},
        **{(When.AFTER, phase): tuple(line) for phase, line in after.items()},
    }


def _in_line(layers: Iterable[_HookLines]) -> dict[HookPhase, list[HookCommand]]:
    lines: dict[HookPhase, list[HookCommand]] = {}
    for layer in layers:
        for phase, commands in layer.items():
            if commands:
                lines.setdefault(phase, []).extend(commands)
    return lines
