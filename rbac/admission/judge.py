"""Whether a person may make one change: the rights that it needs, and the bounds of what it gives to others.

`objections` calls this for each change of a trial and each person who contributed to it, `sources` for the files of
stacks. Returns the missing right, in words. The caller decides what to hold.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

from rbac.access.access import Access
from rbac.access.actions import ACTIONS, ENV_TAKEOVER, INTEGRATION_USE, Action, expand, on_document, summarize
from rbac.access.subjects import Subject, SubjectKind, group, stack, user
from rbac.admission.former import Former
from rbac.identity import Person, Stranger
from spaces.documents.changes import DocumentChange, Verb
from spaces.documents.documents import Placed, PlacedDocuments
from spaces.documents.references import hijacking_variables, moved_from, parent_names
from spaces.model.people import UserSpec
from spaces.model.role import RoleBindingSpec, RoleSpec
from spaces.model.space import SpaceSpec
from spaces.names import ROOT, Kind, ResourceRef, SpaceName, StackId
from spaces.rules.integrations import integrations_in_use

_NAMED = 3
_READ_STACK = Action("stack", "read")


@dataclass(frozen=True, slots=True)
class MissingRight:
    """The right that somebody lacks, where, and what is to be said about it."""

    action: Action
    space: SpaceName
    message: str


@dataclass(frozen=True, slots=True)
class Judge:
    """Judges the changes of one person by the access rules before them.

    `before` and `after` are the documents that are in force, and those that would be.
    """

    access: Access
    person: Person | Stranger
    before: PlacedDocuments
    after: PlacedDocuments
    former: Former = field(default_factory=Former)

    def change(self, change: DocumentChange) -> MissingRight | None:
        """Return which right the person lacks for a document's change; None when it may be made."""
        for action, space in _needed(change):
            missing = self._lacks(action, space)
            if missing is not None:
                return missing
        missing = self._earned(change)
        if missing is not None:
            return missing
        for parent in self._added_parents(change):
            missing = self.reads(parent, change.ref)
            if missing is not None:
                return missing
        if change.after is not None and self._adds_integrations(change, change.after):
            missing = self._lacks(INTEGRATION_USE, change.after.ref.space)
            if missing is not None:
                return missing
        if isinstance(self.person, Stranger):
            return None
        return self._guarded(change) or self._beyond(change, self.person.subject) or self._robs(change)

    def files(self, identity: StackId) -> MissingRight | None:
        """Return which right the person lacks for changing the files that a stack refers to."""
        return self._lacks(on_document(Kind.STACK, Verb.UPDATE), identity.space)

    def claim(self, space: SpaceName) -> MissingRight | None:
        """Return which right the person lacks for giving a directory of a space to another one."""
        return self._lacks(Action("space", "create"), space)

    def reads(self, stack: ResourceRef, user: ResourceRef) -> MissingRight | None:
        """Return which right the person lacks for letting a stack use another one's outputs."""
        missing = self._lacks(_READ_STACK, stack.space)
        if missing is None:
            return None
        told = f"{user} would depend on {stack.space}/{stack.name}: {missing.message}"
        return MissingRight(missing.action, missing.space, told)

    def standing(self, space: SpaceName) -> SpaceName | None:
        """Return the space by whose rights a space is judged: itself, or for a new one the nearest that was there."""
        seen = set()
        while not self.access.tree.exists(space):
            placed = self.after.placed(ResourceRef(Kind.SPACE, space, space))
            if placed is None or placed.parent is None or space in seen:
                return None
            seen.add(space)
            space = placed.parent
        return space

    def _lacks(self, action: Action | None, space: SpaceName) -> MissingRight | None:
        """Ask for one right; for all of them where `action` is None."""
        told = action or Action("space", "update")
        if isinstance(self.person, Stranger):
            return MissingRight(told, space, f"{self.person.message}; {self.person.hint}")
        here = self.standing(space)
        if here is None:
            # Nothing can lie there: it is held as what does not work, and judged when the space is there.
            return None
        subject = self.person.subject
        if action is not None:
            decision = self.access.decide(subject, action, here)
            return None if decision.allowed else MissingRight(action, space, decision.because)
        if self.access.missing(subject, ACTIONS, here):
            return MissingRight(
                told, here, f"labels, parent and inherit of a space are for who is admin in {here}, above it"
            )
        return None

    def _earned(self, change: DocumentChange) -> MissingRight | None:
        """Ask for the right to a name that was used before, and to what was kept under it."""
        if change.ref.kind is Kind.SPACE and change.before is None and change.after is not None:
            name, parent = change.ref.space, change.after.parent or ROOT
            return None if self.former.returns(name, parent) else self._of_keeper(name, Action("space", "create"))
        for origin in _origins(change):
            if not self.access.tree.exists(origin.space):
                missing = self._of_keeper(origin.space, on_document(Kind.STACK, Verb.MOVE))
                if missing is not None:
                    return missing
        return None

    def _of_keeper(self, name: SpaceName, action: Action) -> MissingRight | None:
        keeper = self.former.keeper(name, self.access.tree)
        missing = self._lacks(action, keeper) if keeper is not None else None
        if missing is None:
            return None
        told = (
            f"the name {name} belongs to {keeper}, below which a space of that name or its secrets were: what is kept "
            f"of it would come along, and {missing.message}"
        )
        return MissingRight(action, missing.space, told)

    def _added_parents(self, change: DocumentChange) -> Iterator[ResourceRef]:
        """List the stacks of other spaces that a change makes a stack depend on, as far as they can be meant."""
        if change.ref.kind is not Kind.STACK or change.after is None:
            return
        here = change.after.ref.space
        # A bare name means something else in another space.
        before = (
            parent_names(change.before.resource) if change.before and change.before.ref.space == here else frozenset()
        )
        for name in sorted(parent_names(change.after.resource) - before):
            space, slash, bare = name.rpartition("/")
            line = self.access.tree.inherited(self.standing(here) or here)
            for each in (SpaceName(space),) if slash else line:
                ref = ResourceRef(Kind.STACK, each, bare)
                if each != here and (self.before.placed(ref) or self.after.placed(ref)):
                    yield ref

    def _adds_integrations(self, change: DocumentChange, after: Placed) -> bool:
        """Whether a change lets a stack use a cloud integration that it did not use, or did from another space."""
        if change.ref.kind is not Kind.STACK:
            return False
        before = change.before
        used = {each.ref for each in integrations_in_use(self.after, after)}
        if used and before is not None and before.ref.space == after.ref.space:
            used -= {each.ref for each in integrations_in_use(self.before, before)}
        return bool(used)

    # What nobody may do from inside the repository

    def _guarded(self, change: DocumentChange) -> MissingRight | None:
        """Keep the settings' admins able to sign: their documents may change, but not go or lose their last key."""
        if change.ref.kind is not Kind.USER or user(change.ref.name) not in self.access.admins:
            return None
        before, after = (placed.resource.spec if placed else None for placed in (change.before, change.after))
        if not isinstance(before, UserSpec):
            return None
        lost_key = bool(before.signing_keys) and not (isinstance(after, UserSpec) and after.signing_keys)
        lost_address = bool(before.emails) and not (isinstance(after, UserSpec) and after.emails)
        if after is None or lost_key or lost_address:
            why = f"{change.ref.name} is an admin by the service's own settings, and would be locked out"
            return MissingRight(
                on_document(Kind.USER, change.verb), ROOT, f"{why}; take the name out of the settings first"
            )
        return None

    # Bounds: nobody gives more than they hold

    def _beyond(self, change: DocumentChange, giver: Subject) -> MissingRight | None:
        spec = change.after.resource.spec if change.after is not None else None
        ref, action = change.ref, on_document(change.ref.kind, change.verb)
        if isinstance(spec, RoleBindingSpec):
            here = self.standing(ref.space) or ref.space
            return _too_much(action, here, "the binding gives", self.access.grants_bounded(giver, spec, here), here)
        if isinstance(spec, RoleSpec):
            lacking = self.access.missing(giver, expand(spec.actions), ROOT)
            return _too_much(action, ROOT, "the role gives", lacking, ROOT)
        holder = _becomes(change)
        if holder is not None and holder != giver.plain:
            beyond = list(self.access.beyond(giver, holder))
            if beyond:
                where = beyond[0][0]
                what = f"whoever writes {ref.kind} {ref.name} decides what {holder} does, who holds"
                return _too_much(action, ref.space, what, {each for at, each in beyond if at == where}, where)
        return None

    def _robs(self, change: DocumentChange) -> MissingRight | None:
        """Keep a key or an address from becoming two users': it would prove neither, and lock the first one out."""
        before, after = (placed.resource.spec if placed else None for placed in (change.before, change.after))
        if not isinstance(after, UserSpec) or not isinstance(self.person, Person):
            return None
        shared = set(self.access.sharing(change.ref.name, after))
        if isinstance(before, UserSpec):
            shared.difference_update(self.access.sharing(change.ref.name, before))
        for other in sorted(shared):
            if other in self.access.admins or self.access.beyond(self.person.subject, other):
                why = f"a key or address in it is {other}'s, and would prove neither of them"
                hint = f"take it out of the User document of {other.name} first"
                return MissingRight(on_document(Kind.USER, change.verb), ROOT, f"{why}; {hint}")
        return None


