"""What one look at the repositories would change: pure, gathered commit by commit."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from rbac.admission import Admission
from reconciler.store.protocol import AuditEvent
from spaces.changes import Verb, changes
from spaces.in_force import InForce, affected, differing
from spaces.moves import Unfounded, unfounded
from spaces.names import Kind, Revision, StackId


@dataclass(slots=True)
class Step:
    """What a look at the repositories would change."""

    admission: Admission
    stacks: set[StackId]
    """Stacks whose desired state is to be worked out anew."""
    gone: set[StackId] = field(default_factory=set)
    """Stacks whose documents really left Git."""
    moves: list[tuple[StackId, StackId]] = field(default_factory=list)
    unfounded: list[Unfounded] = field(default_factory=list)
    """New stacks that say they moved from where none was in force."""
    tips: dict[str, Revision] = field(default_factory=dict)
    authors: dict[StackId, tuple[str, ...]] = field(default_factory=dict)
    """Whose commits and approvals changed a stack, the last one at the end; only where that is known."""
    events: list[AuditEvent] = field(default_factory=list)
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

    def add(self, before: InForce | None, after: InForce) -> None:
        """Note what one admitted commit changes."""
        self.stacks |= affected(before, after)
        if before is None:
            return
        found = changes(before.catalog, after.catalog, differing(before, after))
        self.unfounded += unfounded(before.catalog, found)
        for change in found:
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


def repinned(before: Admission, after: Admission) -> set[StackId]:
    """Give the stacks whose files are read at another revision than before."""
    pins = (before.pins, after.pins)
    return {stack for stack in {*pins[0], *pins[1]} if pins[0].get(stack) != pins[1].get(stack)}
