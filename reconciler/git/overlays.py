"""A revision's tree with some files in another version, written as a commit on a ref of the mirror.

`Mirror.record` calls it for what is in force: `git diff` between that ref and the branch shows what is held, and the
ref's log is the history of what was in force. Only blobs and the directories above them are written.
"""

from __future__ import annotations

from collections.abc import Mapping

import pygit2
from pygit2.enums import FileMode, SortMode

from reconciler.git import refs
from spaces.names import Revision

_NAME, _MAIL = "stationkeeper", "stationkeeper@localhost"


def record(repository: pygit2.Repository, tip: Revision, files: Mapping[str, bytes | None], message: str) -> Revision:
    """Write the tree of `tip` with these files (None: not there) as the next commit of the ref; return the commit.

    A file whose name is not UTF-8 stays as it is in `tip`. The parents are the commit before it and `tip`, the time is
    that of `tip`: the same history makes the same commits.
    """
    commit = repository[pygit2.Oid(hex=tip)].peel(pygit2.Commit)
    tree = _overlaid(
        repository, commit.tree, {tuple(path.split("/")): data for path, data in files.items() if _is_utf8(path)}
    )
    before = refs.target(repository, refs.IN_FORCE)
    if before is not None:
        last = repository[pygit2.Oid(hex=before)].peel(pygit2.Commit)
        if last.tree_id == tree and commit.id in last.parent_ids:
            return before
    who = pygit2.Signature(_NAME, _MAIL, commit.commit_time, 0)
    parents = [*([pygit2.Oid(hex=before)] if before is not None else []), commit.id]
    made = repository.create_commit(None, who, who, message, tree, parents)
    refs.point(repository, refs.IN_FORCE, str(made))
    return Revision(str(made))


def recorded(repository: pygit2.Repository, tip: Revision) -> list[Revision]:
    """Return the commits of the ref that `record` made for a tip, newest first."""
    last = refs.target(repository, refs.IN_FORCE)
    if last is None:
        return []
    walk = repository.walk(pygit2.Oid(hex=last), SortMode.TOPOLOGICAL)
    walk.simplify_first_parent()
    found = []
    for commit in walk:
        if commit.parent_ids and str(commit.parent_ids[-1]) == tip:
            found.append(Revision(str(commit.id)))
        if len(commit.parent_ids) < 2:
            # The first that was recorded: behind it is the branch.
            break
    return found


def _is_utf8(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def _overlaid(
    repository: pygit2.Repository, tree: pygit2.Tree | None, files: Mapping[tuple[str, ...], bytes | None]
) -> pygit2.Oid:
    if not files and tree is not None:
        return tree.id
    builder = repository.TreeBuilder(tree) if tree is not None else repository.TreeBuilder()
    below: dict[str, dict[tuple[str, ...], bytes | None]] = {}
    for (name, *rest), data in files.items():
        if rest:
            below.setdefault(name, {})[tuple(rest)] = data
        elif data is not None:
            builder.insert(name, repository.create_blob(data), FileMode.BLOB)
        elif builder.get(name) is not None:
            builder.remove(name)
    for name, inner in below.items():
        here = tree[name] if tree is not None and name in tree else None
        directory = _overlaid(repository, here if isinstance(here, pygit2.Tree) else None, inner)
        empty = len(repository[directory].peel(pygit2.Tree)) == 0
        if not empty:
            builder.insert(name, directory, FileMode.TREE)
        elif builder.get(name) is not None:
            builder.remove(name)
    return builder.write()
