"""The outputs that stacks take from each other, put into the desired state of those that use them.

Whoever writes or compares the desired state of a stack with dependencies calls this first: the outputs are part of the
digest, and they change without any commit.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from reconciler.core.conditions import assess
from reconciler.core.dependencies import ParentOutputs, linked
from reconciler.core.diff import explain
from reconciler.core.runs import Run, leading
from reconciler.core.state import Component, Desired, Fingerprint, StackState, Sync, Why
from reconciler.store.protocol import Transaction
from reconciler.store.queries import Reading
from spaces.names import StackId


def parents_in(desired: Iterable[Desired | None]) -> set[StackId]:
    """Return the stacks that these depend on directly."""
    return {need.parent for each in desired if each is not None for need in each.needs}


def given_by(reading: Reading, parents: Collection[StackId]) -> dict[StackId, ParentOutputs]:
    """Return the outputs that stacks offer to those that depend on them."""
    if not parents:
        return {}
    states, marks = reading.peek(parents), reading.output_marks(parents)
    return {parent: _given(states.get(parent), marks.get(parent, {})) for parent in parents}


def _given(state: StackState | None, marks: Mapping[str, str]) -> ParentOutputs:
    changed = state.applied.changed if state is not None and state.applied is not None else None
    return ParentOutputs(marks, in_sync=state is not None and state.sync is Sync.SYNCED, changed=changed)


def relink(reading: Reading, states: Mapping[StackId, StackState]) -> dict[StackId, StackState]:
    """Return the same stacks, with the present outputs of their parents in their desired state."""
    parents = parents_in(state.desired for state in states.values())
    if not parents:
        return dict(states)
    given = given_by(reading, parents)
    return {stack: _relinked(state, given) for stack, state in states.items()}


@dataclass(frozen=True, slots=True)
class Cause:
    """Who is behind the outputs of a stack: they are behind what those change in other stacks as well."""

    person: str | None
    authors: tuple[str, ...]

    @classmethod
    def of(cls, run: Run, stack: StackState) -> Cause:
        """Return who caused a run: its person, and the authors of what it applied."""
        desired = stack.desired if stack.desired is not None and stack.desired.digest == run.digest else None
        authors = (*desired.authors, desired.person) if desired is not None else ()
        return cls(run.person, tuple(dict.fromkeys(each for each in (*authors, run.person) if each is not None)))


def pass_on_outputs(transaction: Transaction, causes: Mapping[StackId, Cause], now: datetime) -> None:
    """Put the present outputs of these stacks into the desired state of the stacks that depend on them directly."""
    children = {child for below in transaction.children(list(causes)).values() for child in below}
    if not children:
        return
    before = transaction.stacks(children)
    after = relink(transaction, before)
    active = leading(transaction.active_runs(children))
    changed = [_caused(before[child], state, causes) for child, state in after.items() if state is not before[child]]
    transaction.put_stacks([assess(state, active.get(state.id), state.why, now) for state in changed])


def _caused(before: StackState, after: StackState, causes: Mapping[StackId, Cause]) -> StackState:
    """Return a stack whose outputs of others have changed, as the change of those who caused that."""
    old, new = before.desired, after.desired
    if old is None or new is None or old.digest == new.digest:
        return after
    found = [causes[need.parent] for need in new.needs if need.parent in causes]
    if not found:
        return after
    applied = before.applied
    in_sync = applied is not None and applied.digest == old.digest and not applied.partly
    earlier = () if in_sync else (*old.authors, *([old.person] if old.person is not None else []))
    authors = dict.fromkeys((*earlier, *(author for cause in found for author in cause.authors)))
    # Whoever changed the stack itself stays its person, and the others are authors beside them.
    outputs_alone = applied is not None and applied.fingerprint.own == new.fingerprint.own
    person = found[-1].person if outputs_alone else new.person
    return after.evolve(desired=replace(new, person=person, authors=tuple(authors)))


def _relinked(state: StackState, given: Mapping[StackId, ParentOutputs]) -> StackState:
    if state.desired is None or not state.desired.needs or state.desired.leaving:
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
