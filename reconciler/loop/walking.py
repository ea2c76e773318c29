"""From commits of the configuration, or approvals of held changes, to the step that they bring."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from rbac.admission import Admission
from reconciler.git.errors import GitError, GitReason
from reconciler.loop.admitting import Admitting, Walk
from reconciler.loop.places import Places
from reconciler.loop.steps import Step, repinned
from reconciler.loop.world import CONFIGURATION, World
from reconciler.store.protocol import ConfigurationState, Halt, StoredApproval
from spaces.in_force import affected
from spaces.names import Revision, StackId


@dataclass(frozen=True, slots=True)
class Walking:
    """Has commits judged, and gathers what the admitted ones change, all in all."""

    world: World
    places: Places
    admitting: Admitting

    def walk(
        self, before: Admission | None, chain: list[Revision], state: ConfigurationState, now: datetime
    ) -> tuple[Step | None, Halt | None]:
        """Follow a chain of commits, oldest first: the step that it brings, and the halt that it ended with."""
        walk = self.admitting.walk(before, chain, self.world.index, now)
        halted = walk.halted
        told = halt(state, halted.reason, halted.message, halted.revision, now) if halted else None
        here = walk.admission
        if here is None or here is before:
            return None, told
        return self._step(before, here, walk), told

    def approve(self, step: Step, approvals: list[StoredApproval], now: datetime) -> None:
        """Let approved changes come into force, on top of what else the step brings."""
        before = step.admission
        for each in approvals:
            here, held = step.admission, next((it for it in step.admission.waiting if it.id == each.held), None)
            step.admission, events = self.admitting.approve(here, [each], now)
            step.events = [*step.events, *events]
            if held is not None:
                changed = affected(here.in_force, step.in_force) | repinned(here, step.admission)
                step.by(changed, each.subject, held.person)
        step.approvals = tuple(each.held for each in approvals)
        step.add(before.in_force, step.in_force)
        step.stacks |= repinned(before, step.admission)
        step.stacks = {stack for stack in step.stacks if step.in_force.catalog.placed(stack.ref)}
        step.gone = {stack for stack in step.gone if step.in_force.has_left(stack.ref)}

    def _step(self, before: Admission | None, here: Admission, walk: Walk) -> Step:
        step = Step(here, set(), events=walk.events)
        for old, new in walk.steps:
            step.add(old, new)
        for person, stacks_changed in walk.authors:
            step.by(stacks_changed, person)
        if before is not None:
            step.stacks |= self._users(before.in_force.revision, here)
            step.stacks |= repinned(before, here)
        stacks = set(here.in_force.catalog.stacks()) if before is None else None
        placed = here.in_force.catalog.placed
        step.stacks = {each for each in step.stacks if (each in stacks if stacks is not None else placed(each.ref))}
        step.gone = {stack for stack in step.gone if here.in_force.has_left(stack.ref)}
        return step

    def _users(self, at: Revision, here: Admission) -> set[StackId]:
        """Find the stacks whose files may be others now: all of them where that is too much to be read."""
        try:
            changed = self.places.config_trees().changed_paths(at, here.in_force.revision)
        except GitError as error:
            if error.reason is not GitReason.TOO_MANY_FILES:
                raise
            return set(here.in_force.catalog.stacks())
        return self.world.index.users(CONFIGURATION, changed)


def halt(state: ConfigurationState, reason: str, message: str, revision: Revision | None, now: datetime) -> Halt:
    """Halt; one that stands already keeps its time."""
    old = state.halted
    since = old.since if old is not None and old.reason == reason and old.revision == revision else now
    return Halt(str(reason), message, revision, since)
