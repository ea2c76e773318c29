"""Globs over paths of a repository: `*`, `?` and `[…]` within a name, `**` for any number of directories."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import translate

_MAGIC = re.compile(r"[*?\[]")
_LONGEST = 500
_MOST_PARTS = 50


def check_glob(glob: str) -> None:
    """Raise ValueError with one sentence unless `glob` is a relative pattern that cannot leave the repository."""
    if not glob or not glob.isprintable() or len(glob) > _LONGEST:
        raise ValueError("a glob is between 1 and 500 printable characters")
    if glob.startswith("/"):
        raise ValueError(f"the glob {glob!r} is absolute: write it relative to the top of the repository")
    parts = _parts(glob)
    if ".." in parts:
        raise ValueError(f"the glob {glob!r} holds '..'")
    if not parts or len(parts) > _MOST_PARTS:
        raise ValueError(f"the glob {glob!r} must name between 1 and {_MOST_PARTS} path parts")
    for part in parts:
        if "**" in part and part != "**":
            raise ValueError(f"the glob {glob!r} mixes '**' with other characters in one part")


def _parts(glob: str) -> list[str]:
    return [part for part in glob.split("/") if part not in ("", ".")]


@dataclass(frozen=True, slots=True)
class Glob:
    """A parsed glob: a directory without wildcards, then one matcher per part; None stands for `**`."""

    prefix: str
    parts: tuple[Callable[[str], object] | None, ...]

    @classmethod
    def parse(cls, glob: str) -> Glob:
        """Read a glob; ValueError says what is wrong with it."""
        check_glob(glob)
        parts = _parts(glob)
        split = next((i for i, part in enumerate(parts) if _MAGIC.search(part)), len(parts))
        return cls("/".join(parts[:split]), tuple(_matcher(part) for part in parts[split:]))

    def start(self) -> frozenset[int]:
        """Give the positions in the pattern before any name under the prefix was read."""
        return self._skip({0})

    def step(self, positions: frozenset[int], name: str) -> frozenset[int]:
        """Give the positions after the name of one directory or file."""
        after: set[int] = set()
        for at in positions:
            if at == len(self.parts):
                continue
            part = self.parts[at]
            if part is None:
                after.add(at)
            elif part(name):
                after.add(at + 1)
        return self._skip(after)

    def is_match(self, positions: frozenset[int]) -> bool:
        """Say whether a file that led to these positions matches."""
        return len(self.parts) in positions

    def _skip(self, positions: set[int]) -> frozenset[int]:
        reached = set(positions)
        for at in range(min(reached, default=0), len(self.parts)):
            if at in reached and self.parts[at] is None:
                reached.add(at + 1)
        return frozenset(reached)


def _matcher(part: str) -> Callable[[str], object] | None:
    return None if part == "**" else re.compile(translate(part)).match
