"""Which tools a machine has, and in which versions: for the doctor, and for what a worker says of itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from reconciler.tools.registry import TOOLS, tool
from reconciler.tools.side_by_side import versions
from reconciler.tools.versions import Found, Missing, find


class Installed(NamedTuple):
    """A tool as it was found, or why it cannot be used. `beside`: the binary of one of several versions."""

    tool: str
    found: Found | Missing
    beside: str | None = None


def installed(search_path: str, directories: Sequence[Path]) -> Iterator[Installed]:
    """Look for every tool that is a program of its own, and ask each binary for its version."""
    for name in sorted(TOOLS):
        adapter = tool(name)
        if not adapter.binaries:
            continue
        yield Installed(name, find(adapter, search_path))
        yield from (Installed(name, each, binary) for binary, each in versions(adapter, search_path, directories))


def usable_tools(search_path: str, directories: Sequence[Path]) -> dict[str, list[str]]:
    """Return the tools that runs can use here, each with its versions; those that need no program have none."""
    usable: dict[str, list[str]] = {name: [] for name in sorted(TOOLS) if not tool(name).binaries}
    for each in installed(search_path, directories):
        if isinstance(each.found, Found):
            found = usable.setdefault(each.tool, [])
            if each.found.version is not None and each.found.version not in found:
                found.append(each.found.version)
    return usable
