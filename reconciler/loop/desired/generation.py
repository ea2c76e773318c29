"""What one look at the repositories would change, and how it becomes the next generation.

`Walking` gathers a `Changeset` commit by commit, and `Advancing` adds what changed elsewhere: sources, pins, approvals.
`Generations` then works out the desired state of the stacks in it, and has the `World` take that over once it is
recorded. `CatchingUp` does the same with what another service recorded. Nothing here writes to the store.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace

from rbac.access.subjects import Subject, SubjectKind
from rbac.admission.admit import Admission
from rbac.admission.settings import Rules
from reconciler.core.keeping import StackPin
from reconciler.core.state import Desired, StackProblem
from reconciler.git.errors import GitError
from reconciler.loop.desired.repositories import Places
from reconciler.loop.desired.world import EarlierStack, World, desire
from reconciler.store.stored import AuditEvent
from spaces.documents.changes import DocumentChange, Unfounded, Verb, changes, unfounded
from spaces.effective.windows import refrozen
from spaces.in_force import InForce, affected, differing
from spaces.names import Kind, Revision, SpaceName, StackId


@dataclass(frozen=True, slots=True)
class Departure:
    """How a stack's document left Git."""

    persons: tuple[str, ...]
    """Who removed it, the last one at the end, as far as that is known; also who approved of that."""
    moved: bool
    """Another document says that it is the same stack."""


@dataclass(slots=True)
class Changeset:
    """What a look at the repositories would change."""

    admission: Admission
    stacks: set[StackId]
    """Stacks whose desired state is to be worked out anew."""
    gone: set[StackId] = field(default_factory=set)
    """Stacks whose documents really left Git."""
    refrozen: set[SpaceName] = field(default_factory=set)
    """Spaces over which other freeze windows may be now."""
    moves: list[tuple[StackId, StackId]] = field(default_factory=list)
    unfounded: list[Unfounded] = field(default_factory=list)
    """New stacks that say they moved from where none was in force."""
    tips: dict[str, Revision] = field(default_factory=dict)
    authors: dict[StackId, tuple[str, ...]] = field(default_factory=dict)
    """Whose commits and approvals changed a stack, the last one at the end; only where that is known."""
    left: set[str] = field(default_factory=set)
    """Users and API keys that left Git, even where another of the name has come."""
    events: list[AuditEvent] = field(default_factory=list)
    pins: Mapping[StackId, StackPin] = field(default_factory=dict)
    """The stacks that stay at an earlier revision of themselves after it."""
    pinned: Mapping[StackId, EarlierStack | StackProblem] = field(default_factory=dict)
    """Those of them that are worked out anew, as they were."""
    approvals: tuple[str, ...] = ()
    """The held changes whose approvals were looked at."""

    @property
    def in_force(self) -> InForce:
        """The documents in force after it."""
        return self.admission.in_force

    def by(self, stacks: Iterable[StackId], *persons: str) -> None:
        """Note that these persons changed these stacks."""
        for stack in stacks:
            earlier = (each for each in self.authors.get(stack, ()) if each not in persons)
            self.authors[stack] = (*earlier, *persons)

    def departures(self) -> dict[StackId, Departure]:
        """Return the stacks that left Git, and how."""
        moved = {origin for origin, _ in self.moves}
        return {stack: Departure(self.authors.get(stack, ()), stack in moved) for stack in self.gone}

    def settle(self) -> None:
        """Leave out what a later change has overtaken: stacks that are in force no more, and those that are again."""
        placed = self.in_force.documents.placed
        self.stacks = {stack for stack in self.stacks if placed(stack.ref) is not None}
        self.gone = {stack for stack in self.gone if placed(stack.ref) is None}

    def add(self, before: InForce | None, after: InForce) -> None:
        """Note what one admitted commit changes."""
        self.stacks |= affected(before, after)
        if before is None:
            return
        differ = differing(before, after)
        self.refrozen |= refrozen(differ, before.documents, after.documents)[0]
        found = changes(before.documents, after.documents, differ)
        self.unfounded += unfounded(before.documents, found)
        for change in found:
            self._note_left(change)
            if change.ref.kind is not Kind.STACK:
                continue
            stack = StackId(change.ref.space, change.ref.name)
            if change.verb is Verb.DELETE:
                self.gone.add(stack)
            else:
                self.gone.discard(stack)
            if change.verb is Verb.MOVE and change.origin is not None:
                origin = StackId(change.origin.space, change.origin.name)
                self.moves.append((origin, stack))
                self.gone.add(origin)

    def _note_left(self, change: DocumentChange) -> None:
        gone = change.ref if change.verb is Verb.DELETE else change.origin
        if gone is not None and gone.kind in _HOLDERS:
            self.left.add(str(Subject(_HOLDERS[gone.kind], gone.name)))


_HOLDERS = {Kind.USER: SubjectKind.USER, Kind.API_KEY: SubjectKind.API_KEY}
"""The kinds of documents that tokens belong to."""


def repinned(before: Admission, after: Admission) -> set[StackId]:
    """Return the stacks whose files are read at another revision than before."""
    pins = (before.pins, after.pins)
    return {stack for stack in {*pins[0], *pins[1]} if pins[0].get(stack) != pins[1].get(stack)}


@dataclass(frozen=True, slots=True)
class Generations:
    """Works out the desired state of a changeset, and brings the `World` to it."""

    world: World
    places: Places
    rules: Rules

    def desire(self, changeset: Changeset) -> dict[StackId, Desired]:
        """Work out what is desired of its stacks."""
        changeset.settle()
        tips = {**self.world.tips, **changeset.tips}
        wanted = desire(
            changeset.in_force,
            sorted(changeset.stacks),
            self.places.reading(tips, changeset.admission.pins),
            self.world.index,
            self.person(changeset.in_force),
            check=self.places.check,
        )
        for stack, authors in changeset.authors.items():
            if stack in wanted:
                wanted[stack] = replace(wanted[stack], person=authors[-1], authors=authors)
        return wanted

    def person(self, in_force: InForce) -> str | None:
        """Name whoever a commit says that it is by; where access counts, that is not said."""
        if self.rules.judges(in_force.documents):
            return None
        try:
            return self.places.config_trees().commit(in_force.revision).author_email or None
        except GitError:
            return None

    def take_over(self, changeset: Changeset, generation: int, wanted: Mapping[StackId, Desired]) -> None:
        """Let what was recorded be what this process knows."""
        previous = self.world.revision
        self.world.put(wanted, changeset.gone)
        kept = {stack: it for stack, it in self.world.pinned.items() if stack in changeset.pins}
        self.world.pins, self.world.pinned = changeset.pins, {**kept, **changeset.pinned}
        self.world.generation, self.world.admission = generation, changeset.admission
        self.world.tips = {**self.world.tips, **changeset.tips}
        self.places.release(previous)

    def forget(self, stacks: Collection[StackId]) -> None:
        """Undo what a changeset that came too late noted: the next catch-up reads everything anew."""
        for stack in stacks:
            self.world.index.remove(stack)
        self.world.generation = -1
