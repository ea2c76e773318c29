"""A commit that the service makes, and one push of it as a new branch.

A push never moves a branch that is there, so that it takes nothing from anybody. To a repository of this machine it is
a fetch from there: libgit2 pushes only to bare ones.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pygit2
from pygit2.enums import FetchPrune, FileMode, RepositoryOpenFlag

from reconciler.git import refs
from reconciler.git.authoring import Pen
from reconciler.git.errors import GitError, GitReason, one_line
from reconciler.git.libgit2 import LIBRARY_ERRORS
from reconciler.git.remote import Credentials, check_branch, local_path, redact
from reconciler.git.transfer import Callbacks, explain
from spaces.names import Revision

PUSH_DEADLINE = 60.0
"""The most seconds that a push may take: a person waits for it."""
_MOST_SAID = 2000
"""How many characters of a server's answer are kept."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A commit to make: the tree of `base` with these files, by whom, and the pen that signs it."""

    base: Revision
    files: Mapping[str, str]
    message: str
    author: tuple[str, str]
    """Name and address."""
    committer: tuple[str, str]
    pen: Pen


def commit(repository: pygit2.Repository, draft: Draft) -> Revision:
    """Write a signed commit into a repository; no branch points to it."""
    index = pygit2.Index()
    index.read_tree(repository[draft.base].peel(pygit2.Tree))
    for path, text in draft.files.items():
        mode = index[path].mode if path in index else FileMode.BLOB
        index.add(pygit2.IndexEntry(path, repository.create_blob(text.encode()), mode))
    author, committer = (pygit2.Signature(*who) for who in (draft.author, draft.committer))
    tree = index.write_tree(repository)
    content = str(repository.create_commit_string(author, committer, draft.message, tree, [draft.base]))
    signed = repository.create_commit_with_signature(content, draft.pen.sign(content.encode()), "gpgsig")
    return Revision(str(signed))


def push(
    repository: pygit2.Repository, url: str, revision: Revision, branch: str, credentials: Credentials | None
) -> str:
    """Give a remote a commit as a new branch; return what the server says to that. Raise GitError."""
    check_branch(branch)
    ref = f"refs/heads/{branch}"
    mine = refs.KEEP + revision
    refs.point(repository, mine, revision)
    try:
        path = local_path(url)
        if path is not None:
            return _give(repository, path, mine, ref, url)
        return _send(repository, url, mine, ref, credentials)
    finally:
        refs.delete(repository, mine)


def _give(repository: pygit2.Repository, path: Path, mine: str, ref: str, url: str) -> str:
    try:
        there = pygit2.Repository(str(path), RepositoryOpenFlag.NO_SEARCH)
        if ref in there.references:
            raise _exists(ref)
        there.remotes.create_anonymous(repository.path).fetch([f"{mine}:{ref}"], prune=FetchPrune.NO_PRUNE)
    except LIBRARY_ERRORS as error:
        raise explain(error, url, None, GitReason.PUSH_FAILED) from None
    return ""


def _send(repository: pygit2.Repository, url: str, mine: str, ref: str, credentials: Credentials | None) -> str:
    callbacks = _Callbacks(url, credentials, time.monotonic() + PUSH_DEADLINE)
    try:
        looking = repository.remotes.create_anonymous(url)
        if any(head.name == ref for head in looking.list_heads(callbacks=callbacks, proxy=True)):
            raise _exists(ref)
        callbacks.again()
        repository.remotes.create_anonymous(url).push([f"{mine}:{ref}"], callbacks=callbacks, proxy=True)
    except GitError:
        raise
    except LIBRARY_ERRORS as error:
        raise explain(error, url, credentials, GitReason.PUSH_FAILED) from None
    if callbacks.refused is not None:
        raise GitError(
            GitReason.PUSH_REFUSED,
            f"{redact(url)} refuses the branch: {one_line(f'{callbacks.refused} {callbacks.said}')}",
        )
    return callbacks.said[:_MOST_SAID]


def _exists(ref: str) -> GitError:
    return GitError(GitReason.BRANCH_EXISTS, f"there is a branch {ref.removeprefix('refs/heads/')} already")


class _Callbacks(Callbacks):
    """Answers libgit2's questions during a push, and keeps what the server says."""

    def __init__(self, url: str, credentials: Credentials | None, until: float) -> None:
        super().__init__(url, credentials, until)
        self.said = ""
        self.refused: str | None = None

    def again(self) -> None:
        """Let the credentials be sent once more: a push connects anew."""
        self._asked = 0

    def sideband_progress(self, string: str) -> None:
        """Keep what the server says, such as where a merge request is opened."""
        self.said += string if len(self.said) < _MOST_SAID else ""

    def push_update_reference(self, refname: str, message: str | None) -> None:  # noqa: ARG002
        """Keep why the server refuses the branch."""
        self.refused = message
