"""The differences between two sets of access rules: who gains and who loses which right, where and by which grant.

`station diff` and the API ask `differences` with the rules before and after a change. It returns rows for people to
read and decides nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from rbac.access.access import Access
from rbac.access.actions import Action, Actions
from rbac.access.grants import SIGHT
from rbac.access.subjects import Subject, SubjectKind
from spaces.documents.tree import SpaceTree
from spaces.names import SpaceName


class Gain(StrEnum):
    """Whether a right is gained or lost."""

    GAINS = "gains"
    LOSES = "loses"


@dataclass(frozen=True, slots=True)
class GrantDifference:
    """Actions that one subject gains or loses in a space, and likewise in `below` spaces under it."""

    subject: Subject
    space: SpaceName
    verb: Gain
    actions: Actions
    because: str
    below: int


_Changed = dict[tuple[SpaceName, Action], Gain]


def differences(before: Access, after: Access) -> tuple[GrantDifference, ...]:
    """Return the changed rights of users, API keys, stacks and groups without members, by subject and space.

    A new space is compared with the space above it, so that rights which simply extend to it are not listed.
    """
    moved = _moved(before.tree, after.tree)
    with_members = {group for groups in after.grants.groups_of.values() for group in groups}
    rows: list[GrantDifference] = []
    for name in sorted(before.grants.known | after.grants.known):
        kind, _, bare = name.partition(":")
        subject = Subject(SubjectKind(kind), bare)
        spaces = set(moved)
        if _grants(before, subject) != _grants(after, subject):
            spaces.update(*(_reach(access, subject) for access in (before, after)))
        if spaces and name not in with_members:
            rows.extend(_group(before, after, subject, _changed(before, after, subject, spaces)))
    return tuple(rows)


def _moved(before: SpaceTree, after: SpaceTree) -> frozenset[SpaceName]:
    """Return the spaces whose ancestors or descendants changed, as far as inheritance reaches."""
    names = before.nodes.keys() | after.nodes.keys()
    other = {name for name in names if before.nodes.get(name) != after.nodes.get(name)}
    spaces = {*before.subtrees(other), *after.subtrees(other)}
    return frozenset(spaces.union(*(tree.lineage(name) for tree in (before, after) for name in other)))


def _grants(access: Access, subject: Subject) -> set[tuple[object, ...]]:
    """Return everything that decides which rights the subject holds, apart from the tree."""
    roles = access.grants.roles
    return {
        (held.grant.space, roles[held.grant.role], held.grant.expires is None or held.grant.expires)
        for held in access.roles_of(subject)
    }


def _reach(access: Access, subject: Subject) -> Iterator[SpaceName]:
    holders = access.grants.holders(subject)
    yield from access.tree.subtrees(access.grants.granted_in(holders))
    yield from access.grants.seen_from_below(holders)


def _changed(before: Access, after: Access, subject: Subject, spaces: set[SpaceName]) -> _Changed:
    changed: _Changed = {}
    for space in spaces:
        old = _rights(before, subject, space, after.tree)
        new = _rights(after, subject, space, before.tree)
        changed |= {(space, action): Gain.GAINS for action in new - old}
        changed |= {(space, action): Gain.LOSES for action in old - new}
    return changed


def _rights(access: Access, subject: Subject, space: SpaceName, other: SpaceTree) -> Actions:
    standing = _counterpart(space, access.tree, other)
    if standing == space:
        return access.rights(subject, space)
    # Roles extend into a space that this tree lacks; sight from another space below does not.
    roles = access.grants.held(access.grants.holders(subject), standing).keys() - {SIGHT}
    return frozenset(action for role in roles for action in access.grants.roles[role])


def _counterpart(space: SpaceName, tree: SpaceTree, other: SpaceTree) -> SpaceName:
    """Return the space itself, or, if only the other tree has it, its nearest ancestor that this tree has too."""
    if tree.exists(space):
        return space
    return next((ancestor for ancestor in other.lineage(space) if tree.exists(ancestor)), space)


def _group(before: Access, after: Access, subject: Subject, changed: _Changed) -> Iterator[GrantDifference]:
    """Yield one difference for each topmost space and each reason."""
    rows: dict[tuple[SpaceName, Gain, str], set[Action]] = {}
    for (space, action), verb in sorted(changed.items()):
        access = after if verb is Gain.GAINS else before
        above = access.tree.parent(space)
        if above is None or changed.get((above, action)) is not verb:
            standing = _counterpart(space, access.tree, (before if access is after else after).tree)
            because = access.decide(subject, action, standing).because
            rows.setdefault((space, verb, because), set()).add(action)
    for (space, verb, because), actions in rows.items():
        tree = (after if verb is Gain.GAINS else before).tree
        below = [name for name in tree.subtree(space)[1:] if any(changed.get((name, a)) is verb for a in actions)]
        yield GrantDifference(subject, space, verb, frozenset(actions), because, len(below))
