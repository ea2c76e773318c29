"""Who holds which role where: bindings, spread over members and spaces so that a question costs a few look-ups."""

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
    """Who there is and what they were given. Users, groups, roles and API keys go by name: they lie in the root."""

    roles: Mapping[str, RoleSpec] = field(default_factory=dict)
    bindings: Mapping[ResourceRef, RoleBindingSpec] = field(default_factory=dict)
    users: Mapping[str, UserSpec] = field(default_factory=dict)
    groups: Mapping[str, GroupSpec] = field(default_factory=dict)
    api_keys: frozenset[str] = frozenset()
    stacks: frozenset[StackId] = frozenset()

    @classmethod
    def of(cls, documents: PlacedDocuments) -> AccessDocuments:
        """Pick them out of all documents; those that do not lie where their kind belongs do not count."""
        return cls(
            roles=_in_root(documents, Kind.ROLE),
            bindings=_specs(documents, Kind.ROLE_BINDING),
            users=_in_root(documents, Kind.USER),
            groups=_in_root(documents, Kind.GROUP),
            api_keys=frozenset(_in_root(documents, Kind.API_KEY)),
            stacks=frozenset(StackId(each.ref.space, each.ref.name) for each in documents.of_kind(Kind.STACK)),
        )


def _specs(documents: PlacedDocuments, kind: Kind) -> dict[ResourceRef, Any]:
    return {each.ref: each.resource.spec for each in documents.of_kind(kind)}


def _in_root(documents: PlacedDocuments, kind: Kind) -> dict[str, Any]:
    return {ref.name: spec for ref, spec in _specs(documents, kind).items() if ref.space == ROOT}


SIGHT = "(sight)"
"""What whoever has a role in a space that inherits holds in the spaces above; no role can have this name."""


@dataclass(frozen=True, slots=True)
class Grant:
    """A role that a holder (as `kind:name`) has in a space by a binding, or by the settings where that is None."""

    role: str
    space: SpaceName
    holder: str
    binding: ResourceRef | None = None
    expires: datetime | None = None

    def outlasts(self, other: Grant) -> bool:
        """Say whether it ends later than the other."""
        return other.expires is not None and (self.expires is None or self.expires > other.expires)


Roles = dict[str, Grant]
"""Role names to the grant that gives the role for longest."""


@dataclass(frozen=True, slots=True, eq=False)
class Grants:
    """Every grant that counts at one moment, indexed. Immutable once built, so that threads share it."""

    tree: SpaceTree
    roles: Mapping[str, Actions]
    valid_until: datetime | None
    """When the next of the grants ends."""
    everyone: Mapping[str, tuple[Grant, ...]]
    """Holder to all that was granted to it, the longest-lasting first."""
    groups_of: Mapping[str, tuple[str, ...]]
    """Users' names to the groups they are members of, as holders."""
    known: frozenset[str]
    """The holders that exist: documents, and the admins of the settings."""
    _idp: Mapping[str, tuple[str, ...]] = field(repr=False)
    _held: Mapping[str, Mapping[SpaceName, Roles]] = field(repr=False)
    _sight: Mapping[str, Mapping[SpaceName, Grant]] = field(repr=False)
    _parents: Mapping[SpaceName, SpaceName] = field(repr=False)

    @classmethod
    def build(cls, documents: AccessDocuments, tree: SpaceTree, admins: Iterable[Subject], now: datetime) -> Self:
        """Index what is granted at `now`. Bindings that ended, or name a role or space that is not there, are out."""
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
        """List the holders that the subject stands for: itself, and its groups. Who does not exist is nobody."""
        own = str(subject)
        found = [own] if own in self.known else []
        if subject.kind is SubjectKind.USER:
            if found:
                found += self.groups_of.get(subject.name, ())
            for idp_group in sorted(subject.idp_groups):
                found += [each for each in self._idp.get(idp_group, ()) if each not in found]
        return tuple(found)

    def held(self, holders: Iterable[str], space: SpaceName) -> Roles:
        """Give the roles that hold in a space: from there and all above, and the sight from below."""
        found: Roles = {}
        if not self.tree.exists(space):
            return found
        for holder in holders:
            spaces = self._held.get(holder)
            if spaces is None:
                continue
            here: SpaceName | None = space
            while here is not None:
                for role, grant in spaces.get(here, _NONE).items():
                    if role not in found or grant.outlasts(found[role]):
                        found[role] = grant
                here = self._parents.get(here)
            seen = self._sight[holder].get(space)
            if seen is not None and (SIGHT not in found or seen.outlasts(found[SIGHT])):
                found[SIGHT] = seen
        return found

    def granted_in(self, holders: Iterable[str]) -> Iterator[SpaceName]:
        """List the spaces in which something was granted to these."""
        for holder in holders:
            yield from self._held.get(holder, _NOWHERE)

    def seen_from_below(self, holders: Iterable[str]) -> Iterator[SpaceName]:
        """List the spaces that these see because they have a role in a space that inherits from them."""
        for holder in holders:
            yield from self._sight.get(holder, _NOWHERE)

    def distance(self, grant: Grant, space: SpaceName) -> int:
        """Count the spaces between a grant and a space below it; 0 where it does not lie above."""
        steps, here = 0, space
        while here != grant.space:
            if here not in self._parents:
                return 0
            steps, here = steps + 1, self._parents[here]
        return steps


_NONE: Roles = {}
_NOWHERE: Mapping[SpaceName, Roles] = {}


def holder_of(subject: SubjectRef) -> str:
    """Write whom a binding names as `kind:name`."""
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
    """Give the bindings that count: those without an end by space and name, then the others, the last to end first.

    Sorted in small portions: one long sort would keep every other thread waiting.
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
    """Keep the first grant of each role in each space: they come longest-lasting first."""
    found: dict[SpaceName, Roles] = {}
    for grant in grants:
        found.setdefault(grant.space, {}).setdefault(grant.role, grant)
    return found


def _sight(grants: Iterable[Grant], tree: SpaceTree) -> dict[SpaceName, Grant]:
    """Walk up from each grant as far as the spaces inherit; whoever was there before lasts longer and went on."""
    found: dict[SpaceName, Grant] = {}
    started: set[SpaceName] = set()
    for grant in grants:
        here = grant.space
        if here in started:
            continue
        started.add(here)
        while tree.inherits(here):
            here = tree.nodes[here].parent
            if here in found:
                break
            found[here] = grant
    return found
