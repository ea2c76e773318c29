"""Terraform's settings, which OpenTofu shares."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from spaces.model.base import WORKSPACE, matching
from spaces.model.tool import ToolDescription, ToolSettings

Workspace = Annotated[str, matching(WORKSPACE)]


class TerraformSettings(ToolSettings):
    """Settings of terraform and opentofu."""

    workspace: Workspace | None = Field(None, description="The workspace to run in.")


TOOL = ToolDescription("terraform", TerraformSettings, "Settings of terraform.")
