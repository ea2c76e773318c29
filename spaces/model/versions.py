"""Ranges of versions as people write them for tools, read in one sense: by the model and where a binary was found."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from packaging.specifiers import SpecifierSet

_PART = re.compile(r"(?P<operator>~>|~=|===|==|>=|<=|!=|>|<|=|)\s*v?(?P<version>[0-9][^\s,]*)\s*,?\s*")
_NUMBERS = re.compile(r"[0-9]+(\.[0-9]+)*")


@lru_cache(maxsize=256)
def version_range(text: str) -> SpecifierSet:
    """Return the versions that a text allows; ValueError where it is no range.

    Beside Python's own way (`>=1.8,<2`) that is Terraform's (`~> 1.9`, `= 1.9.8`), and a bare version: `1.9.8` means
    exactly that one, `1.9` any that begins with it.
    """
    # Slow to import, and few stacks name a version.
    from packaging.specifiers import InvalidSpecifier, SpecifierSet  # noqa: PLC0415

    parts: list[str] = []
    at = 0
    stripped = text.strip()
    while at < len(stripped):
        found = _PART.match(stripped, at)
        if found is None:
            raise ValueError(f"{text!r} is no range of versions")
        parts += _specifiers(found["operator"], found["version"])
        at = found.end()
    try:
        wanted = SpecifierSet(",".join(parts))
    except InvalidSpecifier:
        raise ValueError(f"{text!r} is no range of versions") from None
    if not parts:
        raise ValueError(f"{text!r} is no range of versions")
    return wanted


def _specifiers(operator: str, version: str) -> list[str]:
    match operator:
        case "~>":
            return _pessimistic(version)
        case "" if version.endswith((".x", ".*")):
            return [f"=={version[:-2]}.*"]
        case "" if _NUMBERS.fullmatch(version) and version.count(".") < 2:
            return [f"=={version}.*"]
        case "" | "=":
            return [f"=={version}"]
        case _:
            return [f"{operator}{version}"]


def _pessimistic(version: str) -> list[str]:
    """Return the versions from this one on, up to where the number before its last one changes."""
    numbers = version.partition("-")[0].split(".")
    if not all(number.isdigit() for number in numbers):
        raise ValueError(f"~> {version} is no range of versions")
    kept = [int(number) for number in numbers[:-1] or numbers]
    kept[-1] += 1
    return [f">={version}", f"<{'.'.join(map(str, kept))}"]
