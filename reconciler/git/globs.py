"""Globs over paths of a repository: `*`, `?` and `[…]` within a name, `**` for any number of directories."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import translate

from spaces.model.globs import check_glob, glob_parts

__all__ = ["Glob", "check_glob"]

_MAGIC = re.compile(r"[*?\[]")


@dataclass(frozen=True, slots=True)
class Glob:
    """A parsed glob: a directory without wildcards, then one matcher for each part; None stands for `**`."""

    prefix: str
    parts: tuple[Callable[[str], object] | None, ...]

    @classmethod
    def parse(cls, glob: str) -> Glob:
        """Parse a glob; raise ValueError with the reason for an invalid one."""
        check_glob(glob)
        parts = glob_parts(glob)
        split = next((i for i, part in enumerate(parts) if _MAGIC.search(part)), len(parts))
        return cls("/".join(parts[:split]), tuple(_matcher(part) for part in parts[split:]))

    def start(self) -> frozenset[int]:
        """Return the positions in the pattern before the first name below the prefix."""
        return self._skip({0})

    def step(self, positions: frozenset[int], name: str) -> frozenset[int]:
        """Return the positions after the name of one directory or file."""
        after: set[int] = set()
        for position in positions:
            if position == len(self.parts):
                continue
            part = self.parts[position]
            if part is None:
                after.add(position)
            elif part(name):
                after.add(position + 1)
        return self._skip(after)

    def is_match(self, positions: frozenset[int]) -> bool:
        """Whether a file whose names led to these positions matches."""
        return len(self.parts) in positions

    def _skip(self, positions: set[int]) -> frozenset[int]:
        reached = set(positions)
        for position in range(min(reached, default=0), len(self.parts)):
            if position in reached and self.parts[position] is None:
                reached.add(position + 1)
        return frozenset(reached)


def _matcher(part: str) -> Callable[[str], object] | None:
    return None if part == "**" else re.compile(translate(part)).match
