"""What a stack's source is at a revision: the Git ids of everything that it uses."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

from rbac.admission.sources import FileChanges, Uses
from reconciler.core.digest import SourceSnapshot
from reconciler.core.reasons import Reason
from reconciler.core.state import Problem
from reconciler.git.errors import GitError
from reconciler.git.globs import Glob
from reconciler.git.objects import Entry, EntryKind
from reconciler.git.trees import Trees
from reconciler.tools.base import References
from reconciler.tools.registry import tool
from spaces.effective.stack import EffectiveStack, ResolvedSource
from spaces.names import Revision, StackId

Seen = tuple[Revision, SourceSnapshot | None]
"""A stack's source at a revision; None where it cannot be read."""


def changed_of(source: ResolvedSource, trees: Trees, paths: Sequence[str], before: Seen, after: Seen) -> FileChanges:
    """Pick out of the paths by which two revisions differ those that belong to a source that differs."""
    entries = {path for _, found in (before, after) if found is not None for path in found.entries}
    # What makes a source another one without being seen to is held as the whole directory.
    mine = [path for path in paths if _belongs(path, entries, source)] or [source.path]
    return {path: (_what(trees, before[0], path), _what(trees, after[0], path)) for path in mine}


def uses_at(trees: Trees, revision: Revision) -> Uses:
    """Give what says whether files may belong to a stack, at this revision or where they are pinned."""

    def uses(stack: EffectiveStack, pin: Revision | None, paths: Collection[str]) -> bool:
        source = stack.source
        if source is None or source.repository is not None:
            return False
        revisions = (revision,) if pin is None else (revision, pin)
        found = [traces(stack.spec.tool.value, source, trees, each) for each in revisions]
        entries = {path for each in found if each is not None for path in each.entries}
        return None in found or any(_belongs(path, entries, source) for path in paths)

    return uses


def _belongs(path: str, entries: Collection[str], source: ResolvedSource) -> bool:
    if "." in entries:
        return True
    parts = path.split("/")
    above = ("/".join(parts[:end]) for end in range(1, len(parts) + 1))
    # A file that is no longer there matches no more, and belonged to it all the same.
    return any(each in entries for each in above) or any(_matches(path, Glob.parse(glob)) for glob in source.include)


def _matches(path: str, glob: Glob) -> bool:
    inside = path.removeprefix(f"{glob.prefix}/") if glob.prefix else path
    if not glob.parts:
        return path == glob.prefix or inside != path
    if glob.prefix and inside == path:
        return False
    return glob.is_match(_walk(glob, inside.split("/")))


def _walk(glob: Glob, names: Iterable[str]) -> frozenset[int]:
    positions = glob.start()
    for name in names:
        positions = glob.step(positions, name)
    return positions


def _what(trees: Trees, revision: Revision, path: str) -> str:
    entry = trees.entry(revision, path)
    return f"{entry.kind} {entry.id}" if entry is not None else ""


MISSING = "missing"
"""Stands for the id of a path that the source refers to and that is not there."""


class TreeReader:
    """Lets a tool's adapter read one revision; never through a link."""

    def __init__(self, trees: Trees, revision: Revision) -> None:
        self._trees = trees
        self._revision = revision

    def read(self, path: str) -> bytes | None:
        """Give a regular file's content; None where there is none."""
        entry = self._trees.entry(self._revision, path)
        return self._trees.read_blob(entry.id) if entry is not None and entry.kind.is_file else None

    def listing(self, path: str) -> Sequence[tuple[str, str]] | None:
        """Give (name, blob id) of the regular files directly in a directory; None where it is none."""
        children = self._trees.children(self._revision, path)
        if children is None:
            return None
        return [(name, entry.id) for name, entry in children.items() if entry.kind.is_file]


def snapshot(stack: EffectiveStack, trees: Trees, revision: Revision) -> SourceSnapshot | Problem:
    """Find out what the stack uses at this revision; a Problem says why it cannot be run from it."""
    if stack.source is None:
        return SourceSnapshot(revision, {})
    try:
        return _snapshot(stack.spec.tool.value, stack.source, trees, revision)
    except GitError as error:
        return Problem(Reason.SOURCE_UNAVAILABLE, error.message)
    except ValueError as error:
        return Problem(Reason.SOURCE_REFUSED, str(error))


