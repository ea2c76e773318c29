"""What one fetch has to bring: the refspecs of branches, tags, versions and commits, and what then arrived of each.

A range of versions becomes a tag once the names of the remote's tags are known. A commit is looked for on all branches
and tags, because not every server gives out a commit by its id, and some give out those of other people's copies too.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass

import pygit2

from reconciler.git import refs
from reconciler.git.errors import GitError, GitReason, one_line
from reconciler.git.remote import check_branch
from spaces.model.refs import Ref, RefKind, read_ref, ref_of
from spaces.model.semver import newest, newest_of_all, semver_range
from spaces.names import Revision

_TAGS = "refs/tags/"
_HEADS = "refs/heads/"


@dataclass(frozen=True, slots=True)
class Release:
    """What a range of versions led to: the tag of the newest version, and its commit."""

    tag: str
    revision: Revision


Arrived = Revision | Release | GitError


def revision_of(arrived: Revision | Release) -> Revision:
    """Return the commit of what arrived."""
    return arrived.revision if isinstance(arrived, Release) else arrived


def check_ref(ref: Ref) -> None:
    """Raise ValueError with one sentence unless this can be followed by Git's own rules."""
    followed = read_ref(ref)
    match followed.kind:
        case RefKind.BRANCH:
            check_branch(followed.name)
        case RefKind.TAG:
            check_branch(followed.name, "tag")
        case RefKind.SEMVER:
            semver_range(followed.name)
        case RefKind.REVISION:
            if len(followed.name) != 40 or set(followed.name) - set("0123456789abcdef"):
                raise ValueError("the revision is not a whole commit id")


def branches_in(wanted: Iterable[Ref]) -> list[str]:
    """Return the branches among what is wanted."""
    return [ref for ref in wanted if read_ref(ref).kind is RefKind.BRANCH]


@dataclass(slots=True)
class Wanted:
    """What is wanted of a remote by one fetch."""

    refs: Collection[Ref]
    everything: bool
    """Whether a commit is wanted that the mirror does not have."""
    _versions: Mapping[Ref, str | None] | None = None
    _newest: str | None = None

    @classmethod
    def of(cls, wanted: Collection[Ref], has: Callable[[Ref], bool]) -> Wanted:
        """Take what is wanted; `has` says whether a commit is there already."""
        return cls(wanted, not all(has(ref) for ref in wanted if read_ref(ref).kind is RefKind.REVISION))

    @property
    def needs_remote(self) -> bool:
        """Whether anything is wanted that may have changed, or that is not there."""
        return self.everything or any(read_ref(ref).kind is not RefKind.REVISION for ref in self.refs)

    @property
    def needs_names(self) -> bool:
        """Whether the names of the remote's tags decide what is fetched."""
        return any(read_ref(ref).kind is RefKind.SEMVER for ref in self.refs)

    def named(self) -> list[Ref]:
        """Return the branches and tags to be fetched, those of versions included as far as they are known."""
        found = [ref for ref in self.refs if read_ref(ref).kind in {RefKind.BRANCH, RefKind.TAG}]
        tags = (ref_of(RefKind.TAG, tag) for tag in (self._versions or {}).values() if tag is not None)
        return list(dict.fromkeys((*found, *tags)))

    def choose(self, names: list[str]) -> list[str]:
        """Choose the tags of versions out of the names of the remote's refs; return the refspecs."""
        tags = [name.removeprefix(_TAGS) for name in names if name.startswith(_TAGS) and not name.endswith("^{}")]
        ranges = [ref for ref in self.refs if read_ref(ref).kind is RefKind.SEMVER]
        self._versions = {ref: newest(tags, read_ref(ref).name) for ref in ranges}
        self._newest = newest_of_all(tags) if None in self._versions.values() else None
        return self.refspecs()

    def refspecs(self) -> list[str]:
        """Return the refspecs."""
        found = [f"+{_remote_name(ref)}:{refs.incoming_name(ref)}" for ref in self.named()]
        if self.everything:
            found += [f"+{each}*:{refs.ALL}{each.split('/')[1]}/*" for each in (_HEADS, _TAGS)]
        return found

    def version(self, ref: Ref) -> str | GitError:
        """Return the tag that a range of versions led to."""
        tag = (self._versions or {}).get(ref)
        if tag is not None:
            return tag
        there = f"its newest version is {self._newest}" if self._newest else "it has no tag that is a version"
        message = f"no tag is a version in the range {one_line(read_ref(ref).name)!r}: {there}"
        return GitError(GitReason.VERSION_NOT_FOUND, message)


def _remote_name(ref: Ref) -> str:
    followed = read_ref(ref)
    return f"{_TAGS if followed.kind is RefKind.TAG else _HEADS}{followed.name}"


def not_found(ref: Ref, names: Collection[str], shown: str) -> GitError | None:
    """Say why a branch or tag did not arrive; None: the remote has it. `shown` is the remote's address."""
    if _remote_name(ref) in names:
        return None
    followed = read_ref(ref)
    if followed.kind is RefKind.TAG:
        return GitError(GitReason.TAG_NOT_FOUND, f"{shown} has no tag {one_line(followed.name)!r}")
    if not any(name.startswith(_HEADS) for name in names):
        return GitError(GitReason.REPOSITORY_EMPTY, f"{shown} has no branches: nobody has pushed to it yet")
    return GitError(GitReason.BRANCH_NOT_FOUND, f"{shown} has no branch {one_line(followed.name)!r}")


def reached(repository: pygit2.Repository, prefix: str, revision: Revision) -> bool:
    """Whether a commit is one of those that the refs with a prefix lead to, or that these build on."""
    walker = repository.walk(None)
    for name in refs.names(repository, prefix):
        tip = refs.target(repository, name)
        if tip == revision:
            return True
        if tip is not None:
            walker.push(pygit2.Oid(hex=tip))
    return any(str(commit.id) == revision for commit in walker)


def names_no_commit(repository: pygit2.Repository, name: str) -> bool:
    """Whether a ref that is there leads to an object that is there and is no commit."""
    reference = repository.references.get(name)
    if reference is None or reference.target not in repository:
        return False
    found = repository[reference.target]
    while isinstance(found, pygit2.Tag):
        if found.target not in repository:
            return False
        found = repository[found.target]
    return not isinstance(found, pygit2.Commit)
