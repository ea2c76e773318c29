"""The outputs that stacks take from each other, put into the desired state of those that use them.

Whoever writes or compares the desired state of a stack with dependencies calls this first: the outputs are part of the
digest, and they change without any commit.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime

from reconciler.core.conditions import assess
from reconciler.core.dependencies import ParentOutputs, linked
from reconciler.core.diff import explain
from reconciler.core.runs import leading
from reconciler.core.state import Component, Desired, Fingerprint, StackState, Sync, Why
from reconciler.store.protocol import Reading, Transaction
from spaces.names import StackId


def parents_in(desired: Iterable[Desired | None]) -> set[StackId]:
    """Return the stacks that these depend on directly."""
    return {need.parent for each in desired if each is not None for need in each.needs}


def given_by(reading: Reading, parents: Collection[StackId]) -> dict[StackId, ParentOutputs]:
    """Return the outputs that stacks offer to those that depend on them."""
    if not parents:
        return {}
    states, marks = reading.peek(parents), reading.output_marks(parents)
    return {
        parent: ParentOutputs(marks.get(parent, {}), in_sync=parent in states and states[parent].sync is Sync.SYNCED)
        for parent in parents
    }


def relink(reading: Reading, states: Mapping[StackId, StackState]) -> dict[StackId, StackState]:
    """Return the same stacks, with the present outputs of their parents in their desired state."""
    parents = parents_in(state.desired for state in states.values())
    if not parents:
        return dict(states)
    given = given_by(reading, parents)
    return {stack: _relinked(state, given) for stack, state in states.items()}


def pass_on_outputs(transaction: Transaction, parents: Collection[StackId], now: datetime) -> None:
    """Put the present outputs of these stacks into the desired state of the stacks that depend on them directly."""
    children = {child for below in transaction.children(parents).values() for child in below}
    if not children:
        return
    before = transaction.stacks(children)
    after = relink(transaction, before)
    active = leading(transaction.active_runs(children))
    changed = [state for child, state in after.items() if state is not before[child]]
    transaction.put_stacks([assess(state, active.get(state.id), state.why, now) for state in changed])


def _relinked(state: StackState, given: Mapping[StackId, ParentOutputs]) -> StackState:
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
