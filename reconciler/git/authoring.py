"""Commits that the command line itself makes: the first one of a new repository, and those of the demo."""

from __future__ import annotations

from pathlib import Path

import pygit2
from pygit2.enums import FileMode, RepositoryOpenFlag

from reconciler.git.libgit2 import prepare
from reconciler.git.pen import Pen
from spaces.names import Revision

_BRANCH = "refs/heads/main"


def commit_all(directory: Path, message: str, pen: Pen | None = None) -> Revision:
    """Commit everything in the directory to main; the repository is made where there is none yet.

    With a pen the commit is that one's, and signed. Nothing of this machine's Git settings counts here, so the author's
    name is brought along.
    """
    prepare()
    if (directory / ".git").exists():
        repository = pygit2.Repository(str(directory), RepositoryOpenFlag.NO_SEARCH)
    else:
        repository = pygit2.init_repository(str(directory), initial_head="main")
    repository.index.clear()
    tops = [top for top in directory.iterdir() if top.name != ".git"]
    for path in sorted(path for top in tops for path in (top, *top.rglob("*"))):
        relative = path.relative_to(directory)
        if path.is_file():
            mode = FileMode.BLOB_EXECUTABLE if path.stat().st_mode & 0o100 else FileMode.BLOB
            blob = repository.create_blob_fromdisk(str(path))
            repository.index.add(pygit2.IndexEntry(relative.as_posix(), blob, mode))
    repository.index.write()
    author = pygit2.Signature(pen.name if pen else "Stationkeeper", f"{pen.name if pen else 'station'}@localhost")
    tree = repository.index.write_tree()
    tip = repository.references.get(_BRANCH)
    parents = [tip.target] if tip is not None else []
    if pen is None:
        return Revision(str(repository.create_commit(_BRANCH, author, author, message + "\n", tree, parents)))
    content = str(repository.create_commit_string(author, author, message + "\n", tree, parents))
    made = repository.create_commit_with_signature(content, pen.sign(content.encode()), "gpgsig")
    repository.references.create(_BRANCH, made, force=True)
    return Revision(str(made))
