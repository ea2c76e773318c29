"""What the stacks that others depend on mean for those: read from the store every time, so that nothing is lost."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from reconciler.core.dependencies import Given, linked
from reconciler.core.diff import explain
from reconciler.core.state import Component, Desired, Fingerprint, StackState, Sync, Why
from reconciler.store.protocol import Reading
from spaces.names import StackId


def parents_in(desired: Iterable[Desired | None]) -> set[StackId]:
    """Give the stacks that these need directly."""
    return {need.parent for each in desired if each is not None for need in each.needs}


def given_by(reading: Reading, parents: Collection[StackId]) -> dict[StackId, Given]:
    """Find what stacks have to give to those that depend on them."""
    if not parents:
        return {}
    states, marks = reading.peek(parents), reading.output_marks(parents)
    return {
        parent: Given(marks.get(parent, {}), in_sync=parent in states and states[parent].sync is Sync.SYNCED)
        for parent in parents
    }


def relink(reading: Reading, states: Mapping[StackId, StackState]) -> dict[StackId, StackState]:
    """Give the same stacks with the outputs that they use as they are now."""
    parents = parents_in(state.desired for state in states.values())
    if not parents:
        return dict(states)
    given = given_by(reading, parents)
    return {stack: relinked(state, given) for stack, state in states.items()}


def relinked(state: StackState, given: Mapping[StackId, Given]) -> StackState:
    """Give a stack with the outputs that it uses in what is desired of it, and in why it is out of sync."""
    if state.desired is None or not state.desired.needs:
        return state
    desired = linked(state.desired, state.id, given)
    if desired == state.desired:
        return state
    others = tuple(why for why in state.why if why.component is not Component.DEPENDENCIES)
    about = () if state.applied is None else _about_outputs(desired, state.applied.fingerprint.components)
    return state.evolve(desired=desired, why=(*others, *about))


def _about_outputs(desired: Desired, applied: Mapping[Component, Mapping[str, str]]) -> tuple[Why, ...]:
    only = Component.DEPENDENCIES
    new = Fingerprint({only: desired.fingerprint.components.get(only, {})})
    old = Fingerprint({only: applied.get(only, {})})
    return explain(new, old, lambda _old, _new: None)
