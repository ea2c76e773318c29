"""Commits on a new branch of somebody's own clone. Its work directory, index and other branches stay as they are."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pygit2
from pygit2.enums import FileMode, RepositoryOpenFlag

from reconciler.git.errors import one_line
from reconciler.git.libgit2 import LIBRARY_ERRORS
from reconciler.git.remote import check_branch
from spaces.names import Revision


class CannotCommit(Exception):
    """Nothing was written; the message is one line for a person."""


def commit_on_branch(clone: Path, branch: str, base: Revision, files: Mapping[str, str], message: str) -> Revision:
    """Commit other contents of some files of `base` as a new branch, unsigned, by whom Git's settings there name."""
    ref = f"refs/heads/{branch}"
    try:
        check_branch(branch)
        repository = pygit2.Repository(str(clone), RepositoryOpenFlag.CROSS_FS)
        if ref in repository.references:
            raise CannotCommit(f"the branch {branch} is there already: name another one")
        who = _who(repository)
        index = pygit2.Index()
        index.read_tree(repository[base].peel(pygit2.Tree))
        for path, text in files.items():
            mode = index[path].mode if path in index else FileMode.BLOB
            index.add(pygit2.IndexEntry(path, repository.create_blob(text.encode()), mode))
        tree = index.write_tree(repository)
        made = repository.create_commit(ref, who, who, message + "\n", tree, [pygit2.Oid(hex=base)])
    except LIBRARY_ERRORS as error:
        raise CannotCommit(f"the branch {branch} cannot be written: {one_line(str(error))}") from None
    return Revision(str(made))


def _who(repository: pygit2.Repository) -> pygit2.Signature:
    """Return who commits: by the environment, else by the clone's own settings."""
    found = {}
    for key in ("name", "email"):
        said = os.environ.get(f"GIT_AUTHOR_{key.upper()}")
        if not said and f"user.{key}" in repository.config:
            said = repository.config[f"user.{key}"]
        if not said:
            raise CannotCommit(f"who commits is not known: set GIT_AUTHOR_{key.upper()}, or user.{key} in the clone")
        found[key] = said
    return pygit2.Signature(found["name"], found["email"])
