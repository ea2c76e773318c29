"""Which stacks wait, and for which other stack: the facts for `core.waiting`, read from the store each time."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime

from reconciler.core.ends import is_to_go
from reconciler.core.state import Waits
from reconciler.core.waiting import hindrance, waits_for
from reconciler.store.queries import Reading
from spaces.names import StackId

Related = Mapping[StackId, tuple[StackId, ...]]


def waiting(reading: Reading, stacks: Collection[StackId], now: datetime | None = None) -> dict[StackId, Waits]:
    """Return those of the stacks that must wait for an ancestor, each with what it waits for.

    One that is to be destroyed, because it left Git or its time is over (asked with `now`), waits for those below it
    instead: they go first.
    """
    parents, children = reading.parents(stacks), reading.children(stacks)
    if not parents and not children:
        return {}
    leaving = _leaving(reading, stacks, now)
    staying = [stack for stack in stacks if stack not in leaving]
    below = {stack: children[stack] for stack in leaving if stack in children}
    return {**_waiting_for_children(reading, below), **_waiting_for_parents(reading, staying, parents)}


def _leaving(reading: Reading, stacks: Collection[StackId], now: datetime | None) -> set[StackId]:
    return {
        stack
        for stack, state in reading.peek({*stacks}).items()
        if (state.desired is not None and state.desired.leaving)
        or (now is not None and state.applied is not None and is_to_go(state, now))
    }


def _waiting_for_children(reading: Reading, children: Related) -> dict[StackId, Waits]:
    states = reading.peek({child for below in children.values() for child in below})
    applied = {child for child, state in states.items() if state.applied is not None}
    return {
        stack: Waits(min(applied & {*below}), "depends on it and is to be destroyed first")
        for stack, below in children.items()
        if applied & {*below}
    }


def _waiting_for_parents(reading: Reading, stacks: Collection[StackId], parents: Related) -> dict[StackId, Waits]:
    above = {parent for parents_of_one in parents.values() for parent in parents_of_one} if stacks else set()
    states = reading.peek(above)
    runs = {run.stack: run for run in reading.active_runs(above) if run.is_writing}
    hindrances = {
        parent: problem for parent in above if (problem := hindrance(states.get(parent), runs.get(parent))) is not None
    }
    if not hindrances:
        return {}
    answers = ((stack, waits_for(stack, parents, hindrances)) for stack in stacks)
    return {stack: waits for stack, waits in answers if waits is not None}
