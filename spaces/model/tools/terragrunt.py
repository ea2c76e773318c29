"""Terragrunt's settings."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from spaces.model.base import Flag, Line
from spaces.model.tool import ToolDescription, ToolSettings


class Below(StrEnum):
    """The tool that Terragrunt runs."""

    OPENTOFU = "opentofu"
    TERRAFORM = "terraform"


class TerragruntSettings(ToolSettings):
    """Settings of terragrunt."""

    run_all: Flag = Field(False, description="true: run every unit below the source's path, in the order of its graph.")
    tool: Below = Field(Below.OPENTOFU, description="The tool that Terragrunt runs.")
    filter: Line | None = Field(
        None, description="With runAll: a filter expression of Terragrunt that chooses the units."
    )


TOOL = ToolDescription("terragrunt", TerragruntSettings, "Settings of terragrunt.")
