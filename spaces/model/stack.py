"""The Stack: one piece of infrastructure, its tool, and everything that goes into its runs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import (
    AfterValidator,
    Field,
    GetJsonSchemaHandler,
    create_model,
    model_validator,
)
from pydantic_core import CoreSchema, PydanticCustomError

from spaces.model.base import (
    DIRECTORY,
    MOST_ITEMS,
    CommitId,
    DirectoryPath,
    Flag,
    Line,
    Model,
    Name,
    Number,
    Path,
    Problem,
    QualifiedName,
    list_at,
    mapping_at,
    text_at,
)
from spaces.model.configuration import Configuration
from spaces.model.dependency import Dependency, dependency_problems
from spaces.model.drift import Drift
from spaces.model.durations import Duration, LongDuration
from spaces.model.globs import check_glob
from spaces.model.pool import DEFAULT_POOL
from spaces.model.refs import Ref, RefKind, ref_of
from spaces.model.repository import Branch, Tag
from spaces.model.retries import Retry
from spaces.model.role import Expiry
from spaces.model.schedules import MOST_SCHEDULES, Schedule, schedule_problems
from spaces.model.secrets import SecretRef
from spaces.model.semver import semver_range
from spaces.model.tool import ToolDescription, ToolSettings
from spaces.model.tools import TOOLS, ToolName
from spaces.model.versions import version_range


class OnDelete(StrEnum):
    """What happens when a stack's document leaves Git."""

    RETAIN = "retain"
    DESTROY = "destroy"


def _version(text: str) -> str:
    try:
        version_range(text)
    except ValueError:
        raise PydanticCustomError("invalid-version", "is not a version range") from None
    return text


VersionRange = Annotated[Line, AfterValidator(_version)]


def _semver(text: str) -> str:
    try:
        semver_range(text)
    except ValueError:
        raise PydanticCustomError("invalid-range", "is not a range of versions") from None
    return text


SemverRange = Annotated[Line, AfterValidator(_semver)]


class Source(Model):
    """Where a stack's tool runs."""

    path: DirectoryPath = Field(
        description="The directory, relative to this file; with a repository, relative to its top."
    )
    repository: QualifiedName | None = Field(None, description="A Repository by name. Default: this repository.")
    branch: Branch | None = Field(None, description="The branch of that repository. Default: the Repository's own.")
    tag: Tag | None = Field(None, description="In place of a branch: a tag of that repository.")
    revision: CommitId | None = Field(None, description="In place of a branch: one commit, on any branch or tag.")
    semver: SemverRange | None = Field(
        None,
        description='In place of a branch: the newest tag whose version is in the range, as in ">=1.4 <2" or "^1.4".',
    )
    include: tuple[DirectoryPath, ...] = Field(
        (),
        max_length=MOST_ITEMS,
        description="Globs of files outside the path that the tool reads and that are not found automatically.",
    )

    @property
    def ref(self) -> Ref | None:
        """What is followed; None: the Repository's own branch."""
        given = ((kind, getattr(self, kind.value)) for kind in RefKind)
        return next((ref_of(kind, name) for kind, name in given if name is not None), None)


