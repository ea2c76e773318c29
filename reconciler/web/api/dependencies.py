"""The dependencies between stacks, as far as the caller may know of them."""

from __future__ import annotations

from dataclasses import dataclass

from reconciler.core.dependencies import uses
from reconciler.core.runs import Run
from reconciler.core.state import Need, StackState
from reconciler.store.queries import Reading
from reconciler.web.api.auth import Caller, Right
from reconciler.web.api.schemas.runs import FollowJson
from reconciler.web.api.schemas.stacks import DependencyJson
from spaces.names import StackId

_STEPS = 4
_MOST = 40


def dependencies_json(caller: Caller, stack: StackState) -> list[DependencyJson]:
    """Return the stacks that a stack depends on, without those that the caller may not read."""
    needs = stack.desired.needs if stack.desired is not None else ()
    return [_shown(need.parent, need) for need in needs if caller.allows(Right.STACK_READ, need.parent.space)]


def dependents_json(reading: Reading, caller: Caller, stack: StackId) -> list[DependencyJson]:
    """Return the stacks that depend on a stack, each with the outputs it uses, if the caller may read them."""
    return [_shown(child, need) for child, need in _dependents(reading, caller, stack)]


def follows_json(reading: Reading, caller: Caller, run: Run) -> list[FollowJson]:
    """Return the stacks that will run after a run because of the outputs that its plan changes."""
    planned = reading.planned(run.id)
    if planned is None or not planned.outputs:
        return []
    dependents = _dependents(reading, caller, run.stack)
    return [
        FollowJson(output=change.name, action=change.action, stack=str(child))
        for change in planned.outputs
        for child, need in dependents
        if change.name in need.outputs
    ]


@dataclass(frozen=True, slots=True)
class Neighbourhood:
    """The stacks around a stack. An edge goes from a stack to one that depends on it; `hidden`: too many to name."""

    states: dict[StackId, StackState]
    edges: tuple[tuple[StackId, StackId], ...]
    hidden: int = 0


def neighbourhood(reading: Reading, caller: Caller, stack: StackId) -> Neighbourhood:
    """Return what a stack depends on and what depends on it, a few steps far, if the caller may read those."""
    readable = caller.spaces(Right.STACK_READ)
    seen, edges, hidden = {stack}, set[tuple[StackId, StackId]](), set[StackId]()
    for upwards in (True, False):
        front = [stack]
        for _ in range(_STEPS):
            near = (reading.parents(front) if upwards else reading.children(front)) if front else {}
            links = [(one, other) for one in front for other in near.get(one, ())]
            front = []
            for one, other in links:
                if readable is not None and other.space not in readable:
                    continue
                if other not in seen and len(seen) >= _MOST:
                    hidden.add(other)
                    continue
                edges.add((other, one) if upwards else (one, other))
                if other not in seen:
                    seen.add(other)
                    front.append(other)
    states = reading.peek(seen)
    known = tuple(sorted(edge for edge in edges if states.keys() >= set(edge)))
    return Neighbourhood(states, known, len(hidden))


def _dependents(reading: Reading, caller: Caller, stack: StackId) -> list[tuple[StackId, Need]]:
    children = reading.children([stack]).get(stack, ())
    states = reading.peek([child for child in children if caller.allows(Right.STACK_READ, child.space)])
    needs = ((child, uses(state.desired, stack)) for child, state in sorted(states.items()) if state.desired)
    return [(child, need) for child, need in needs if need is not None]


def _shown(stack: StackId, need: Need) -> DependencyJson:
    outputs = {output: " and ".join(use.places) for output, use in need.outputs.items()}
    return DependencyJson(stack=str(stack), outputs=outputs, always=need.always)
