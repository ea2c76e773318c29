"""What a step desires, and how this process takes over what was recorded as the next generation."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from rbac.rules import Rules
from reconciler.core.state import Desired
from reconciler.git.errors import GitError
from reconciler.loop.places import Places
from reconciler.loop.steps import Step
from reconciler.loop.world import World, desire
from spaces.in_force import InForce
from spaces.names import StackId


@dataclass(frozen=True, slots=True)
class Generations:
    """Works out the desired state of a step, and brings the `World` to it."""

    world: World
    places: Places
    rules: Rules

    def desire(self, step: Step) -> dict[StackId, Desired]:
        """Work out what is desired of the step's stacks."""
        tips = {**self.world.tips, **step.tips}
        wanted = desire(
            step.in_force,
            sorted(step.stacks),
            self.places.reading(tips, step.admission.pins),
            self.world.index,
            self.person(step.in_force),
            check=self.places.check,
        )
        for stack, authors in step.authors.items():
            if stack in wanted:
                wanted[stack] = replace(wanted[stack], person=authors[-1], authors=authors)
        return wanted

    def person(self, in_force: InForce) -> str | None:
        """Name whoever a commit says that it is by; where access counts, that is not said."""
        if self.rules.judges(in_force.catalog):
            return None
        try:
            return self.places.config_trees().commit(in_force.revision).author_email or None
        except GitError:
            return None

    def take_over(self, step: Step, generation: int, wanted: Mapping[StackId, Desired]) -> None:
        """Let what was recorded be what this process knows."""
        previous = self.world.revision
        self.world.put(wanted, step.gone)
        self.world.generation, self.world.admission = generation, step.admission
        self.world.tips = {**self.world.tips, **step.tips}
        self.places.release(previous)

    def forget(self, stacks: Collection[StackId]) -> None:
        """Undo what a step that came too late noted: the next catch-up reads everything anew."""
        for stack in stacks:
            self.world.index.remove(stack)
        self.world.generation = -1
