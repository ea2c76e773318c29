"""Environment, files and hooks: what a Stack and a Context both can say."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field, WithJsonSchema

from spaces.model.base import Command, EnvName, FilePath, Model, Path, Problem, SpecModel, mapping_at
from spaces.model.secrets import SOURCES, EnvValue, FileValue, FromSource


class Phase(StrEnum):
    """The moments of a run that hooks attach to; RUN is the whole run and has only an after."""

    INIT = "init"
    PLAN = "plan"
    APPLY = "apply"
    RUN = "run"


# Variables by which a value takes over a process, or by which the service steers the tools itself.
_TAKES_OVER = re.compile(
    r"(?:LD_|DYLD_|PYTHON|GIT_|PERL5|TF_CLI_ARGS|TF_HTTP_|STATION_|BASH_FUNC_).*"
    r"|PATH|HOME|TMPDIR|IFS|ENV|BASH_ENV|BASHOPTS|SHELLOPTS|CDPATH|PS4|PROMPT_COMMAND|GLIBC_TUNABLES|GCONV_PATH"
    r"|NODE_OPTIONS|RUBYOPT|RUBYLIB|PERLLIB|TF_CLI_CONFIG_FILE|TF_DATA_DIR|TF_WORKSPACE|TF_REATTACH_PROVIDERS"
)


def env_allowed(name: str) -> bool:
    """Say whether a stack may set the variable `name`: not one that takes over a process or belongs to the service."""
    return _TAKES_OVER.fullmatch(name) is None


BeforePhase = Annotated[Phase, WithJsonSchema({"type": "string", "enum": [Phase.INIT, Phase.PLAN, Phase.APPLY]})]


class Hooks(Model):
    """Shell commands around the phases of a run, in order."""

    before: dict[BeforePhase, tuple[Command, ...]] = Field(default_factory=dict, description="Run before the phase.")
    after: dict[Phase, tuple[Command, ...]] = Field(default_factory=dict, description="Run after the phase.")


NO_HOOKS = Hooks.model_construct(before={}, after={})


class Configuration(SpecModel):
    """What flows into a stack's run."""

    env: dict[EnvName, EnvValue] = Field(default_factory=dict, description="Environment variables; values are text.")
    files: dict[FilePath, FileValue] = Field(
        default_factory=dict,
        description="Files by their path relative to where the tool runs, with their content, or `{source: …}`.",
    )
    hooks: Hooks = Field(default_factory=lambda: NO_HOOKS, description="Shell commands around the phases of a run.")

    @classmethod
    def problems(cls, raw: Mapping[str, Any]) -> Iterator[Problem]:
        """Give the variables that may not be set, the value sources that are not built yet, misplaced hooks."""
        env = mapping_at(raw, "env")
        for name, value in env.items():
            if _TAKES_OVER.fullmatch(name):
                hint = "use terraform.workspace" if name == "TF_WORKSPACE" else "choose another name"
                yield Problem(("env", name), "env-not-allowed", f"spec.env.{name} may not be set", hint, at_key=True)
            if type(value) is dict:
                yield from _later_source(("env", name), value)
        files = mapping_at(raw, "files")
        for name, value in files.items():
            if type(value) is dict and "source" not in value:
                yield from _later_source(("files", name), value)
        yield from _nested_files(files)
        if "run" in mapping_at(mapping_at(raw, "hooks"), "before"):
            path = ("hooks", "before", "run")
            yield Problem(path, "invalid-value", "spec.hooks.before.run does not exist", "run has only an after", True)

    def attachments(self) -> Iterator[tuple[Path, str]]:
        """Name the mounted files that lie in the repository."""
        for name, value in self.files.items():
            if isinstance(value, FromSource):
                yield ("files", name, "source"), value.source


def _nested_files(files: Mapping[str, Any]) -> Iterator[Problem]:
    """Find the files that would lie below another one, as `a/b` does below `a`."""
    plain = {_plain(name): name for name in files if isinstance(name, str)}
    for path, name in plain.items():
        above = path.rpartition("/")[0]
        while above:
            if above in plain:
                summary = f"spec.files: {name[:80]} cannot lie below {plain[above][:80]}, which is a file"
                yield Problem(("files", name), "invalid-path", summary, "give one of them another path", True)
                break
            above = above.rpartition("/")[0]


def _plain(path: str) -> str:
    return "/".join(part for part in path.split("/") if part not in ("", "."))


def _later_source(path: tuple[str, str], value: Mapping[str, Any]) -> Iterator[Problem]:
    known = [key for key in SOURCES if key in value]
    if known:
        summary = f"spec.{'.'.join(path)}: values by {{{known[0]}: …}} are not supported by this version"
        yield Problem(path, "not-supported", summary, "write the value as text")
