"""Which stacks wait, and for what: the facts for `core.waiting`, read from the store every time."""

from __future__ import annotations

from collections.abc import Collection

from reconciler.core.state import Waits
from reconciler.core.waiting import hindrance, waits_for
from reconciler.store.protocol import Reading
from spaces.names import StackId


def waiting(reading: Reading, stacks: Collection[StackId]) -> dict[StackId, Waits]:
    """Find which of these stacks have to wait for one that they depend on, at any distance, and for what."""
    parents = reading.parents(stacks)
    if not parents:
        return {}
    above = {parent for each in parents.values() for parent in each}
    states = reading.peek(above)
    runs = {run.stack: run for run in reading.active_runs(above) if run.is_writing}
    hindrances = {
        parent: found for parent in above if (found := hindrance(states.get(parent), runs.get(parent))) is not None
    }
    if not hindrances:
        return {}
    each = ((stack, waits_for(stack, parents, hindrances)) for stack in stacks)
    return {stack: waits for stack, waits in each if waits is not None}