def watched(found: SourceSnapshot | Problem) -> Iterable[str]:
    """List the paths whose change may make the source another one; "." for the whole repository.

    What a source lacks may lie anywhere in it.
    """
    if isinstance(found, SourceSnapshot):
        return found.entries
    return () if found.reason == Reason.SOURCE_NOT_FOUND else (".",)


def traces(tool_name: str, source: ResolvedSource, trees: Trees, revision: Revision) -> SourceSnapshot | None:
    """Find out what lies where a tool looks, also if nothing can be run from it; None where that cannot be read."""
    try:
        return _look(tool_name, source, trees, revision, trees.entry(revision, source.path))[0]
    except (GitError, ValueError):
        return None


def _look(
    tool_name: str, source: ResolvedSource, trees: Trees, revision: Revision, top: Entry | None
) -> tuple[SourceSnapshot, tuple[str, ...]]:
    """Give what there is, `top` at the source's path, and what is wrong with it."""
    references: References = tool(tool_name).references(TreeReader(trees, revision), source.path)
    entries = {source.path: top.id if top is not None else MISSING}
    included = trees.match(revision, source.include) if source.include else ()
    for path in (*sorted(references.paths), *included):
        entry = trees.entry(revision, path)
        entries[path] = entry.id if entry is not None else MISSING
    return SourceSnapshot(revision, entries, references.facts), references.problems


def _snapshot(tool_name: str, source: ResolvedSource, trees: Trees, revision: Revision) -> SourceSnapshot | Problem:
    top = trees.entry(revision, source.path)
    if top is None or top.kind is not EntryKind.TREE:
        link = _link_on(trees, revision, source.path)
        what = "is not a directory" if top is not None else "does not exist"
        if link is not None:
            what = f"goes through the symbolic link {link}, and links are not followed,"
        return Problem(Reason.SOURCE_NOT_FOUND, f"source path {source.path} {what} at revision {revision[:12]}")
    found, problems = _look(tool_name, source, trees, revision, top)
    return Problem(Reason.SOURCE_REFUSED, "; ".join(problems)) if problems else found


def _link_on(trees: Trees, revision: Revision, path: str) -> str | None:
    """Name the first symbolic link on the way to a path."""
    parts = path.split("/")
    for end in range(1, len(parts) + 1):
        here = "/".join(parts[:end])
        entry = trees.entry(revision, here)
        if entry is None:
            return None
        if entry.kind is EntryKind.SYMLINK:
            return here
    return None


@dataclass(slots=True)
class SourceIndex:
    """Which stacks use which paths of which repository branch, so that a changed path finds its stacks at once."""

    _stacks: dict[str, dict[str, set[StackId]]] = field(default_factory=dict)
    _places: dict[StackId, tuple[str, tuple[str, ...]]] = field(default_factory=dict)

    def put(self, stack: StackId, repository: str, source: ResolvedSource, entries: Iterable[str]) -> None:
        """Note what a stack uses, in the place of what was noted before."""
        if stack in self._places:
            self.remove(stack)
        globs = [Glob.parse(glob).prefix for glob in source.include]
        paths = tuple({_plain(path) for path in (source.path, *entries, *globs)})
        self._places[stack] = (repository, paths)
        here = self._stacks.setdefault(repository, {})
        for path in paths:
            here.setdefault(path, set()).add(stack)

    def remove(self, stack: StackId) -> None:
        """Forget a stack."""
        repository, paths = self._places.pop(stack, ("", ()))
        for path in paths:
            users = self._stacks[repository][path]
            users.discard(stack)
            if not users:
                del self._stacks[repository][path]

    def users(self, repository: str, changed: Iterable[str]) -> set[StackId]:
        """Give the stacks that use a changed path, or a directory that it lies in."""
        here = self._stacks.get(repository, {})
        found: set[StackId] = set()
        seen: set[str] = set()
        for path in changed:
            at = path
            while at not in seen:
                seen.add(at)
                found |= here.get(at, set())
                at = at.rpartition("/")[0]
        return found

    def of_repository(self, repository: str) -> set[StackId]:
        """Give all stacks whose source is there."""
        return set().union(*self._stacks.get(repository, {}).values())


def _plain(path: str) -> str:
    return "" if path == "." else path
