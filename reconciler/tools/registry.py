"""Finds a tool's adapter by name; imports only the one that is asked for."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import Protocol, cast

from reconciler.tools.base import Tool

_MODULES = {
    "ansible": "ansible",
    "opentofu": "terraform",
    "script": "script",
    "terraform": "terraform",
}

TOOLS: frozenset[str] = frozenset(_MODULES)
"""The names of the tools that are built."""


class _Adapter(Protocol):
    def tool(self, name: str) -> Tool: ...


@cache
def tool(name: str) -> Tool:
    """Return the adapter of a tool; KeyError for a name that is not in TOOLS."""
    module = cast("_Adapter", import_module(f"reconciler.tools.{_MODULES[name]}"))
    return module.tool(name)
