"""Terraform's settings, which OpenTofu shares."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import Field

from spaces.model.base import WORKSPACE, DirectoryPath, Line, Model, Number, Problem, list_at, mapping_at, matching
from spaces.model.durations import Duration
from spaces.model.tool import ToolDescription, ToolSettings

Workspace = Annotated[str, matching(WORKSPACE)]

_ADDRESS = r"=\S.*"
ALLOWED: Mapping[str, tuple[str, ...]] = {
    "init": ("-upgrade", "-lockfile=readonly", r"-backend-config=[^=]+"),
    "plan": (
        "-refresh=false",
        "-compact-warnings",
        "-concise",
        f"-target{_ADDRESS}",
        f"-exclude{_ADDRESS}",
        f"-replace{_ADDRESS}",
    ),
    "apply": ("-compact-warnings", "-concise"),
}
"""Patterns of the arguments that a document may add, by phase. Every other one could break what a run promises."""

_SHOWN = {
    "init": "-upgrade, -lockfile=readonly, -backend-config=FILE",
    "plan": "-refresh=false, -target=ADDRESS, -exclude=ADDRESS, -replace=ADDRESS, -compact-warnings, -concise",
    "apply": "-compact-warnings, -concise",
}


class PhaseArguments(Model):
    """Arguments that are added to the tool's own commands."""

    init: tuple[Line, ...] = Field((), description=f"Added to init: {_SHOWN['init']}.")
    plan: tuple[Line, ...] = Field((), description=f"Added to plan: {_SHOWN['plan']}.")
    apply: tuple[Line, ...] = Field((), description=f"Added to apply: {_SHOWN['apply']}.")


class TerraformSettings(ToolSettings):
    """Settings of terraform and opentofu."""

    workspace: Workspace | None = Field(None, description="The workspace to run in.")
    var_files: tuple[DirectoryPath, ...] = Field(
        (), description="Files with values of variables, relative to the source's path; later ones win."
    )
    parallelism: Number | None = Field(None, description="How many resources it handles at a time.", ge=1, le=256)
    lock_timeout: Duration | None = Field(None, description="How long it waits for a lock of the tfstate.")
    args: PhaseArguments = Field(default_factory=PhaseArguments, description="Arguments by phase.")

    @classmethod
    def problems(cls, raw: Mapping[str, Any]) -> Iterator[Problem]:
        """Yield the arguments that are not allowed."""
        for phase, patterns in ALLOWED.items():
            for at, text in enumerate(list_at(mapping_at(raw, "args"), phase)):
                if isinstance(text, str) and not any(re.fullmatch(pattern, text) for pattern in patterns):
                    yield Problem(
                        ("args", phase, at),
                        "argument-not-allowed",
                        f"{text[:80]!r} may not be added to {phase}",
                        f"allowed are {_SHOWN[phase]}",
                    )


TOOL = ToolDescription("terraform", TerraformSettings, "Settings of terraform.")
