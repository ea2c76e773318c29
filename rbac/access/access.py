"""Who may do what, where: the access rules of one revision, compiled.

`Access.compile` is called once for each revision in force, and again when a binding ends. Admission, the API and the
command line then ask `decide` and its siblings. Every answer carries its reason in words. This module never reads
documents or the clock by itself, never changes anything, and never tells somebody about a space that they may not see:
a refusal reads the same whether the space exists or not.
"""

from __future__ import annotations

import gc
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from rbac.access.actions import ACTIONS, SPACE_READ, Action, Actions
from rbac.access.enforcer import Asker, Enforcer
from rbac.access.grants import SIGHT, AccessDocuments, Grant, Grants, Roles, holder_of
from rbac.access.subjects import Subject, SubjectKind, user
from spaces.documents.tree import SpaceTree
from spaces.model.explain import shown
from spaces.model.people import UserSpec, email_key
from spaces.model.role import BUILT_IN_ROLES, RoleBindingSpec
from spaces.names import SpaceName

_GRANT = Action("roleBinding", "create")
_SEE_BINDINGS = Action("roleBinding", "read")


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer to one question, and the grant it rests on. A refusal reads the same for a space that does not exist.

    `next_expiry` is when the last grant that allows the action ends. It is None for a grant that never ends, and for a
    refusal, which time does not turn into a yes. For an answer about somebody else, show `because` and `grant` only to
    a reader who may see the bindings of `grant.space`.
    """

    allowed: bool
    because: str
    next_expiry: datetime | None = None
    grant: Grant | None = None


@dataclass(frozen=True, slots=True)
class Holder:
    """A subject that may do the action in question.

    Show it only to a reader who may see the bindings of `grant.space`.
    """

    subject: Subject
    because: str
    grant: Grant


@dataclass(frozen=True, slots=True)
class HeldRole:
    """A role that a subject holds in `grant.space` and in all spaces below it."""

    actions: Actions
    because: str
    grant: Grant


@dataclass(frozen=True, eq=False)
class Access:
    """The access rules of one revision at one time. Immutable, so that threads can share it."""

    tree: SpaceTree
    admins: frozenset[Subject]
    grants: Grants = field(repr=False)
    _documents: AccessDocuments = field(repr=False)
    _enforcer: Enforcer = field(repr=False)
    left: Mapping[SpaceName, SpaceName] = field(default_factory=dict, repr=False)
    """The spaces that have left, each with the space by whose rights what is kept of it is judged."""

    @classmethod
    def compile(cls, documents: AccessDocuments, tree: SpaceTree, admins: Iterable[Subject], now: datetime) -> Access:
        """Compile what the documents grant at `now`.

        `admins`, from the service's settings, may always do everything.
        """
        fixed = frozenset(admin.plain for admin in admins)
        with _collecting_later():
            grants = Grants.build(documents, tree, fixed, now)
        return cls(tree, fixed, grants, documents, Enforcer(grants.roles))

    @property
    def valid_until(self) -> datetime | None:
        """The time at which the next binding ends, and these answers with it. None: no binding ends."""
        return self.grants.valid_until

    def at(self, now: datetime) -> Access:
        """Return the access rules at a later time: these, as long as no binding has ended by then."""
        until = self.grants.valid_until
        if until is None or now < until:
            return self
        return Access.compile(self._documents, self.tree, self.admins, now).keeping(self.left)

    def keeping(self, left: Mapping[SpaceName, SpaceName]) -> Access:
        """Return the access rules that also answer for spaces that have left."""
        return replace(self, left=left)

    # Questions

    def decide(self, subject: Subject, action: Action, space: SpaceName) -> Decision:
        """Return whether the subject may do the action in the space, and the reason."""
        here = space if self.tree.exists(space) else self.left.get(space, space)
        roles = self.grants.held(self.grants.holders(subject), here)
        if here != space:
            roles.pop(SIGHT, None)  # what is only seen from below says nothing about what was beside it
        if self._enforcer.allows(Asker(roles), action, here):
            seen, grant = self._basis(roles, action, here)
            return Decision(True, basis(grant, subject, here if seen else None), grant.expires, grant)
        return Decision(False, refusal(subject, action, space))

    def ended(self, subject: Subject, action: Action, space: SpaceName) -> Grant | None:
        """Return the grant that would allow what is refused now, had it not ended: of several, the last to end.

        Like `Decision.grant`, it is for readers of its space's bindings.
        """
        if not self.tree.exists(space):
            return None
        above, holders = set(self.tree.lineage(space)), set(self.grants.holders(subject))
        found = [
            Grant(spec.role, ref.space, holder, ref, spec.expires)
            for ref, spec in self._documents.bindings.items()
            if spec.expires is not None and ref.space in above and action in self.grants.roles.get(spec.role, ())
            for holder in map(holder_of, spec.subjects)
            if holder in holders
        ]
        return max(found, key=lambda grant: (grant.expires, grant.space), default=None)

    def knows(self, subject: Subject) -> bool:
        """Whether the subject exists."""
        return bool(self.grants.holders(subject))

    def spaces_where(self, subject: Subject, action: Action) -> frozenset[SpaceName]:
        """Return the spaces in which the subject may do the action. A list asks once instead of once for each row."""
        holders = self.grants.holders(subject)
        tops = []
        answers: dict[frozenset[str], bool] = {}
        for space in set(self.grants.granted_in(holders)):
            roles = self.grants.held(holders, space)
            roles.pop(SIGHT, None)  # what is only seen from below says nothing about the spaces below
            names = frozenset(roles)
            if names not in answers:
                # The answer follows from the roles alone, and somebody holds the same few in hundreds of spaces.
                answers[names] = self._enforcer.allows(Asker(roles), action, space)
            if answers[names]:
                tops.append(space)
        spaces = set(self.tree.subtrees(tops))
        spaces |= {gone for gone, keeper in self.left.items() if keeper in spaces and not self.tree.exists(gone)}
        if action == SPACE_READ:
            spaces.update(self.grants.seen_from_below(holders))
        return frozenset(spaces)

    def who_may(self, action: Action, space: SpaceName) -> tuple[Holder, ...]:
        """Return everyone who may do it in the space, members of groups too, with the longest-lasting reason."""
        best: dict[Subject, Holder] = {}
        for name in self.grants.everyone:
            roles = self.grants.held((name,), space) if name in self.grants.known else {}
            if not roles or not self._enforcer.allows(Asker(roles), action, space):
                continue
            seen, grant = self._basis(roles, action, space)
            for subject in self._with_members(name):
                if subject not in best or grant.outlasts(best[subject].grant):
                    because = basis(grant, subject, space if seen else None)
                    best[subject] = Holder(subject, because, grant)
        return tuple(holder for _, holder in sorted(best.items()))

    def roles_of(self, subject: Subject) -> tuple[HeldRole, ...]:
        """Return every role that the subject holds, by itself and through its groups, one entry for each binding."""
        held = [
            HeldRole(self.grants.roles[grant.role], basis(grant, subject), grant)
            for holder in self.grants.holders(subject)
            for grant in self.grants.everyone.get(holder, ())
        ]
        return tuple(sorted(held, key=lambda held: (held.grant.space, held.grant.role, held.because)))

    def groups_of(self, subject: Subject) -> tuple[str, ...]:
        """Return the names of the groups that the subject is in, sorted."""
        holders = (holder.partition(":") for holder in self.grants.holders(subject))
        return tuple(sorted(name for kind, _, name in holders if kind == SubjectKind.GROUP))

    def roles_in(self, subject: Subject, space: SpaceName) -> tuple[str, ...]:
        """Return the names of the roles that the subject holds in a space, those from above included, sorted."""
        return tuple(sorted(self.grants.held(self.grants.holders(subject), space).keys() - {SIGHT}))

    def holds(self, subject: Subject, role: str, space: SpaceName) -> str | None:
        """Return by what the subject holds a role in the space, or a built-in one above it; None: it does not."""
        wanted = BUILT_IN_ROLES[BUILT_IN_ROLES.index(role) :] if role in BUILT_IN_ROLES else (role, BUILT_IN_ROLES[-1])
        held = self.grants.held(self.grants.holders(subject), space)
        grant = next((held[name] for name in wanted if name in held), None)
        return basis(grant, subject) if grant is not None else None

    def rights(self, subject: Subject, space: SpaceName) -> Actions:
        """Return all actions that the subject may do in the space."""
        roles = self.grants.held(self.grants.holders(subject), space)
        actions: set[Action] = {SPACE_READ} if roles else set()
        for role in roles.keys() - {SIGHT}:
            actions |= self.grants.roles[role]
        return frozenset(actions)

    def advice(self, asker: Subject, action: Action, space: SpaceName) -> str:
        """Return a sentence about who could grant the right, limited to what the asker may know.

        It is empty when the asker may not see the space.
        """
        if not self.decide(asker, SPACE_READ, space).allowed:
            return ""
        able = {holder.subject for holder in self.who_may(action, space)}
        public = self.spaces_where(asker, _SEE_BINDINGS)
        givers = [
            holder for holder in self.who_may(_GRANT, space) if holder.subject in able and holder.grant.space in public
        ]
        return advice(action, space, [giver.subject for giver in givers])

    # Bounds: nobody gives more than they hold

    def missing(
        self, granter: Subject, actions: Iterable[Action], space: SpaceName, until: datetime | None = None
    ) -> Actions:
        """Return the actions that the granter does not hold in the space until `until` (None: for ever)."""
        lacking = set()
        for action in actions:
            decision = self.decide(granter, action, space)
            ends = decision.next_expiry
            if not decision.allowed or (ends is not None and (until is None or until > ends)):
                lacking.add(action)
        return frozenset(lacking)

    def grants_bounded(self, granter: Subject, binding: RoleBindingSpec, space: SpaceName) -> Actions:
        """Return the actions that the binding grants beyond those of the granter; empty when it may be granted.

        A role that is not in force yet may turn out to hold any action, so only somebody who may do everything can
        grant it.
        """
        actions = self.grants.roles.get(binding.role, ACTIONS)
        return self.missing(granter, actions, space, binding.expires)

    def beyond(self, granter: Subject, holder: Subject) -> Collection[tuple[SpaceName, Action]]:
        """Return, sorted, the rights of the holder that the granter does not have.

        Whoever lets somebody act as the holder grants all of these. All bindings that name the holder count, even those
        from before its document exists.
        """
        names = [str(holder.plain)]
        if holder.kind is SubjectKind.USER:
            names += self.grants.groups_of.get(holder.name, ())
        excess: set[tuple[SpaceName, Action]] = set()
        done: set[tuple[SpaceName, str]] = set()
        for grant in (grant for name in names for grant in self.grants.everyone.get(name, ())):
            if (grant.space, grant.role) not in done:  # the longest-lasting comes first
                lacking = self.missing(granter, self.grants.roles[grant.role], grant.space, grant.expires)
                excess.update((grant.space, action) for action in lacking)
            done.add((grant.space, grant.role))
        return sorted(excess)

    def sharing(self, name: str, spec: UserSpec) -> tuple[Subject, ...]:
        """Return the other users who have a key or an address of this one: neither would prove either user any more."""
        keys, addresses = {key.fingerprint for key in spec.keys}, {email_key(email) for email in spec.emails}
        return tuple(
            user(other)
            for other, theirs in sorted(self._documents.users.items())
            if other != name
            and not (
                keys.isdisjoint(key.fingerprint for key in theirs.keys)
                and addresses.isdisjoint(map(email_key, theirs.emails))
            )
        )

    def _basis(self, roles: Roles, action: Action, space: SpaceName) -> tuple[bool, Grant]:
        """Return whether sight is the basis, and the grant: longest-lasting, then nearest, then smallest."""
        able = [
            (name == SIGHT, grant)
            for name, grant in roles.items()
            if (action == SPACE_READ if name == SIGHT else action in self.grants.roles[name])
        ]
        if len(able) == 1:
            return able[0]

        def rank(basis: tuple[bool, Grant]) -> tuple[object, ...]:
            by_sight, grant = basis
            return _lasting(grant), by_sight, self._size(grant, space), grant.role

        return min(able, key=rank)

    def _size(self, grant: Grant, space: SpaceName) -> tuple[int, int]:
        return self.grants.distance(grant, space), len(self.grants.roles[grant.role])

    def _with_members(self, holder: str) -> Iterator[Subject]:
        kind, _, name = holder.partition(":")
        yield Subject(SubjectKind(kind), name)
        group = self._documents.groups.get(name) if kind == SubjectKind.GROUP else None
        for member in dict.fromkeys(group.members) if group else ():
            if f"user:{member}" in self.grants.known:
                yield Subject(SubjectKind.USER, member)


@contextmanager
def _collecting_later() -> Iterator[None]:
    """Pause the garbage collector: it would walk the growing index again and again while all threads wait."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _lasting(grant: Grant) -> tuple[bool, float]:
    return grant.expires is not None, -grant.expires.timestamp() if grant.expires else 0.0


