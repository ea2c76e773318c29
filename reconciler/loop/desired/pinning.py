"""Pins: stacks that stay at an earlier revision of themselves while the rest of the branch goes on.

`advance` takes in what people asked for and finds the pins that have ended; it and `restore` lay what a pinned stack
was over what the branch says of it. How a stack is run stays what its document says now (`autodeploy`, `protected`,
schedules and the like), and the policies over it are those of the moment. What was looked at and what is pinned goes
into the store with the generation, so that every service has the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from reconciler.core.digest import fingerprint
from reconciler.core.keeping import StackPin
from reconciler.core.pins import branch_mark, went_on
from reconciler.core.reasons import Reason
from reconciler.core.state import Desired, StackProblem
from reconciler.loop.desired.earlier import AsItWas, EarlierStacks
from reconciler.loop.desired.generation import Changeset
from reconciler.loop.desired.world import EarlierStack, World, needs_of
from reconciler.runs.audit import Audited
from reconciler.store.protocol import Transaction
from reconciler.store.stored import AuditEvent
from spaces.in_force import InForce
from spaces.names import Kind, StackId

Pins = Mapping[StackId, StackPin]


@dataclass(frozen=True, slots=True)
class EndedPin:
    """A pin that ended without anybody asking for it: why, and whose change it was."""

    stack: StackId
    pin: StackPin
    why: str
    person: str | None = None

    def audited(self, now: datetime) -> AuditEvent:
        """Return the row of the audit about it."""
        about = {"stack": str(self.stack), "revision": self.pin.revision, "note": self.pin.note, "why": self.why}
        return AuditEvent(Audited.STACK_UNPINNED, now, self.person, about)


@dataclass(slots=True)
class Settled:
    """Which pins are in force after a look at the repositories, and which have ended by it."""

    pins: dict[StackId, StackPin] = field(default_factory=dict)
    ended: list[EndedPin] = field(default_factory=list)

    def record(self, transaction: Transaction, now: datetime) -> list[AuditEvent]:
        """Remove what has ended, and return what the audit keeps of that."""
        return [each.audited(now) for each in self.ended if transaction.remove_pin(each.stack, each.pin)]


@dataclass(frozen=True, slots=True)
class Pinning:
    """Lays what pinned stacks were over what the branch says."""

    world: World
    earlier: EarlierStacks

    def turned(self, asked: Pins, now: datetime) -> set[StackId]:
        """Find the stacks whose pin is another one than in this generation, or has ended, or can be found again."""
        here = self.world.pins
        turned = {stack for stack, pin in asked.items() if pin.ended(now) or not pin.is_same(here.get(stack))}
        return turned | (here.keys() - asked.keys()) | set(self._found_again())

    def _found_again(self) -> Iterator[StackId]:
        for stack, lost in self.world.pinned.items():
            if isinstance(lost, StackProblem):
                found = self.earlier.find(stack, AsItWas.pinned(self.world.pins[stack]), self.world.in_force)
                if isinstance(found, EarlierStack):
                    yield stack

    def settle(self, asked: Pins, changeset: Changeset, branch: Mapping[StackId, Desired], now: datetime) -> Settled:
        """Find out which pins go on, by what the branch says of their stacks now."""
        settled = Settled()
        for stack, pin in asked.items():
            ended = self._ended(stack, pin, changeset, branch.get(stack), now)
            if ended is not None:
                settled.ended.append(ended)
                continue
            here = self.world.pins.get(stack)
            if here is not None and pin.is_same(here):
                settled.pins[stack] = here
            elif stack in branch:
                settled.pins[stack] = replace(pin, instead=branch_mark(branch[stack]))
        return settled

    def _ended(
        self, stack: StackId, pin: StackPin, changeset: Changeset, branch: Desired | None, now: datetime
    ) -> EndedPin | None:
        if pin.ended(now):
            return EndedPin(stack, pin, "its time was over")
        here, person = self.world.pins.get(stack), next(reversed(changeset.authors.get(stack, ())), None)
        if stack in changeset.gone or changeset.in_force.documents.placed(stack.ref) is None:
            return EndedPin(stack, pin, "its document has left Git or moved", person)
        if branch is None or here is None or not pin.is_same(here) or not went_on(here.instead, branch_mark(branch)):
            return None
        return EndedPin(stack, pin, f"the stack was changed by revision {changeset.in_force.revision[:12]}", person)

    def over(
        self, wanted: Mapping[StackId, Desired], pins: Pins, in_force: InForce
    ) -> tuple[dict[StackId, Desired], dict[StackId, EarlierStack | StackProblem]]:
        """Return what is desired with what the pinned stacks of `wanted` were laid over it, and these as they were."""
        there = {stack: pin for stack, pin in pins.items() if stack in wanted}
        found = {stack: self.earlier.find(stack, AsItWas.pinned(pin), in_force) for stack, pin in there.items()}
        result = dict(wanted)
        for stack, pin in there.items():
            result[stack] = self._pinned(wanted[stack], pin, found[stack], in_force)
        for stack in there:
            needs = _needs(stack, result, self.world.desired)
            if result[stack].problem is None and _in_circle(stack, needs):
                message = f"{stack} depends on itself, with what it depended on at {pins[stack].revision[:12]}"
                result[stack] = replace(result[stack], problem=StackProblem(Reason.PIN_UNUSABLE, message))
        return result, found

    def _pinned(self, branch: Desired, pin: StackPin, found: EarlierStack | StackProblem, in_force: InForce) -> Desired:
        authors = [*([pin.author] if pin.author is not None else []), pin.person]
        behind = [*branch.authors, *([branch.person] if branch.person is not None else [])]
        mine = replace(
            branch,
            revision=pin.revision,
            person=pin.person,
            authors=tuple(dict.fromkeys(authors)),
            behind=tuple(dict.fromkeys(behind)),
            pin=pin,
            refused=None,
        )
        if isinstance(found, StackProblem):
            return replace(mine, problem=found)
        marks, stack = fingerprint(found.stack, found.source_seen), found.stack
        return replace(
            mine,
            digest=marks.digest,
            fingerprint=marks,
            tool=str(stack.spec.tool),
            needs=needs_of(stack),
            source=pin.source,
            problem=_not_usable(found, pin, in_force) or self.earlier.places.check(stack),
        )


def _not_usable(found: EarlierStack, pin: StackPin, in_force: InForce) -> StackProblem | None:
    """Return which clouds and repositories a stack could reach then, and may not reach now."""
    stack, documents = found.stack, in_force.documents
    placed = documents.placed(stack.id.ref)
    labels = placed.resource.metadata.labels if placed is not None else {}
    lost = []
    for used in stack.integrations:
        now = documents.find(Kind.CLOUD_INTEGRATION, f"{used.ref.space}/{used.ref.name}", stack.id.space)
        if now is None or not used.spec.allows(labels):
            lost.append(str(used.ref))
    for access in stack.git_credentials:
        name = f"{access.repository.space}/{access.repository.name}"
        if documents.find(Kind.REPOSITORY, name, access.origin.ref.space) is None:
            lost.append(str(access.repository))
    if not lost:
        return None
    message = f"at {pin.revision[:12]} it used {', '.join(dict.fromkeys(lost))}, which it may not use any more"
    return StackProblem(Reason.PIN_UNUSABLE, message)


def _needs(
    stack: StackId, first: Mapping[StackId, Desired], others: Mapping[StackId, Desired]
) -> Mapping[StackId, Iterable[StackId]]:
    """Return what a stack depends on at any distance, each with what that depends on."""
    found: dict[StackId, list[StackId]] = {}
    line = [stack]
    while line:
        here = line.pop()
        desired = first.get(here) or others.get(here)
        if here not in found:
            found[here] = [need.parent for need in desired.needs] if desired is not None else []
            line += found[here]
    return found


def _in_circle(stack: StackId, needs: Mapping[StackId, Iterable[StackId]]) -> bool:
    return any(stack in above for above in needs.values())
