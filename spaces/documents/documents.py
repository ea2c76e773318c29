"""Documents, each in its space: found by name and scope, and by who mentions them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from posixpath import dirname
from typing import TYPE_CHECKING, Self, TypeVar

from spaces.documents.references import NameKey, mentions, shared_with
from spaces.documents.tree import SpaceNode, SpaceTree
from spaces.model.configuration import AttachTo, ContextSpec
from spaces.model.integration import CloudIntegrationSpec
from spaces.model.space import SpaceSpec
from spaces.names import ROOT, Kind, ResourceRef, SpaceName, StackId
from spaces.reading.resources import Resource

if TYPE_CHECKING:
    from spaces.documents.expansions import Expansion

_Key = TypeVar("_Key")
_Index = Mapping[_Key, frozenset[ResourceRef]]
_InSpaces = Mapping[SpaceName, Mapping[str, "Placed"]]
"""Documents by space and name, so that a change of one is written down in one space, and not among all of them."""
_Label = tuple[str, str]
_Offered = Mapping[_Label | None, Sequence[tuple[str, "Placed", AttachTo]]]
"""What attaches itself of a space's documents, by one of the labels that each asks for; None: it asks for none."""


@dataclass(frozen=True, slots=True, eq=False)
class Placed:
    """A document and where it lies. `parent` is the space above, for a space; it may come from the directory."""

    ref: ResourceRef
    resource: Resource
    parent: SpaceName | None = None

    def same(self, other: Placed | None) -> bool:
        """Whether both mean the same: content, place, and the directory that relative paths start from."""
        return self is other or (
            other is not None
            and self.ref == other.ref
            and self.parent == other.parent
            and self.resource.content == other.resource.content
            and dirname(self.resource.file) == dirname(other.resource.file)
        )


