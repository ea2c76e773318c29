"""Who holds which role where: the bindings, indexed by member and space so that a question costs a few look-ups."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Self

from rbac.access.actions import BUILT_IN, Actions, expand
from rbac.access.subjects import Subject, SubjectKind
from spaces.documents.documents import PlacedDocuments
from spaces.documents.tree import SpaceTree
from spaces.model.people import GroupSpec, UserSpec
from spaces.model.role import RoleBindingSpec, RoleSpec, SubjectRef
from spaces.names import ROOT, Kind, ResourceRef, SpaceName, StackId


@dataclass(frozen=True, slots=True)
class AccessDocuments:
    """The documents that access rules are made of.

    Users, groups, roles and API keys go by name: they lie in the root space.
    """

    roles: Mapping[str, RoleSpec] = field(default_factory=dict)
    bindings: Mapping[ResourceRef, RoleBindingSpec] = field(default_factory=dict)
    users: Mapping[str, UserSpec] = field(default_factory=dict)
    groups: Mapping[str, GroupSpec] = field(default_factory=dict)
    api_keys: frozenset[str] = frozenset()
    stacks: frozenset[StackId] = frozenset()

    @classmethod
    def of(cls, documents: PlacedDocuments) -> AccessDocuments:
        """Select them from all documents, without those that lie where their kind does not belong."""
        return cls(
            roles=_in_root(documents, Kind.ROLE),
            bindings=_specs(documents, Kind.ROLE_BINDING),
            users=_in_root(documents, Kind.USER),
            groups=_in_root(documents, Kind.GROUP),
            api_keys=frozenset(_in_root(documents, Kind.API_KEY)),
            stacks=frozenset(StackId(stack.ref.space, stack.ref.name) for stack in documents.of_kind(Kind.STACK)),
        )


def _specs(documents: PlacedDocuments, kind: Kind) -> dict[ResourceRef, Any]:
    return {document.ref: document.resource.spec for document in documents.of_kind(kind)}


def _in_root(documents: PlacedDocuments, kind: Kind) -> dict[str, Any]:
    return {ref.name: spec for ref, spec in _specs(documents, kind).items() if ref.space == ROOT}


SIGHT = "(sight)"
"""The pseudo-role by which the holder of a role in an inheriting space sees the spaces above.

No role can have this name.
"""


@dataclass(frozen=True, slots=True)
class Grant:
    """A role that a holder (`kind:name`) has in a space. `binding` is None for an admin of the settings."""

    role: str
    space: SpaceName
    holder: str
    binding: ResourceRef | None = None
    expires: datetime | None = None

    def outlasts(self, other: Grant) -> bool:
        """Whether this grant ends later than the other."""
        return other.expires is not None and (self.expires is None or self.expires > other.expires)


Roles = dict[str, Grant]
"""Role names, each with the grant that gives the role for longest."""


@dataclass(frozen=True, slots=True, eq=False)
class Grants:
    """All grants that count at one moment, indexed. Immutable, so that threads can share it."""

    tree: SpaceTree
    roles: Mapping[str, Actions]
    valid_until: datetime | None
    """The time at which the next grant ends."""
    everyone: Mapping[str, tuple[Grant, ...]]
    """Holders, each with all grants to it, the longest-lasting first."""
    groups_of: Mapping[str, tuple[str, ...]]
    """Names of users, each with the groups (as holders) that have the user as a member."""
    known: frozenset[str]
    """The holders that exist: those with a document, and the admins of the settings."""
    _idp: Mapping[str, tuple[str, ...]] = field(repr=False)
    _held: Mapping[str, Mapping[SpaceName, Roles]] = field(repr=False)
    _sight: Mapping[str, Mapping[SpaceName, Grant]] = field(repr=False)
    _parents: Mapping[SpaceName, SpaceName] = field(repr=False)

    @classmethod
    def build(cls, documents: AccessDocuments, tree: SpaceTree, admins: Iterable[Subject], now: datetime) -> Self:
        """Index the grants at `now`. Bindings that have ended, or name a missing role or space, do not count."""
        admin_holders = sorted(str(admin) for admin in admins)
        roles = {name: expand(spec.actions) for name, spec in documents.roles.items()} | dict(BUILT_IN)
        everyone: dict[str, list[Grant]] = {}
        for holder in admin_holders:
            everyone[holder] = [Grant("admin", ROOT, holder)]
        in_force = list(_longest_first(documents.bindings, roles, tree, now))
        for ref, spec in in_force:
            for subject in spec.subjects:
                holder = holder_of(subject)
                everyone.setdefault(holder, []).append(Grant(spec.role, ref.space, holder, ref, spec.expires))
        groups_of, idp = _memberships(documents)
        return cls(
            tree=tree,
            roles=roles,
            valid_until=min((spec.expires for _, spec in in_force if spec.expires is not None), default=None),
            everyone={holder: tuple(grants) for holder, grants in everyone.items()},
            groups_of=groups_of,
            known=frozenset({*_documented(documents), *admin_holders}),
            _idp=idp,
            _held={holder: _by_space(grants) for holder, grants in everyone.items()},
            _sight={holder: _sight(grants, tree) for holder, grants in everyone.items()},
            _parents={name: tree.nodes[name].parent for name in tree.nodes if tree.exists(name)},
        )

    def holders(self, subject: Subject) -> tuple[str, ...]:
        """Return the subject and its groups as holders; empty for a subject that does not exist."""
        own = str(subject)
        holders = [own] if own in self.known else []
        if subject.kind is SubjectKind.USER:
            if holders:
                holders += self.groups_of.get(subject.name, ())
            for idp_group in sorted(subject.idp_groups):
                holders += [group for group in self._idp.get(idp_group, ()) if group not in holders]
        return tuple(holders)

    def held(self, holders: Iterable[str], space: SpaceName) -> Roles:
        """Return the roles that apply in a space: those of the space and of all above it, and the sight from below."""
        held: Roles = {}
        if not self.tree.exists(space):
            return held
        for holder in holders:
            spaces = self._held.get(holder)
            if spaces is None:
                continue
            level: SpaceName | None = space
            while level is not None:
                for role, grant in spaces.get(level, _NONE).items():
                    if role not in held or grant.outlasts(held[role]):
                        held[role] = grant
                level = self._parents.get(level)
            seen = self._sight[holder].get(space)
            if seen is not None and (SIGHT not in held or seen.outlasts(held[SIGHT])):
                held[SIGHT] = seen
        return held

    def granted_in(self, holders: Iterable[str]) -> Iterator[SpaceName]:
        """Yield the spaces in which the holders have a grant."""
        for holder in holders:
            yield from self._held.get(holder, _NOWHERE)

    def seen_from_below(self, holders: Iterable[str]) -> Iterator[SpaceName]:
        """Yield the spaces that the holders see because they have a role in an inheriting space below."""
        for holder in holders:
            yield from self._sight.get(holder, _NOWHERE)

    def distance(self, grant: Grant, space: SpaceName) -> int:
        """Return how many levels the space lies below the grant's space; 0 if it does not lie below it."""
        steps, level = 0, space
        while level != grant.space:
            if level not in self._parents:
                return 0
            steps, level = steps + 1, self._parents[level]
        return steps


