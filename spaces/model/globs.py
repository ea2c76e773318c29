"""Globs over paths of a repository: `*`, `?` and `[…]` within a name, `**` for any number of directories."""

from __future__ import annotations

_LONGEST = 500
_MOST_PARTS = 50


def check_glob(glob: str) -> None:
    """Raise ValueError with one sentence unless `glob` is a relative pattern that stays inside the repository."""
    if not glob or not glob.isprintable() or len(glob) > _LONGEST:
        raise ValueError("a glob is between 1 and 500 printable characters")
    if glob.startswith("/"):
        raise ValueError(f"the glob {glob!r} is absolute: write it relative to the top of the repository")
    parts = glob_parts(glob)
    if ".." in parts:
        raise ValueError(f"the glob {glob!r} holds '..'")
    if not parts or len(parts) > _MOST_PARTS:
        raise ValueError(f"the glob {glob!r} must name between 1 and {_MOST_PARTS} path parts")
    for part in parts:
        if "**" in part and part != "**":
            raise ValueError(f"the glob {glob!r} mixes '**' with other characters in one part")


def glob_parts(glob: str) -> list[str]:
    """Return the parts of a glob between its slashes, without empty parts and `.`."""
    return [part for part in glob.split("/") if part not in ("", ".")]
