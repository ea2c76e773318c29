"""OpenTofu's settings: those of Terraform."""

from __future__ import annotations

from spaces.model.tool import ToolDescription
from spaces.model.tools.terraform import TerraformSettings

TOOL = ToolDescription("opentofu", TerraformSettings, "Settings of opentofu.")