_NAMED = 3


def basis(grant: Grant, subject: Subject, seen: SpaceName | None = None) -> str:
    """Return by what somebody holds a role. `seen` is the space above that they see only because of it."""
    binding = grant.binding
    how = f"binding {binding.space}/{binding.name}" if binding is not None else "the service's settings"
    text = f"{grant.role} in {grant.space} by {how}"
    if grant.holder != f"{subject.kind}:{subject.name}":
        text += f", through {grant.holder.replace(':', ' ', 1)}"
    if grant.expires is not None:
        text += f", until {stamp(grant.expires)}"
    return text if seen is None else f"{text}: {grant.space} inherits from {seen}"


def refusal(subject: Subject, action: Action, space: SpaceName) -> str:
    """Return the sentence that names the missing right. It is the same for a space that does not exist."""
    return f"{shown(str(subject))} has no role that allows {action} in {shown(space)}"


def ended(grant: Grant, subject: Subject) -> str:
    """Return what somebody held until it ended, as the end of a refusal."""
    until = f" at {stamp(grant.expires)}" if grant.expires is not None else ""
    return f"; {basis(replace(grant, expires=None), subject)} ended{until}"


def advice(action: Action, space: SpaceName, givers: Sequence[Subject]) -> str:
    """Return the sentence about who could grant a right; `givers` are those whom the reader may know."""
    named = ", ".join(str(giver) for giver in givers[:_NAMED])
    more = f" and {len(givers) - _NAMED} more" if len(givers) > _NAMED else ""
    who = f"{named}{more}" if givers else f"whoever is admin of {space}"
    return f"a binding in {space} or above could give {action}; {who} can write it"


def stamp(time: datetime) -> str:
    """Return a time in UTC as a document writes it, such as 2030-12-31T18:00:00Z."""
    return time.astimezone(UTC).isoformat().replace("+00:00", "Z")