@dataclass(frozen=True, slots=True, eq=False)
class PlacedDocuments:
    """A set of documents, one per reference. Immutable; `evolve` shares what does not change."""

    tree: SpaceTree
    _kinds: Mapping[Kind, _InSpaces] = field(repr=False)
    _spaces: _Index[SpaceName] = field(repr=False)
    _mentions: _Index[NameKey] = field(repr=False)
    _attaching: _Index[SpaceName] = field(repr=False, default_factory=dict)
    """The contexts and integrations that attach themselves, by their space."""
    _labels: _Index[_Label] = field(repr=False, default_factory=dict)
    """The stacks, by each of their labels."""
    _attachable: dict[SpaceName, _Offered] = field(repr=False, default_factory=dict)
    """What a space offers to whom, as far as anybody has asked."""
    _by_space: dict[Kind, Mapping[SpaceName, tuple[Placed, ...]]] = field(repr=False, default_factory=dict)
    """What `by_space` found so far: every stack asks for the policies of all spaces above it."""
    expansions: Mapping[ResourceRef, Expansion] = field(repr=False, default_factory=dict)
    """What each instance that somebody wrote makes; `blueprints.derived` keeps it in step."""
    makers: Mapping[ResourceRef, tuple[ResourceRef, ...]] = field(repr=False, default_factory=dict)
    """The instances that make a document: one, when all is well."""

    @classmethod
    def empty(cls) -> Self:
        """No documents: only the root."""
        return cls(SpaceTree.build({}), {}, {}, {})

    def evolve(self, delta: Mapping[ResourceRef, Placed | None]) -> Self:
        """Put documents in, in the place of those of the same reference; None takes one out."""
        if not delta:
            return self
        kinds = dict(self._kinds)
        for kind, in_kind in _by_place(delta).items():
            kinds[kind] = _put(kinds.get(kind, {}), in_kind)
        gone = [old for ref in delta if (old := self.placed(ref)) is not None]
        come = [placed for placed in delta.values() if placed is not None]
        tree = self.tree
        if any(ref.kind is Kind.SPACE for ref in delta):
            spaces = kinds[Kind.SPACE].values()
            nodes = {name: _node(placed) for here in spaces for name, placed in here.items() if name != ROOT}
            tree = tree if nodes == tree.nodes else SpaceTree.build({SpaceName(n): node for n, node in nodes.items()})
        return type(self)(
            tree,
            kinds,
            _regroup(self._spaces, ((p.ref.space, p.ref) for p in gone), ((p.ref.space, p.ref) for p in come)),
            _regroup(self._mentions, _by_mention(gone), _by_mention(come)),
            _regroup(self._attaching, _by_attaching(gone), _by_attaching(come)),
            _regroup(self._labels, _by_label(gone), _by_label(come)),
            _offers_after(self._attachable, gone, come),
            expansions=self.expansions,
            makers=self.makers,
        )

    def placed(self, ref: ResourceRef) -> Placed | None:
        """Find one document; None when it is not here."""
        documents = self._kinds.get(ref.kind)
        here = documents.get(ref.space) if documents is not None else None
        return here.get(ref.name) if here is not None else None

    def written(self, ref: ResourceRef) -> Placed | None:
        """Find one document that somebody wrote: not one that an instance makes."""
        found = self.placed(ref)
        return found if found is not None and found.resource.made is None else None

    def of_kind(self, kind: Kind) -> Collection[Placed]:
        """All documents of a kind, in no order that means anything."""
        return [placed for here in self._kinds.get(kind, {}).values() for placed in here.values()]

    def by_space(self, kind: Kind) -> Mapping[SpaceName, tuple[Placed, ...]]:
        """Return all documents of a kind by the space they lie in, each space's by name."""
        known = self._by_space.get(kind)
        if known is None:
            spaces = sorted(self._kinds.get(kind, {}).items())
            known = {space: tuple(here[name] for name in sorted(here)) for space, here in spaces}
            self._by_space[kind] = known
        return known

    def refs(self) -> Iterator[ResourceRef]:
        """Every document's reference, in no order that means anything."""
        return (placed.ref for kind in self._kinds.values() for here in kind.values() for placed in here.values())

    def stacks(self) -> tuple[StackId, ...]:
        """All stacks, by space and name."""
        spaces = sorted(self._kinds.get(Kind.STACK, {}).items())
        return tuple(StackId(space, name) for space, here in spaces for name in sorted(here))

    def counts(self) -> dict[Kind, int]:
        """How many documents there are of each kind that has any."""
        return {kind: sum(map(len, spaces.values())) for kind, spaces in self._kinds.items() if spaces}

    def in_space(self, space: SpaceName) -> frozenset[ResourceRef]:
        """Everything that lies in one space, the space's own document included; what is below it is not."""
        return self._spaces.get(space, frozenset())

    def mentioning(self, kind: Kind, name: str) -> frozenset[ResourceRef]:
        """Everyone who may mean a document of this kind and bare name, in whatever space."""
        return self._mentions.get((kind, name), frozenset())

    def attaching(self, stack: Placed) -> list[Placed]:
        """List what attaches itself to a stack, contexts and integrations: from far above first, then by name."""
        if not self._attaching:
            return []
        labels = stack.resource.metadata.labels
        attaching: list[Placed] = []
        for space in reversed(self.tree.inherited(stack.ref.space)):
            if space in self._attaching:
                offered = self._offered(space)
                found = [*offered.get(None, ())]
                found += [each for label in labels.items() for each in offered.get(label, ()) if each[2].fits(labels)]
                attaching += [placed for _, placed, _ in sorted(found, key=_BY_NAME)]
        return attaching

    def _offered(self, space: SpaceName) -> _Offered:
        offered = self._attachable.get(space)
        if offered is None:
            contexts = (placed for ref in self._attaching[space] if (placed := self.placed(ref)))
            offered = self._attachable[space] = _by_asked(contexts)
        return offered

    def attached_to(self, context: ResourceRef) -> Iterator[ResourceRef]:
        """List the stacks that a context or integration attaches itself to, whether they name it too or not."""
        placed = self.placed(context)
        attach = attach_of(placed.resource) if placed else None
        if attach is None:
            return iter(())
        members = [self._labels.get(label, frozenset()) for label in attach.match_labels.items()]
        if not members:
            reach = self.tree.inheriting(context.space)
            return (ref for space in reach for ref in self.in_space(space) if ref.kind is Kind.STACK)
        meant = min(members, key=len).intersection(*members)
        return (ref for ref in meant if self.tree.flows(context.space, ref.space))

    def lookup(self, kind: Kind, name: str, space: SpaceName) -> ResourceRef | None:
        """Find what a name means in a space.

        A bare name is looked up in the space, then upwards as far as it inherits. `space/name` is that one
        document, when it is one's own, flows here, or is a stack that is shared with this space. Anything else is as
        if it did not exist.
        """
        found = self.find(kind, name, space)
        return found.ref if found else None

    def find(self, kind: Kind, name: str, space: SpaceName) -> Placed | None:
        """Find the document that a name means in a space, by the rules of `lookup`."""
        documents = self._kinds.get(kind)
        if not documents:
            return None
        where, slash, bare = name.rpartition("/")
        if slash:
            there = documents.get(SpaceName(where), {}).get(bare)
            return there if there is not None and self._reaches(there, space) else None
        for each in self.tree.inherited(space):
            here = documents.get(each)
            found = here.get(bare) if here is not None else None
            if found is not None:
                return found
        return None

    def visible(self, kind: Kind, space: SpaceName) -> tuple[ResourceRef, ...]:
        """List the documents of a kind that can be named in a space, for suggestions."""
        return tuple(sorted(placed.ref for placed in self.of_kind(kind) if self._reaches(placed, space)))

    def _reaches(self, placed: Placed, space: SpaceName) -> bool:
        """Whether a document can be used in a space: it flows there, or it is shared with it or one above it."""
        if self.tree.flows(placed.ref.space, space):
            return True
        shared = shared_with(placed.resource)
        return bool(shared) and not set(shared).isdisjoint(self.tree.lineage(space))


