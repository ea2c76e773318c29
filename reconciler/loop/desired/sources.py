"""What a stack's source is at a revision: the Git ids of everything that it uses."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from posixpath import basename, dirname, join, normpath

from rbac.admission.sources import FileChanges, Uses
from reconciler.core.digest import SourceSnapshot
from reconciler.core.reasons import Reason
from reconciler.core.state import StackProblem
from reconciler.git.errors import CheckoutRefused, GitError
from reconciler.git.globs import Glob
from reconciler.git.links import SUBMODULE, follow, resolve
from reconciler.git.objects import EntryKind, TreeEntry
from reconciler.git.trees import LARGEST_FILE, Trees
from reconciler.tools.base import References
from reconciler.tools.registry import tool
from spaces.effective.stack import Content, EffectiveStack, RepositoryFile, ResolvedSource
from spaces.model.places import in_home
from spaces.names import Revision, StackId

Seen = tuple[Revision, SourceSnapshot | None]
"""A stack's source at a revision; None where it cannot be read."""


def changed_of(source: ResolvedSource, trees: Trees, paths: Sequence[str], before: Seen, after: Seen) -> FileChanges:
    """Pick out of the paths by which two revisions differ those that belong to a source that differs."""
    entries = {path for _, found in (before, after) if found is not None for path in found.entries}
    # What makes a source another one without being seen to is held as the whole directory.
    mine = [path for path in paths if belongs(path, entries, source)] or [source.path]
    return {path: (_what(trees, before[0], path), _what(trees, after[0], path)) for path in mine}


def uses_at(trees: Trees, revision: Revision) -> Uses:
    """Return a function that says whether files may belong to a stack, at this revision or where they are pinned."""

    def uses(stack: EffectiveStack, pin: Revision | None, paths: Collection[str]) -> bool:
        source = stack.source
        if source is None or source.repository is not None:
            return False
        code = Code.of(stack, source)
        revisions = (revision,) if pin is None else (revision, pin)
        found = [traces(code, trees, each) for each in revisions]
        entries = {path for each in found if each is not None for path in each.entries}
        return None in found or any(belongs(path, entries, source) for path in paths)

    return uses


def belongs(path: str, entries: Collection[str], source: ResolvedSource) -> bool:
    """Whether a file is part of a source that uses these entries, or would be if it were there."""
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
    """Reads one revision for a tool's adapter, through links inside the repository, with the mounted files over it."""

    def __init__(self, trees: Trees, revision: Revision, mounted: Mapping[str, bytes]) -> None:
        """`mounted` are the files that a run has over the revision's own, by path from the top of the repository."""
        self._trees = trees
        self._revision = revision
        self._mounted = mounted

    def read(self, path: str) -> bytes | None:
        """Return a file's content; None where no file can be reached; ValueError for one that is too large."""
        if (mounted := self._mounted.get(normpath(path))) is not None:
            return mounted
        entry = self._entry(path)
        if entry is None or not entry.kind.is_file:
            return None
        if self._trees.blob_size(entry.id) > LARGEST_FILE:
            raise ValueError(f"{path} is larger than {LARGEST_FILE // 2**20} MiB, which is not read as code")
        return self._trees.read_blob(entry.id)

    def listing(self, path: str) -> Sequence[tuple[str, str]] | None:
        """Return (name, id of its content) of the files directly in a directory; None where there is no directory."""
        here = normpath(path or ".")
        mounted = {basename(file): data for file, data in self._mounted.items() if (dirname(file) or ".") == here}
        entry = self._entry(path)
        if entry is None or entry.kind is not EntryKind.TREE:
            return [(name, _mark(data)) for name, data in mounted.items()] if mounted else None
        files = {}
        for name, child in self._trees.children_of(entry.id).items():
            found = self._entry(join(here, name)) if child.kind is EntryKind.SYMLINK else child
            if found is not None and found.kind.is_file:
                files[name] = found.id
        return list({**files, **{name: _mark(data) for name, data in mounted.items()}}.items())

    def directories(self, path: str) -> Sequence[str]:
        """Return the names of the directories directly in a directory, links to some included."""
        here, entry = normpath(path or "."), self._entry(path)
        if entry is None or entry.kind is not EntryKind.TREE:
            return ()
        names = []
        for name, child in self._trees.children_of(entry.id).items():
            found = self._entry(join(here, name)) if child.kind is EntryKind.SYMLINK else child
            if found is not None and found.kind is EntryKind.TREE:
                names.append(name)
        return names

    def real(self, path: str) -> str:
        """Return the path without links; the path itself where it leads nowhere that may be followed."""
        try:
            return resolve(self._trees, self._revision, path).path
        except CheckoutRefused:
            return normpath(path)

    def _entry(self, path: str) -> TreeEntry | None:
        try:
            return resolve(self._trees, self._revision, path).entry
        except CheckoutRefused:
            return None  # told by name where the links are followed


def _mark(content: bytes) -> str:
    return f"mounted {hashlib.blake2b(content, digest_size=16).hexdigest()}"