def _becomes(change: DocumentChange) -> Subject | None:
    """Name the holder of rights that the writer of a document can act as."""
    match change.ref.kind, change.verb:
        case _, Verb.DELETE:
            return None
        case Kind.USER, _:
            return user(change.ref.name)
        case Kind.GROUP, _:
            return group(change.ref.name)
        case Kind.API_KEY, _:
            return Subject(SubjectKind.API_KEY, change.ref.name)
        case Kind.STACK, Verb.CREATE | Verb.MOVE:
            return stack(StackId(change.ref.space, change.ref.name))
        case _:
            return None


def _too_much(
    action: Action, space: SpaceName, what: str, lacking: Collection[Action], where: SpaceName
) -> MissingRight | None:
    if not lacking:
        return None
    words = summarize(lacking).split(", ")
    named = ", ".join(words[:_NAMED]) + (f" and {len(words) - _NAMED} more" if len(words) > _NAMED else "")
    return MissingRight(action, space, f"{what} {named} in {where}, which its author does not hold for as long")


def _needed(change: DocumentChange) -> Iterator[tuple[Action | None, SpaceName]]:
    """List the rights that a change needs; None stands for all of them."""
    if change.ref.kind is Kind.SPACE:
        yield from _needed_for_space(change)
        return
    action = on_document(change.ref.kind, change.verb)
    yield action, change.ref.space
    if _takes_over(change):
        yield ENV_TAKEOVER, change.ref.space
    for origin in _origins(change):
        yield on_document(Kind.STACK, Verb.MOVE), origin.space


