"""Finds a tool's adapter by name; imports only the one that is asked for.

Each package beside this module is a tool, and has a function `tool` that returns its adapter.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import Protocol, cast

import reconciler.tools
from reconciler.tools.base import Tool

TOOLS: frozenset[str] = frozenset(module.name for module in iter_modules(reconciler.tools.__path__) if module.ispkg)
"""The names of the tools that there are."""


class _Package(Protocol):
    def tool(self) -> Tool: ...


@cache
def tool(name: str) -> Tool:
    """Return the adapter of a tool; KeyError for a name that is not in TOOLS."""
    if name not in TOOLS:
        raise KeyError(name)
    return cast("_Package", import_module(f"reconciler.tools.{name}")).tool()
