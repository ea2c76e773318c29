"""The references of a mirror: tips, what is arriving, what is kept."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pygit2
from pygit2.enums import RepositoryOpenFlag

from reconciler.git.libgit2 import LIBRARY_ERRORS
from spaces.names import Revision

TIP = "refs/station/tip/"
INCOMING = "refs/station/incoming/"
KEEP = "refs/station/keep/"
IN_FORCE = "refs/station/in-force"
"""What is in force: one commit for each state."""
_OPEN = RepositoryOpenFlag.NO_SEARCH | RepositoryOpenFlag.BARE


def tip_name(branch: str) -> str:
    """Name the ref that holds a branch's tip."""
    return TIP + _quoted(branch)


def incoming_name(branch: str) -> str:
    """Name the ref that a branch is fetched into."""
    return INCOMING + _quoted(branch)


def branch_of(tip: str) -> str:
    """Give the branch that a tip's ref belongs to."""
    return tip.removeprefix(TIP).replace("%2F", "/").replace("%25", "%")


def _quoted(branch: str) -> str:
    # One level of names, so that `a` and `a/b`, of which a remote has one after the other, never meet on disk.
    return branch.replace("%", "%25").replace("/", "%2F")


def open_bare(directory: Path) -> pygit2.Repository | None:
    """Open a bare repository in exactly this directory; None where there is none that opens."""
    try:
        return pygit2.Repository(str(directory), _OPEN)
    except LIBRARY_ERRORS:
        return None


def target(repository: pygit2.Repository, name: str) -> Revision | None:
    """Give the commit that a ref holds; None where there is no such ref, or nothing whole behind it."""
    try:
        reference = repository.references.get(name)
        return Revision(str(reference.peel(pygit2.Commit).id)) if reference is not None else None
    except LIBRARY_ERRORS:
        return None


def names(repository: pygit2.Repository | None, prefix: str) -> list[str]:
    """Give all refs of a prefix; none where they cannot be read."""
    if repository is None:
        return []
    try:
        return [name for name in repository.references if name.startswith(prefix)]
    except LIBRARY_ERRORS:
        return []


def point(repository: pygit2.Repository, name: str, revision: str) -> None:
    """Make a ref hold a commit that is there."""
    repository.create_reference(name, pygit2.Oid(hex=revision), force=True)


def delete(repository: pygit2.Repository, name: str) -> None:
    """Delete a ref, if there is one."""
    with suppress(KeyError):
        repository.references.delete(name)