def _origins(change: DocumentChange) -> list[ResourceRef]:
    """List where a stack comes from, as it says now for the first time, and as it does."""
    origins = {_says_it_was(change.after)} - {_says_it_was(change.before)} | {change.origin}
    return sorted(each for each in origins if each is not None)


def _takes_over(change: DocumentChange) -> bool:
    """Whether a change sets a variable that takes over what runs, or sets it elsewhere."""
    before, after = (hijacking_variables(each.resource) if each else {} for each in (change.before, change.after))
    here = change.before is not None and change.after is not None and change.before.ref.space == change.after.ref.space
    return any(not here or before.get(name) != value for name, value in after.items())


def _needed_for_space(change: DocumentChange) -> Iterator[tuple[Action | None, SpaceName]]:
    action = on_document(Kind.SPACE, change.verb)
    before, after = change.before, change.after
    parents = {placed.parent or ROOT for placed in (before, after) if placed is not None}
    if change.ref.space == ROOT:
        # Nobody above can decide about its labels, which policies of all spaces see.
        yield None, ROOT
        return
    if before is not None and after is not None:
        if _place(before) == _place(after):
            yield action, change.ref.space
            return
        for parent in sorted(parents):
            yield None, parent
        return
    for parent in sorted(parents or {change.ref.space}):
        yield action, parent


def _place(space: Placed) -> object:
    spec = space.resource.spec
    return space.parent, isinstance(spec, SpaceSpec) and spec.inherit, dict(space.resource.metadata.labels)


def _says_it_was(placed: Placed | None) -> ResourceRef | None:
    return moved_from(placed.resource) if placed is not None and placed.ref.kind is Kind.STACK else None