@dataclass(frozen=True, slots=True)
class Code:
    """What decides which paths of a repository a stack uses: its tool, its source and the files that it mounts there.

    The content of a secret file is not known to the service beforehand: it counts as an empty file.
    """

    tool: str
    source: ResolvedSource
    files: Mapping[str, bytes] = field(default_factory=dict)

    @classmethod
    def of(cls, stack: EffectiveStack, source: ResolvedSource) -> Code:
        """Take a stack's effective configuration."""
        files = {name: _content(value.value) for name, value in stack.files.items() if not in_home(name)}
        return cls(stack.spec.tool.value, source, files)


def _content(content: Content) -> bytes:
    match content:
        case str():
            return content.encode()
        case RepositoryFile():
            return content.data
        case _:
            return b""


def snapshot(stack: EffectiveStack, trees: Trees, revision: Revision) -> SourceSnapshot | StackProblem:
    """Find out what the stack uses at this revision; a Problem says why it cannot be run from it."""
    if stack.source is None:
        return SourceSnapshot(revision, {})
    try:
        found, problems = _look(Code.of(stack, stack.source), trees, revision)
    except GitError as error:
        return StackProblem(Reason.SOURCE_UNAVAILABLE, error.message)
    except ValueError as error:
        return StackProblem(Reason.SOURCE_REFUSED, str(error))
    missing = _missing(stack.source, trees, revision)
    if missing is not None:
        return missing
    return StackProblem(Reason.SOURCE_REFUSED, "; ".join(problems)) if problems else found


def watched(found: SourceSnapshot | StackProblem) -> Iterable[str]:
    """List the paths whose change may make the source another one; "." for the whole repository.

    What a source lacks may lie anywhere in it.
    """
    if isinstance(found, SourceSnapshot):
        return found.entries
    return () if found.reason == Reason.SOURCE_NOT_FOUND else (".",)


def traces(code: Code, trees: Trees, revision: Revision) -> SourceSnapshot | None:
    """Find out what lies where a tool looks, also if nothing can be run from it; None where that cannot be read."""
    try:
        return _look(code, trees, revision)[0]
    except (GitError, ValueError):
        return None


def directory_of(source: ResolvedSource, trees: Trees, revision: Revision) -> str:
    """Return the source's directory where it really lies: behind the links on the way to it."""
    return resolve(trees, revision, source.path).path


def _look(code: Code, trees: Trees, revision: Revision) -> tuple[SourceSnapshot, tuple[str, ...]]:
    """Return what there is, and what is wrong with it."""
    source = code.source
    try:
        directory = directory_of(source, trees, revision)
    except CheckoutRefused as refused:
        return SourceSnapshot(revision, {source.path: MISSING}), (refused.message,)
    mounted = {normpath(join(directory, name)): content for name, content in code.files.items()}
    references: References = tool(code.tool).references(TreeReader(trees, revision, mounted), directory)
    paths = [source.path, *sorted(references.paths), *_included(source, trees, revision)]
    found = follow(trees, revision, paths)
    entries = {path: entry.id if entry is not None else MISSING for path, entry in found.entries.items()}
    return SourceSnapshot(revision, entries, references.facts), (*references.problems, *found.problems)


def _included(source: ResolvedSource, trees: Trees, revision: Revision) -> list[str]:
    """List what the globs of `include` match; all of a directory that one of them reaches through a link."""
    if not source.include:
        return []
    prefixes = {Glob.parse(glob).prefix for glob in source.include}
    linked = [prefix for prefix in prefixes if prefix and _is_linked(trees, revision, prefix)]
    return [*trees.match(revision, source.include), *sorted(linked)]


def _is_linked(trees: Trees, revision: Revision, path: str) -> bool:
    try:
        return bool(resolve(trees, revision, path).links)
    except CheckoutRefused:
        return True  # told by name when it is followed


def _missing(source: ResolvedSource, trees: Trees, revision: Revision) -> StackProblem | None:
    try:
        entry = resolve(trees, revision, source.path).entry
    except CheckoutRefused:
        return None
    if entry is not None and entry.kind is EntryKind.TREE:
        return None
    match entry:
        case None:
            what = "does not exist"
        case TreeEntry(kind=EntryKind.SUBMODULE):
            return StackProblem(Reason.SOURCE_REFUSED, f"source path {source.path} {SUBMODULE}")
        case _:
            what = "is not a directory"
    return StackProblem(Reason.SOURCE_NOT_FOUND, f"source path {source.path} {what} at revision {revision[:12]}")


@dataclass(slots=True)
class SourceIndex:
    """Which stacks use which paths of which repository branch, so that a changed path finds its stacks at once."""

    _stacks: dict[str, dict[str, set[StackId]]] = field(default_factory=dict)
    _places: dict[StackId, tuple[str, tuple[str, ...]]] = field(default_factory=dict)

    def copy(self) -> SourceIndex:
        """Return an index of its own that says the same."""
        copied = {key: {path: set(users) for path, users in here.items()} for key, here in self._stacks.items()}
        return SourceIndex(copied, dict(self._places))

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

    def repository_of(self, stack: StackId) -> str | None:
        """Return where a stack's source lies; None where it has none."""
        return self._places[stack][0] if stack in self._places else None

    def users(self, repository: str, changed: Iterable[str]) -> set[StackId]:
        """Return the stacks that use a changed path, or a directory that it lies in."""
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
        """Return all stacks whose source is there."""
        return set().union(*self._stacks.get(repository, {}).values())


def _plain(path: str) -> str:
    return "" if path == "." else path
