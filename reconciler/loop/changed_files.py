"""Which files of a stack's source differ from those that were applied."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from reconciler.git.errors import GitError, GitReason
from reconciler.git.trees import Trees
from reconciler.loop.sources import MISSING

MOST_PATHS = 1000
"""How many files a push policy is told of."""


def changed_files(trees: Trees, old: Mapping[str, str], new: Mapping[str, str]) -> tuple[list[str], bool]:
    """Give the files that differ, sorted and bounded, and whether there are more. `old` and `new`: Git ids by path.

    Where what was applied is no longer there to compare with, every file of the source is taken for changed.
    """
    found: set[str] = set()
    try:
        for path in sorted(old.keys() | new.keys()):
            for each in _between(trees, old.get(path), new.get(path), path):
                found.add(each)
                if len(found) > MOST_PATHS:
                    return sorted(found)[:MOST_PATHS], True
    except GitError:
        # Too many to read, or the newest revision is gone already: what is not known must not look as if all were.
        return sorted(found), True
    return sorted(found), False


def _between(trees: Trees, old: str | None, new: str | None, path: str) -> Iterator[str]:
    before, after = (None if each == MISSING else each for each in (old, new))
    if before == after:
        return iter(())
    try:
        return trees.paths_between(before, after, path)
    except GitError as error:
        if error.reason is not GitReason.REVISION_NOT_FOUND or after is None:
            raise
        return trees.paths_between(None, after, path)
