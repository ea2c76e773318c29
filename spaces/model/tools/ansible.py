"""Ansible's settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from pydantic import Field

from spaces.model.base import DirectoryPath
from spaces.model.tool import ToolDescription, ToolSettings


class AnsibleSettings(ToolSettings):
    """Settings of ansible. Paths are relative to the source's path."""

    later: ClassVar[Mapping[str, str]] = {"extraVars": "extra variables"}

    playbook: DirectoryPath = Field(description="The playbook to run.")
    inventory: DirectoryPath | None = Field(None, description="The inventory. Default: ansible's own.")


TOOL = ToolDescription("ansible", AnsibleSettings, "Settings of ansible.")
