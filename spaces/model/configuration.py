"""Environment, files and hooks, which a Stack and a Context share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field, WithJsonSchema

from spaces.model.base import (
    MOST_ITEMS,
    MOST_LABELS,
    Command,
    EnvName,
    FilePath,
    LabelKey,
    LabelValue,
    Model,
    Path,
    Problem,
    QualifiedName,
    SpecModel,
    list_at,
    mapping_at,
)
from spaces.model.places import in_home
from spaces.model.secrets import EnvValue, FileValue, FromSource, SecretRef, secret_problems
from spaces.model.variables import VariableClass, classify_variable, is_loader


class HookPhase(StrEnum):
    """The phases of a run that hooks attach to. RUN is the whole run and has only `after` hooks."""

    INIT = "init"
    PLAN = "plan"
    APPLY = "apply"
    DESTROY = "destroy"
    """In a run that destroys, in the place of APPLY."""
    RUN = "run"


BeforePhase = Annotated[
    HookPhase,
    WithJsonSchema({"type": "string", "enum": [HookPhase.INIT, HookPhase.PLAN, HookPhase.APPLY, HookPhase.DESTROY]}),
]


Commands = Annotated[tuple[Command, ...], Field(max_length=MOST_ITEMS)]


class Hooks(Model):
    """Shell commands around the phases of a run, in order."""

    before: dict[BeforePhase, Commands] = Field(default_factory=dict, description="Commands before the phase.")
    after: dict[HookPhase, Commands] = Field(default_factory=dict, description="Commands after the phase.")


NO_HOOKS = Hooks.model_construct(before={}, after={})


class Configuration(SpecModel):
    """Environment, files and hooks that go into a stack's run."""

    env: dict[EnvName, EnvValue] = Field(
        default_factory=dict, max_length=MOST_ITEMS, description="Environment variables; values are text, or secrets."
    )
    files: dict[FilePath, FileValue] = Field(
        default_factory=dict,
        max_length=MOST_ITEMS,
        description="Files by path, relative to where the tool runs, or in the run's home as `~/…`: their content, a "
        "secret, `{source: …}` or `{text: …}`; the last two may be `executable: true`.",
    )
    hooks: Hooks = Field(default_factory=lambda: NO_HOOKS, description="Shell commands around the phases of a run.")
    git_credentials: tuple[QualifiedName, ...] = Field(
        (), max_length=MOST_ITEMS, description="Repositories, by name, to which Git may sign in during a run."
    )

    @classmethod
    def problems(cls, raw: Mapping[str, Any]) -> Iterator[Problem]:
        """Yield variables that may not be set, secrets without exactly one source, misplaced files and hooks."""
        env = mapping_at(raw, "env")
        for name, value in env.items():
            if classify_variable(name) is VariableClass.OWN:
                hint = "use terraform.workspace" if name == "TF_WORKSPACE" else "choose another name"
                yield Problem(("env", name), "env-not-allowed", f"spec.env.{name} must not be set", hint, at_key=True)
            elif type(value) is not dict:
                continue
            elif is_loader(name):
                summary, hint = (
                    f"spec.env.{name} must be text, because secrets must not go where it goes",
                    "write it as text",
                )
                yield Problem(("env", name), "invalid-value", summary, hint)
            else:
                yield from secret_problems(("env", name), value, f"spec.env.{name}")
        if files := mapping_at(raw, "files"):
            for name, value in files.items():
                if type(value) is dict and "source" not in value and "text" not in value:
                    yield from secret_problems(("files", name), value, f"spec.files.{name[:80]}")
            yield from _nested_files(files)
        if hooks := mapping_at(raw, "hooks"):
            yield from _misplaced_hooks(hooks)
        if named := list_at(raw, "gitCredentials"):
            yield from _named_twice(named)

    def secrets(self) -> Iterator[tuple[Path, str, SecretRef]]:
        """Yield the secrets among variables and files."""
        for section, values in (("env", self.env), ("files", self.files)):
            for name, value in values.items():
                if isinstance(value, SecretRef):
                    yield (section, name), name, value

    def attachments(self) -> Iterator[tuple[Path, str]]:
        """Yield the mounted files that lie in the repository, and the SOPS files of secrets."""
        yield from super().attachments()
        for name, value in self.files.items():
            if isinstance(value, FromSource):
                yield ("files", name, "source"), value.source


def _named_twice(repositories: list[Any]) -> Iterator[Problem]:
    for index, name in enumerate(repositories):
        if isinstance(name, str) and name in repositories[:index]:
            summary = f"the repository {name[:130]!r} is named twice"
            yield Problem(("gitCredentials", index), "duplicate-repository", summary, "leave one of them out")


def _misplaced_hooks(hooks: Mapping[str, Any]) -> Iterator[Problem]:
    if "run" in mapping_at(hooks, "before"):
        path = ("hooks", "before", "run")
        yield Problem(path, "invalid-value", "spec.hooks.before.run does not exist", "run has only an after", True)


def _nested_files(files: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield the files that are the same file, or that would lie below another file, as `a/b` below `a`."""
    plain: dict[str, str] = {}
    for name in files:
        path = plain_path(name) if isinstance(name, str) else ""
        if in_home(path) and not in_home(name):
            summary = f"spec.files: {name[:80]} is neither in the run's home nor beside the source"
            yield Problem(("files", name), "invalid-path", summary, f"write {path[:80]} for the home", at_key=True)
        if path and (other := plain.setdefault(path, name)) != name:
            summary = f"spec.files: {name[:80]} and {other[:80]} are the same file"
            yield Problem(("files", name), "duplicate-key", summary, "leave one of them out", at_key=True)
    for path, name in plain.items():
        above = path.rpartition("/")[0]
        while above:
            if above in plain:
                summary = f"spec.files: {name[:80]} cannot be inside {plain[above][:80]}, which is a file"
                yield Problem(("files", name), "invalid-path", summary, "give one of them another path", True)
                break
            above = above.rpartition("/")[0]


def plain_path(path: str) -> str:
    """Return the canonical form of a file's relative path: `./a` becomes `a`."""
    if "." not in path and "//" not in path:
        return path
    return "/".join(part for part in path.split("/") if part not in ("", "."))


class AttachTo(Model):
    """Selects the stacks that get it without naming it, in its space and in the spaces that inherit from it."""

    match_labels: dict[LabelKey, LabelValue] = Field(
        default_factory=dict,
        max_length=MOST_LABELS,
        description="Labels that a stack must have, all of them. Default: every stack.",
    )

    def fits(self, labels: Mapping[str, str]) -> bool:
        """Whether a stack with these labels is selected."""
        return self.match_labels.items() <= labels.items()


class ContextSpec(Configuration):
    """Environment, files and hooks for every stack that names this context or has its labels."""

    attach: AttachTo | None = Field(None, description="The stacks that use it without naming it. Default: none.")

    @classmethod
    def problems(cls, raw: Mapping[str, Any]) -> Iterator[Problem]:
        """Yield the problems of the configuration, and an empty `attach:`, which a reader could take for all stacks."""
        yield from super().problems(raw)
        if "attach" in raw and raw["attach"] is None:
            hint = "write {} for every stack, or remove it for only those that name the context"
            yield Problem(("attach",), "wrong-type", "spec.attach must be a mapping, is null", hint, at_key=True)
