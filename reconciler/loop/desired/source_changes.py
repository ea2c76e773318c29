"""Which stacks' files in the configuration repository a commit changes, while the configuration changes too.

`commits` asks for each commit. What a stack's source uses is followed from commit to commit, so that nothing is missed
that one commit adds to a source and the next one changes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from posixpath import dirname, join, normpath
from typing import NamedTuple

from rbac.admission.admit import Admission
from rbac.admission.entries import Entry, Held
from rbac.admission.sources import NO_CHANGES, NO_FILES, FileChanges
from reconciler.core.digest import SourceSnapshot
from reconciler.git.trees import Trees
from reconciler.loop.desired.sources import Code, SourceIndex, changed_of, snapshot, traces, watched
from reconciler.loop.desired.world import CONFIGURATION
from spaces.blueprints.derived import evolve, remade
from spaces.documents.documents import Placed
from spaces.effective.stack import EffectiveStack, Layers, ResolvedSource, effective
from spaces.in_force import InForce, affected, differing
from spaces.model.stack import StackSpec
from spaces.names import Kind, Revision, SpaceName, StackId
from spaces.reading.resources import parse_file


class Looked(NamedTuple):
    """What a commit changes of sources.

    Files by stack; stacks whose held source is as in force again; held changes, by id, about what has other files now;
    and all files with their Git ids before and after.
    """

    stacks: Mapping[StackId, FileChanges] = NO_FILES
    restored: frozenset[StackId] = frozenset()
    proposed: frozenset[str] = frozenset()
    writes: FileChanges = NO_CHANGES


@dataclass(slots=True)
class HeldSources:
    """The sources of stacks that would come of held documents. Worked out anew only when other documents are held."""

    _held: Held | None = None
    _index: SourceIndex = field(default_factory=SourceIndex)
    _sources: dict[StackId, tuple[Entry, Code]] = field(default_factory=dict)

    def changed(
        self, here: Admission, trees: Trees, paths: Iterable[str], at: Revision, to: Revision
    ) -> frozenset[str]:
        """Return the held changes, by id, whose stacks have other files at `to` than at `at`."""
        if here.held is not self._held:
            self._follow(here, trees, at)
        users = self._index.users(CONFIGURATION, paths) if self._sources else ()
        found = set()
        for user in users:
            entry, code = self._sources[user]
            if not same_source(traces(code, trees, at), traces(code, trees, to)):
                found.add(here.held.id_of(entry))
        return frozenset(found)

    def _follow(self, here: Admission, trees: Trees, at: Revision) -> None:
        self._held, self._index, self._sources = here.held, SourceIndex(), {}
        for entry in here.held:
            for number, placed in enumerate(_would_be(here, entry)):
                spec = placed.resource.spec
                if not isinstance(spec, StackSpec) or spec.source is None or spec.source.repository:
                    continue
                path = normpath(join(dirname(placed.resource.file), spec.source.path))
                code = Code(spec.tool.value, ResolvedSource(None, None, path, spec.source.include))
                name = StackId(SpaceName(entry.unit.path), f"{entry.unit.key} {number}")
                snapped = traces(code, trees, at)
                self._sources[name] = entry, code
                self._index.put(name, CONFIGURATION, code.source, snapped.entries if snapped is not None else (".",))


@dataclass(slots=True)
class SourceChanges:
    """Finds the stacks whose files a commit changes."""

    trees: Trees
    index: SourceIndex
    held: HeldSources
    _own: SourceIndex = field(default_factory=SourceIndex)
    _renewed: set[StackId] = field(default_factory=set)
    """The stacks for which `_own` counts, and `index` no more."""
    touched: frozenset[StackId] = frozenset()
    """The stacks whose files differ in the commit that was looked at last."""

    def look(self, here: Admission, at: Revision, revision: Revision) -> Looked:
        """Return what the commit at `revision` changes of sources, against `at` before it."""
        self.touched = frozenset()
        writes = {path: (old or "", new or "") for path, old, new in self.trees.changed_blobs(at, revision)}
        if not writes:
            return Looked()
        users = self.index.users(CONFIGURATION, writes) - self._renewed | self._own.users(CONFIGURATION, writes)
        touched: dict[StackId, FileChanges] = {}
        restored = set()
        for stack in users | here.sources.keys():
            configured = _configured(here.in_force, stack)
            if configured is None:
                continue
            was, now = self._snapshot(configured, at), self._snapshot(configured, revision)
            if not same_source(was, now):
                assert configured.source is not None  # noqa: S101 - it has one in this repository
                changed = changed_of(configured.source, self.trees, sorted(writes), (at, was), (revision, now))
                touched[stack] = changed
            pin = here.pins.get(stack)
            if pin is not None and same_source(self._snapshot(configured, pin), now):
                restored.add(stack)
        self.touched = frozenset(touched)
        if touched:
            # What the files refer to may be something else now.
            self._renew(here.in_force, touched, revision)
        proposed = self.held.changed(here, self.trees, writes, at, revision)
        return Looked(touched, frozenset(restored), proposed, writes)

    def follow(self, before: Admission | None, after: Admission) -> None:
        """Note what the sources of changed stacks use now: the next commit is compared with it."""
        if before is None:
            self._renew(after.in_force, after.in_force.documents.stacks(), after.in_force.revision)
            return
        differ = differing(before.in_force, after.in_force)
        stacks = {StackId(ref.space, ref.name) for ref in differ if ref.kind is Kind.STACK}
        self._renew(after.in_force, stacks | affected(before.in_force, after.in_force), after.in_force.revision)

    def _renew(self, in_force: InForce, stacks: Iterable[StackId], revision: Revision) -> None:
        layers: Layers = {}
        for stack in stacks:
            self._renewed.add(stack)
            self._own.remove(stack)
            configured = _configured(in_force, stack, layers)
            if configured is None or configured.source is None:
                continue
            found = snapshot(configured, self.trees, revision)
            self._own.put(stack, CONFIGURATION, configured.source, watched(found))

    def _snapshot(self, stack: EffectiveStack, revision: Revision) -> SourceSnapshot | None:
        assert stack.source is not None  # noqa: S101 - it has one in this repository
        return traces(Code.of(stack, stack.source), self.trees, revision)


def _configured(in_force: InForce, stack: StackId, layers: Layers | None = None) -> EffectiveStack | None:
    """Return a stack whose source is in this repository."""
    if in_force.documents.placed(stack.ref) is None:
        return None
    found = effective(in_force.documents, stack, layers)
    return found if found.source is not None and found.source.repository is None else None


def _would_be(here: Admission, entry: Entry) -> Iterator[Placed]:
    """Yield the stacks that would come of a held document: the document itself, or what instances would make of it."""
    if entry.unit.key.kind not in (Kind.STACK, Kind.BLUEPRINT, Kind.BLUEPRINT_INSTANCE):
        return
    tip = here.held.files[entry.unit.path].tip
    if tip is None:
        return
    tree = here.in_force.tree
    resources = parse_file(entry.unit.path, tip).resources
    for resource in resources:
        if (resource.kind, resource.name) != entry.unit.key[:2]:
            continue
        placed = tree.place(resource)
        if resource.kind is Kind.STACK:
            yield placed
            continue
        after = evolve(tree.documents, {placed.ref: placed})
        for ref in remade(tree.documents, after):
            made = after.placed(ref)
            if made is not None and made.resource.made is not None:
                yield made


def same_source(one: SourceSnapshot | None, other: SourceSnapshot | None) -> bool:
    """Whether two sources are the same; so are two that cannot be read."""
    if one is None or other is None:
        return one is other
    return one.entries == other.entries and one.facts == other.facts