class ContextUse(Model):
    """A context that a stack names. A bare name means priority 0."""

    name: QualifiedName = Field(description="A Context by name or as space/name.")
    priority: Number = Field(0, description="The higher priority wins.", ge=-1_000_000, le=1_000_000)

    @model_validator(mode="before")
    @classmethod
    def _spelled_out(cls, value: object) -> object:
        return {"name": value} if isinstance(value, str) else value

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Add the bare name to the schema, for editors."""
        schema = handler.resolve_ref_schema(handler(core))
        return {"anyOf": [schema["properties"]["name"], schema]}


class _StackSpec(Configuration):
    """The tool, its source, and how its runs go."""

    tool: ToolName = Field(description="The tool that makes the infrastructure.")
    tool_version: VersionRange | None = Field(
        None,
        description='The range of versions that the installed tool must match, as in ">=1.8,<2", "~> 1.9" or "1.9.8".',
    )
    source: Source | None = Field(None, description="Where the tool runs. Only a script can do without a source.")
    autodeploy: Flag = Field(True, description="false: a run with changes waits for confirmation.")
    protected: Flag = Field(False, description="true: never destroyed, whatever Git says.")
    on_delete: OnDelete = Field(
        OnDelete.RETAIN,
        description="What happens to what it made if this document leaves Git: retain keeps it; destroy plans its "
        "destruction, unless the stack is protected.",
    )
    suspended: Flag = Field(False, description="true: no runs.")
    contexts: tuple[ContextUse, ...] = Field((), max_length=MOST_ITEMS, description="Shared configuration, by name.")
    depends_on: tuple[Dependency, ...] = Field(
        (), max_length=MOST_ITEMS, description="The stacks that must be in sync before this one runs."
    )
    integrations: tuple[QualifiedName, ...] = Field(
        (), max_length=MOST_ITEMS, description="CloudIntegrations by name or as space/name: the clouds that runs reach."
    )
    worker_pool: QualifiedName = Field(
        DEFAULT_POOL,
        description="The WorkerPool that starts its runs, by name or as space/name. default: the service's machine.",
    )
    share_outputs: tuple[Name, ...] = Field(
        (),
        max_length=MOST_ITEMS,
        description="Spaces whose stacks, and those of the spaces below them, may depend on this one.",
    )
    drift: Drift | None = Field(
        None, description="When to compare the real world with what was applied. Left out: only when somebody asks."
    )
    schedules: tuple[Schedule, ...] = Field(
        (),
        max_length=MOST_SCHEDULES,
        description="When runs and tasks come by the clock, also while the stack is Synced.",
    )
    ttl: LongDuration | None = Field(
        None, description="How long it lives from its first apply, as 8h or 14d; then what it made is destroyed."
    )
    destroy_at: Expiry | None = Field(
        None, description="In place of ttl: when what it made is destroyed, as 2030-12-31T18:00:00Z."
    )
    retry: Retry | None = Field(
        None, description="Try again when the tool fails: to plan always, to apply with all tools but script."
    )
    timeout: Duration | None = Field(None, description="How long a phase may take, as 90s, 30m or 1h.")

    def settings(self) -> ToolSettings | None:
        """Return the settings under the tool's own key."""
        found = getattr(self, self.tool.value)
        return found if isinstance(found, ToolSettings) else None

    @property
    def lacks_destruction(self) -> str | None:
        """The setting without which the stack cannot be destroyed, where it is missing: `spec.script.destroy`."""
        by, settings = TOOLS[self.tool.value].destroys_by, self.settings()
        lacks = by is not None and getattr(settings, by, None) is None
        return f"spec.{self.tool}.{by}" if lacks else None

    def secrets(self) -> Iterator[tuple[Path, str, SecretRef]]:
        """Yield the secrets among variables, files and the tool's own settings."""
        yield from super().secrets()
        tool, settings = self.tool.value, self.settings()
        for path, secret in () if settings is None else settings.secrets():
            yield (tool, *path), ".".join((tool, *path)), secret

    @classmethod
    def problems(cls, raw: Mapping[str, Any]) -> Iterator[Problem]:
        """Yield settings that do not fit together, such as those of another tool, and duplicates."""
        yield from super().problems(raw)
        tool = text_at(raw, "tool")
        if description := TOOLS.get(tool or ""):
            yield from _tool_problems(description, raw)
        source = mapping_at(raw, "source")
        yield from _followed_problems(source)
        for index, glob in enumerate(list_at(source, "include")):
            # The types report a text that is not a relative path.
            if isinstance(glob, str) and re.search(DIRECTORY, glob):
                try:
                    check_glob(glob)
                except ValueError as wrong:
                    yield Problem(("source", "include", index), "invalid-glob", str(wrong))
        yield from _end_problems(raw)
        yield from schedule_problems(raw)
        yield from _context_problems(raw)
        yield from _integration_problems(raw)
        if "dependsOn" in raw:
            yield from dependency_problems(raw)