def _by_place(
    delta: Mapping[ResourceRef, Placed | None],
) -> dict[Kind, dict[SpaceName, dict[str, Placed | None]]]:
    found: dict[Kind, dict[SpaceName, dict[str, Placed | None]]] = {}
    for ref, placed in delta.items():
        found.setdefault(ref.kind, {}).setdefault(ref.space, {})[ref.name] = placed
    return found


def _put(before: _InSpaces, changed: Mapping[SpaceName, Mapping[str, Placed | None]]) -> _InSpaces:
    """Put documents of a kind in; None takes one out, and a space without any is left out."""
    after = dict(before)
    for space, documents in changed.items():
        here = dict(after.get(space, {}))
        for name, placed in documents.items():
            if placed is not None:
                here[name] = placed
            else:
                here.pop(name, None)
        if here:
            after[space] = here
        else:
            after.pop(space, None)
    return after


def _node(placed: Placed) -> SpaceNode:
    spec = placed.resource.spec
    if not isinstance(spec, SpaceSpec):
        raise TypeError(f"{placed.ref} carries a {type(spec).__name__}")
    return SpaceNode(placed.parent or ROOT, spec.inherit)


_BY_NAME = itemgetter(0)


def _offers_after(
    before: Mapping[SpaceName, _Offered], gone: Iterable[Placed], come: Iterable[Placed]
) -> dict[SpaceName, _Offered]:
    """Follow what spaces offer through a change; what nobody has asked about yet stays open."""
    after = dict(before)
    less, more = _attaching_by_space(gone), _attaching_by_space(come)
    for space in (less.keys() | more.keys()) & after.keys():
        offered = dict(after[space])
        left = set(less.get(space, ()))
        for label in _by_asked(left):
            offered[label] = [each for each in offered.get(label, ()) if each[1] not in left]
        for label, added in _by_asked(more.get(space, ())).items():
            offered[label] = [*offered.get(label, ()), *added]
        after[space] = {label: contexts for label, contexts in offered.items() if contexts}
    return after


def _attaching_by_space(documents: Iterable[Placed]) -> dict[SpaceName, list[Placed]]:
    found: dict[SpaceName, list[Placed]] = {}
    for placed in documents:
        if attach_of(placed.resource) is not None:
            found.setdefault(placed.ref.space, []).append(placed)
    return found


def _by_asked(contexts: Iterable[Placed]) -> _Offered:
    """Group contexts by one of the labels that each asks for."""
    found: dict[_Label | None, list[tuple[str, Placed, AttachTo]]] = {}
    for context in contexts:
        attach = attach_of(context.resource)
        if attach is not None:
            label = min(attach.match_labels.items(), default=None)
            found.setdefault(label, []).append((context.ref.name, context, attach))
    return found


def attach_of(resource: Resource) -> AttachTo | None:
    """Return which stacks a document attaches itself to; None for one that must be named, or that nobody uses."""
    return resource.spec.attach if isinstance(resource.spec, ContextSpec | CloudIntegrationSpec) else None


def _by_attaching(documents: Iterable[Placed]) -> Iterator[tuple[SpaceName, ResourceRef]]:
    return ((placed.ref.space, placed.ref) for placed in documents if attach_of(placed.resource) is not None)


def _by_label(documents: Iterable[Placed]) -> Iterator[tuple[_Label, ResourceRef]]:
    stacks = (placed for placed in documents if placed.ref.kind is Kind.STACK)
    return ((label, placed.ref) for placed in stacks for label in placed.resource.metadata.labels.items())


def _by_mention(documents: Iterable[Placed]) -> Iterator[tuple[NameKey, ResourceRef]]:
    return ((key, placed.ref) for placed in documents for key in mentions(placed.resource))


def _regroup(
    index: _Index[_Key], gone: Iterable[tuple[_Key, ResourceRef]], come: Iterable[tuple[_Key, ResourceRef]]
) -> _Index[_Key]:
    less: defaultdict[_Key, set[ResourceRef]] = defaultdict(set)
    more: defaultdict[_Key, set[ResourceRef]] = defaultdict(set)
    for key, ref in gone:
        less[key].add(ref)
    for key, ref in come:
        more[key].add(ref)
    changed = {key for key in less.keys() | more.keys() if less.get(key) != more.get(key)}
    if not changed:
        return index
    result = dict(index)
    for key in changed:
        members = (result.get(key, frozenset()) - less.get(key, set())) | more.get(key, set())
        if members:
            result[key] = members
        else:
            result.pop(key, None)
    return result
