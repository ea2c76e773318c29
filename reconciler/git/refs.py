"""The references of a mirror: the tips of branches, branches that are arriving, and kept revisions."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pygit2
from pygit2.enums import RepositoryOpenFlag

from reconciler.git.libgit2 import LIBRARY_ERRORS
from spaces.model.refs import Ref
from spaces.names import Revision

TIP = "refs/station/tip/"
INCOMING = "refs/station/incoming/"
KEEP = "refs/station/keep/"
ALL = "refs/station/all/"
"""All branches and tags of the remote, while a commit is looked for in them."""
IN_FORCE = "refs/station/in-force"
"""What is in force: one commit for each state."""
_OPEN = RepositoryOpenFlag.NO_SEARCH | RepositoryOpenFlag.BARE


def tip_name(ref: Ref) -> str:
    """Return the name under which the mirror holds the newest commit of a branch or tag, or one commit."""
    return TIP + _quoted(ref)


def incoming_name(ref: Ref) -> str:
    """Return the name that a branch or tag is fetched into."""
    return INCOMING + _quoted(ref)


def ref_of_tip(tip: str) -> Ref:
    """Return the branch, tag or commit that a name of `tip_name` belongs to."""
    return tip.removeprefix(TIP).replace("%2F", "/").replace("%3A", ":").replace("%25", "%")


def _quoted(ref: Ref) -> str:
    # One level of names: `a` and `a/b`, which a remote can have one after the other, would collide on disk.
    return ref.replace("%", "%25").replace("/", "%2F").replace(":", "%3A")


def open_bare(directory: Path) -> pygit2.Repository | None:
    """Return the bare repository in exactly this directory; None if there is none, or if it does not open."""
    try:
        return pygit2.Repository(str(directory), _OPEN)
    except LIBRARY_ERRORS:
        return None


def target(repository: pygit2.Repository, name: str) -> Revision | None:
    """Return the commit that a ref points to; None if there is no such ref, or if its commit is missing."""
    try:
        reference = repository.references.get(name)
        return Revision(str(reference.peel(pygit2.Commit).id)) if reference is not None else None
    except LIBRARY_ERRORS:
        return None


def names(repository: pygit2.Repository | None, prefix: str) -> list[str]:
    """Return all refs with the prefix; none if they cannot be read."""
    if repository is None:
        return []
    try:
        return [name for name in repository.references if name.startswith(prefix)]
    except LIBRARY_ERRORS:
        return []


def point(repository: pygit2.Repository, name: str, revision: str) -> None:
    """Point a ref to a commit that is there."""
    repository.create_reference(name, pygit2.Oid(hex=revision), force=True)


def delete(repository: pygit2.Repository, name: str) -> None:
    """Delete a ref, if it exists."""
    with suppress(KeyError):
        repository.references.delete(name)