def _followed_problems(source: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield more than one of branch, tag, revision and semver, and any of them without a repository."""
    given = [kind.value for kind in RefKind if kind in source]
    if given and "repository" not in source:
        hint = f"this repository's branch is the service's own setting; name a repository, or leave {given[0]} out"
        yield Problem(("source", given[0]), "invalid-value", f"spec.source.{given[0]} needs a repository", hint, True)
    elif len(given) > 1:
        summary = f"spec.source has {' and '.join(given)}: only one of them can say what is followed"
        yield Problem(("source", given[1]), "invalid-value", summary, "leave all but one of them out", at_key=True)


def _end_problems(raw: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield an end that comes twice."""
    if all(raw.get(key) is not None for key in _ENDS):
        summary = "spec has ttl and destroyAt: only one of them can say when it ends"
        yield Problem(("destroyAt",), "invalid-value", summary, "leave one of them out", at_key=True)


def _destruction_problems(tool: ToolDescription, raw: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield what asks for the destruction of what cannot be destroyed."""
    asking = {key: f"spec.{key}" for key in _ENDS if raw.get(key) is not None}
    if text_at(raw, "onDelete") == OnDelete.DESTROY:
        asking["onDelete"] = "spec.onDelete: destroy"
    for key, words in asking.items():
        at_key = key in _ENDS
        if not tool.destroys:
            summary = f"{words} is not for {tool.name}, which keeps no record of what it made"
            yield Problem((key,), "invalid-value", summary, "leave it out, and have a playbook remove it", at_key)
        elif tool.destroys_by is not None and mapping_at(raw, tool.name).get(tool.destroys_by) is None:
            needed = f"spec.{tool.name}.{tool.destroys_by}"
            summary = f"{words} needs {needed}, by which it is destroyed"
            yield Problem((key,), "missing-key", summary, f"add {needed}, or leave {key} out", at_key)


_ENDS = ("ttl", "destroyAt")


def _tool_problems(tool: ToolDescription, raw: Mapping[str, Any]) -> Iterator[Problem]:
    for other in TOOLS:
        if other != tool.name and other in raw:
            summary = f"spec.{other} is for stacks of the tool {other}; this stack's tool is {tool.name}"
            yield Problem((other,), "invalid-value", summary, f"leave it out, or write tool: {other}", True)
    if not tool.has_version and "toolVersion" in raw:
        hint = "leave it out; check versions in the commands"
        yield Problem(("toolVersion",), "invalid-value", f"spec.toolVersion is not for a {tool.name}", hint, True)
    yield from _destruction_problems(tool, raw)
    if tool.needs_source and raw.get("source") is None:
        yield Problem((), "missing-key", "spec.source is missing", "only a script needs no source", True)
    if raw.get(tool.name) is None:
        needed = " and ".join(f"{tool.name}.{key}" for key in tool.settings.required())
        if needed:
            yield Problem((), "missing-key", f"spec.{tool.name} is missing", f"it needs at least {needed}", True)
    for problem in tool.settings.problems(mapping_at(raw, tool.name)):
        yield problem._replace(path=(tool.name, *problem.path))


if TYPE_CHECKING:
    StackSpec = _StackSpec
else:
    # One field for each tool that there is, so that a new one changes no list.
    StackSpec = create_model(
        "StackSpec",
        __base__=_StackSpec,
        __doc__=_StackSpec.__doc__,
        __module__=__name__,
        **{name: (tool.settings | None, Field(None, description=tool.about)) for name, tool in TOOLS.items()},
    )


def _integration_problems(raw: Mapping[str, Any]) -> Iterator[Problem]:
    names = list_at(raw, "integrations")
    for index, name in enumerate(names):
        if isinstance(name, str) and name in names[:index]:
            summary = f"the integration {name[:130]!r} is named twice"
            yield Problem(("integrations", index), "duplicate-integration", summary)


def _context_problems(raw: Mapping[str, Any]) -> Iterator[Problem]:
    seen = set()
    for index, use in enumerate(list_at(raw, "contexts")):
        name = use.get("name") if isinstance(use, dict) else use
        if not isinstance(name, str):
            continue
        if name in seen:
            yield Problem(("contexts", index), "duplicate-context", f"the context {name[:130]!r} is named twice")
        seen.add(name)
