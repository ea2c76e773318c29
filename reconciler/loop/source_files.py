"""Which single files belong to a stack: to say what of a change is held."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from rbac.pinning import FileChanges, Uses
from reconciler.core.digest import SourceSnapshot
from reconciler.git.globs import Glob
from reconciler.git.trees import Trees
from reconciler.loop.sources import traces
from spaces.effective import EffectiveStack, ResolvedSource
from spaces.names import Revision

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

    def uses(stack: EffectiveStack, pin: Revision, paths: Collection[str]) -> bool:
        source = stack.source
        if source is None or source.repository is not None:
            return False
        found = [traces(stack.spec.tool.value, source, trees, each) for each in (revision, pin)]
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
