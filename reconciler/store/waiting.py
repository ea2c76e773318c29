"""Which stacks wait, and for which other stack: the facts for `core.waiting`, read from the store each time."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from reconciler.core.ends import is_to_go
from reconciler.core.state import Waits
from reconciler.core.waiting import hindrance, waits_for
from reconciler.store.queries import Reading
from spaces.names import StackId


def waiting(reading: Reading, stacks: Collection[StackId], now: datetime | None = None) -> dict[StackId, Waits]:
    """Return those of the stacks that must wait for an ancestor, each with what it waits for.

    One that is to be destroyed, because it left Git or its time is over (asked with `now`), waits for those below it
    instead: they go first.
    """
    leaving = _leaving(reading, stacks, now)
    if leaving:
        staying = [stack for stack in stacks if stack not in leaving]
        return {**_waiting_for_children(reading, leaving), **(waiting(reading, staying) if staying else {})}
    parents = reading.parents(stacks)
    if not parents:
        return {}
    above = {parent for parents_of_one in parents.values() for parent in parents_of_one}
    states = reading.peek(above)
    runs = {run.stack: run for run in reading.active_runs(above) if run.is_writing}
    hindrances = {
        parent: problem for parent in above if (problem := hindrance(states.get(parent), runs.get(parent))) is not None
    }
    if not hindrances:
        return {}
    answers = ((stack, waits_for(stack, parents, hindrances)) for stack in stacks)
    return {stack: waits for stack, waits in answers if waits is not None}


def _leaving(reading: Reading, stacks: Collection[StackId], now: datetime | None) -> set[StackId]:
    below = reading.children(stacks)
    found = reading.peek({*stacks}) if below or reading.parents(stacks) else {}
    return {
        stack
        for stack, state in found.items()
        if (state.desired is not None and state.desired.leaving)
        or (now is not None and state.applied is not None and is_to_go(state, now))
    }


def _waiting_for_children(reading: Reading, leaving: Collection[StackId]) -> dict[StackId, Waits]:
    children = reading.children(leaving)
    states = reading.peek({child for below in children.values() for child in below})
    applied = {child for child, state in states.items() if state.applied is not None}
    return {
        stack: Waits(min(applied & {*below}), "depends on it and is to be destroyed first")
        for stack, below in children.items()
        if applied & {*below}
    }
