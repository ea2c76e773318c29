"""Access rules against access rules: who gains and who loses what, where, and by what."""

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
    """Which way it went."""

    GAINS = "gains"
    LOSES = "loses"


@dataclass(frozen=True, slots=True)
class Difference:
    """What one subject gains or loses in a space, and alike in `below` spaces below it."""

    subject: Subject
    space: SpaceName
    verb: Gain
    actions: Actions
    because: str
    below: int


_Changed = dict[tuple[SpaceName, Action], Gain]


def differences(before: Access, after: Access) -> tuple[Difference, ...]:
    """List what changes for users, API keys, stacks, and groups without members, by subject and space.

    A new space is compared with the space above it, so that what simply holds there too is not told.
    """
    moved = _moved(before.tree, after.tree)
    with_members = {group for groups in after.grants.groups_of.values() for group in groups}
    found: list[Difference] = []
    for name in sorted(before.grants.known | after.grants.known):
        kind, _, bare = name.partition(":")
        subject = Subject(SubjectKind(kind), bare)
        spaces = set(moved)
        if _grants(before, subject) != _grants(after, subject):
            spaces.update(*(_reach(access, subject) for access in (before, after)))
        if spaces and name not in with_members:
            found.extend(_told(before, after, subject, _changed(before, after, subject, spaces)))
    return tuple(found)


def _moved(before: SpaceTree, after: SpaceTree) -> frozenset[SpaceName]:
    """Find the spaces for which something else lies above or below them, as far as that counts."""
    names = before.nodes.keys() | after.nodes.keys()
    other = {name for name in names if before.nodes.get(name) != after.nodes.get(name)}
    spaces = {*before.subtrees(other), *after.subtrees(other)}
    return frozenset(spaces.union(*(tree.lineage(name) for tree in (before, after) for name in other)))


def _grants(access: Access, subject: Subject) -> set[tuple[object, ...]]:
    """Give all that decides what the subject holds, apart from the tree."""
    roles = access.grants.roles
    return {
        (each.grant.space, roles[each.grant.role], each.grant.expires is None or each.grant.expires)
        for each in access.of(subject)
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
    at = _standing(space, access.tree, other)
    if at == space:
        return access.rights(subject, space)
    # Roles flow down into a space that is not here; what is only seen from another one below does not.
    roles = access.grants.held(access.grants.holders(subject), at).keys() - {SIGHT}
    return frozenset(action for role in roles for action in access.grants.roles[role])


def _standing(space: SpaceName, here: SpaceTree, there: SpaceTree) -> SpaceName:
    """Name the space itself, or for one that is only in the other tree the nearest above it that is here too."""
    return (
        next((each for each in there.lineage(space) if here.exists(each)), space) if not here.exists(space) else space
    )


def _told(before: Access, after: Access, subject: Subject, changed: _Changed) -> Iterator[Difference]:
    """Gather by the topmost spaces, and by what it rests on."""
    rows: dict[tuple[SpaceName, Gain, str], set[Action]] = {}
    for (space, action), verb in sorted(changed.items()):
        access = after if verb is Gain.GAINS else before
        above = access.tree.parent(space)
        if above is None or changed.get((above, action)) is not verb:
            at = _standing(space, access.tree, (before if access is after else after).tree)
            because = access.decide(subject, action, at).because
            rows.setdefault((space, verb, because), set()).add(action)
    for (space, verb, because), actions in rows.items():
        tree = (after if verb is Gain.GAINS else before).tree
        below = [each for each in tree.subtree(space)[1:] if any(changed.get((each, a)) is verb for a in actions)]
        yield Difference(subject, space, verb, frozenset(actions), because, len(below))
