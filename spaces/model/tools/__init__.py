"""The tools that a stack may name: one module for each, found here and listed nowhere."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from importlib import import_module
from pkgutil import iter_modules
from types import MappingProxyType
from typing import TYPE_CHECKING

from spaces.model.tool import ToolDescription

_FOUND: tuple[ToolDescription, ...] = tuple(
    import_module(f"{__name__}.{module.name}").TOOL for module in sorted(iter_modules(__path__))
)
TOOLS: Mapping[str, ToolDescription] = MappingProxyType({tool.name: tool for tool in _FOUND})
"""Every tool by name."""

if TYPE_CHECKING:

    class ToolName(StrEnum):
        """The name of a tool that a stack may use."""
else:
    ToolName = StrEnum("ToolName", {name.upper(): name for name in TOOLS})
