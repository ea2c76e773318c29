"""Several versions of one tool beside each other: finds them, and picks the one that a stack asks for.

In the directories of the setting `tool_paths` a binary says its version by its name (`terraform_1.9.8`) or by the name
of its directory (`1.9.8/terraform`). The name only says where to look: what counts is what the binary itself reports.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.tools.base import Tool
from reconciler.tools.versions import Found, Missing, ask, check, find

if TYPE_CHECKING:
    from packaging.version import Version

_VERSION = r"v?(?P<version>[0-9][0-9A-Za-z.+-]*)"


@dataclass(frozen=True, slots=True)
class Unfit:
    """There is the tool, but in no version that the stack allows; the message is one sentence."""

    message: str


@dataclass(frozen=True, slots=True)
class _Beside:
    """A binary whose place says its version."""

    label: Version
    text: str
    """The label as it is written."""
    binary: str

    @property
    def rank(self) -> tuple[bool, Version]:
        """Order it among others: what comes before a release comes behind every release."""
        return not self.label.is_prerelease, self.label


def pick(tool: Tool, constraint: str | None, search_path: str, directories: Sequence[Path]) -> Found | Missing | Unfit:
    """Find the binary for a stack: the newest one that fits `constraint` (`>=1.8,<2`), wherever it lies.

    Without a constraint it is the one on the search path, so that a version that is added beside changes no stack that
    names none; the newest release of the directories where there is none.
    """
    usual = find(tool, search_path)
    beside = _beside(tool, directories) if tool.binaries else []
    if constraint is None and (isinstance(usual, Found) or not beside):
        return usual
    problems = [] if isinstance(usual, Found) else [usual.message]
    fits = _fitting(usual, tool, constraint) if isinstance(usual, Found) else None
    for each in beside:
        if constraint is not None and check(tool.name, constraint, Found(each.binary, str(each.label))) is not None:
            continue
        if fits is not None and _version(fits) is not None and each.rank <= _rank(fits):
            break
        found = ask(tool, each.binary, search_path)
        if isinstance(found, Missing):
            problems.append(f"{each.binary}: {found.message}")
        elif check(tool.name, constraint, found) is None:
            return found
    if fits is not None:
        return fits
    if not beside:
        return Unfit(check(tool.name, constraint, usual) or "") if isinstance(usual, Found) else usual
    return _unfit(tool, constraint, usual, beside, problems)


def versions(tool: Tool, search_path: str, directories: Sequence[Path]) -> list[tuple[str, Found | Missing]]:
    """List the binaries that lie side by side, newest first, each with what it reports of itself."""
    return [(each.binary, ask(tool, each.binary, search_path)) for each in _beside(tool, directories)]


def as_planned(tool: Tool, binary: str, version: str | None, search_path: str) -> Found | Unfit:
    """Return the binary that made a plan, if it is still what it was."""
    shown = f"{tool.name} {version}" if version else tool.name
    now = ask(tool, binary, search_path)
    if isinstance(now, Missing):
        return Unfit(f"the plan was made by {shown} at {binary}, which cannot be used any more: plan it again")
    if now.version != version:
        return Unfit(f"the plan was made by {shown} at {binary}, which is {now.version} by now: plan it again")
    return now


def _fitting(usual: Found, tool: Tool, constraint: str | None) -> Found | None:
    return usual if check(tool.name, constraint, usual) is None else None


def _unfit(
    tool: Tool, constraint: str | None, usual: Found | Missing, beside: list[_Beside], problems: list[str]
) -> Missing | Unfit:
    there = [each.text for each in beside]
    if isinstance(usual, Found) and usual.version is not None:
        there.append(usual.version)
    there = list(dict.fromkeys(there))
    if constraint is None:
        return Missing("; ".join(problems))
    wrong = check(tool.name, constraint, Found(beside[0].binary, str(beside[0].label)))
    if wrong is None or len(there) > 1:
        said = "".join(f"; {each}" for each in problems if not isinstance(usual, Missing) or each != usual.message)
        wrong = f"{tool.name} is installed as {', '.join(there)}, but the stack requires {constraint}{said}"
    return Unfit(wrong)


def _beside(tool: Tool, directories: Sequence[Path]) -> list[_Beside]:
    """List the binaries by the versions that their places name, newest first."""
    found: dict[Version, _Beside] = {}
    for directory in directories:
        for text, path in _labelled(tool, directory):
            label = _parse(text)
            if label is not None and label not in found and os.access(path, os.X_OK) and path.is_file():
                found[label] = _Beside(label, text, str(path))
    return sorted(found.values(), key=lambda each: each.rank, reverse=True)


def _labelled(tool: Tool, directory: Path) -> Iterator[tuple[str, Path]]:
    try:
        names = sorted(os.listdir(directory))  # noqa: PTH208 - names only
    except OSError:
        return
    for binary in tool.binaries:
        if "/" in binary:
            continue  # it comes with the service, in one version
        shape = re.compile(rf"(?P<tool>{re.escape(binary)}[_-])?{_VERSION}")
        for label in filter(None, map(shape.fullmatch, names)):
            path = directory / label[0]
            if path.is_dir():
                yield label["version"], path / binary
            elif label["tool"]:
                yield label["version"], path


def _rank(found: Found) -> tuple[bool, Version]:
    version = _version(found)
    assert version is not None  # noqa: S101 - asked before
    return not version.is_prerelease, version


def _version(found: Found) -> Version | None:
    return _parse(found.version or "")


def _parse(text: str) -> Version | None:
    from packaging.version import InvalidVersion, Version  # noqa: PLC0415 - slow to import, and seldom needed

    try:
        return Version(text)
    except InvalidVersion:
        return None