_NONE: Roles = {}
_NOWHERE: Mapping[SpaceName, Roles] = {}


def holder_of(subject: SubjectRef) -> str:
    """Return the subject of a binding as `kind:name`."""
    if subject.user is not None:
        return f"user:{subject.user}"
    if subject.group is not None:
        return f"group:{subject.group}"
    if subject.api_key is not None:
        return f"apiKey:{subject.api_key}"
    return f"stack:{subject.stack}"


_Bindings = Mapping[ResourceRef, RoleBindingSpec]


def _longest_first(
    bindings: _Bindings, roles: Collection[str], tree: SpaceTree, now: datetime
) -> Iterator[tuple[ResourceRef, RoleBindingSpec]]:
    """Yield the bindings that count: those without an end by space and name, then the others, the last to end first.

    They are sorted in small portions: one long sort would keep all other threads waiting.
    """
    lasting: dict[SpaceName, dict[str, ResourceRef]] = {}
    ending: dict[datetime, dict[tuple[str, str], ResourceRef]] = {}
    for ref, spec in bindings.items():
        if spec.role not in roles or not tree.exists(ref.space):
            continue
        if spec.expires is None:
            lasting.setdefault(ref.space, {})[ref.name] = ref
        elif spec.expires > now:
            ending.setdefault(spec.expires, {})[ref.space, ref.name] = ref
    for space in sorted(lasting):
        for name in sorted(lasting[space]):
            ref = lasting[space][name]
            yield ref, bindings[ref]
    for end in sorted(ending, reverse=True):
        for key in sorted(ending[end]):
            ref = ending[end][key]
            yield ref, bindings[ref]


def _memberships(documents: AccessDocuments) -> tuple[dict[str, tuple[str, ...]], dict[str, tuple[str, ...]]]:
    by_user: dict[str, list[str]] = {}
    by_idp_group: dict[str, list[str]] = {}
    for name, spec in sorted(documents.groups.items()):
        for member in spec.members:
            by_user.setdefault(member, []).append(f"group:{name}")
        for idp_group in spec.idp_groups:
            by_idp_group.setdefault(idp_group, []).append(f"group:{name}")
    return (
        {user: tuple(dict.fromkeys(groups)) for user, groups in by_user.items()},
        {idp_group: tuple(dict.fromkeys(groups)) for idp_group, groups in by_idp_group.items()},
    )


def _documented(documents: AccessDocuments) -> Iterator[str]:
    yield from (f"user:{name}" for name in documents.users)
    yield from (f"group:{name}" for name in documents.groups)
    yield from (f"apiKey:{name}" for name in documents.api_keys)
    yield from (f"stack:{identity}" for identity in documents.stacks)


def _by_space(grants: Iterable[Grant]) -> dict[SpaceName, Roles]:
    """Return the first grant of each role in each space. The grants come with the longest-lasting first."""
    by_space: dict[SpaceName, Roles] = {}
    for grant in grants:
        by_space.setdefault(grant.space, {}).setdefault(grant.role, grant)
    return by_space


def _sight(grants: Iterable[Grant], tree: SpaceTree) -> dict[SpaceName, Grant]:
    """Return, for each space above an inheriting one, the grant that lets its holder see it.

    The walk goes up from each grant as far as the spaces inherit, and stops at a space already seen: the grant that was
    there first lasts longer and has gone on from there.
    """
    seen: dict[SpaceName, Grant] = {}
    started: set[SpaceName] = set()
    for grant in grants:
        level = grant.space
        if level in started:
            continue
        started.add(level)
        while tree.inherits(level):
            level = tree.nodes[level].parent
            if level in seen:
                break
            seen[level] = grant
    return seen
