"""Which stacks wait, and for which other stack: the facts for `core.waiting`, read from the store each time."""

from __future__ import annotations

from collections.abc import Collection

from reconciler.core.state import Waits
from reconciler.core.waiting import hindrance, waits_for
from reconciler.store.protocol import Reading
from spaces.names import StackId


def waiting(reading: Reading, stacks: Collection[StackId]) -> dict[StackId, Waits]:
    """Return those of the stacks that must wait for an ancestor, each with what it waits for."""
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
