"""Records what is desired of stacks: the one place where it meets the stored stacks.

`Advancing` calls this inside the transaction that raises the generation: moves come first, then the desired state.
`CatchingUp.correct` calls it where this version desires otherwise than what is stored. A run of a stack that left Git
takes its step by `reconciler.runs.transition`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from itertools import chain

from reconciler.core.conditions import assess
from reconciler.core.dependencies import linked
from reconciler.core.diff import CountFiles, explain
from reconciler.core.reasons import Reason
from reconciler.core.runs import RunEvent, RunStatus, leading
from reconciler.core.state import Desired, StackProblem, StackState, Sync, Why
from reconciler.core.succession import carry_on
from reconciler.core.timers import Timer, check_timer, run_timer, task_timers, timer_keys
from reconciler.core.transition import Transition, take_step
from reconciler.loop.desired.generation import Departure
from reconciler.runs.outputs import given_by, parents_in
from reconciler.runs.transition import record
from reconciler.store.protocol import Transaction
from spaces.documents.changes import Unfounded
from spaces.documents.references import moved_from
from spaces.in_force import InForce
from spaces.names import StackId
from spaces.rules.dependencies import waves


def put_desired(  # noqa: PLR0917
    transaction: Transaction,
    in_force: InForce,
    wanted: Mapping[StackId, Desired],
    gone: Mapping[StackId, Departure],
    count_files: CountFiles,
    now: datetime,
    *,
    paused: bool = False,
) -> None:
    """Store the desired state of `wanted`, and that the documents of `gone` left Git. `paused`: new stacks begin so.

    The conditions of each stack are assessed anew, which sets its `due_at`. By that alone `runs/decide.py` finds it.
    """
    stacks = [*wanted, *gone]
    states = transaction.stacks(stacks)
    active = leading(transaction.active_runs(stacks))
    given = given_by(transaction, parents_in(wanted.values()))
    changed: dict[StackId, StackState] = {}
    steps: list[Transition] = []
    for stack in [*_parents_first(wanted), *gone]:
        state = states.get(stack)
        desired = wanted.get(stack)
        if desired is not None:
            desired = linked(desired, stack, given)
        if state is None:
            if desired is None:
                continue
            state = StackState(stack, None, paused=paused)
        elif desired is None:
            desired = _leaving(state, gone[stack])
        elif state.desired is not None and desired is not None:
            here = state.applied
            applied = here is not None and not here.partly and here.digest == state.desired.digest
            desired = carry_on(state.desired, desired, moves=_moves(in_force, stack), applied=applied)
        run = active.get(stack)
        state = state.evolve(desired=desired, turn=None)
        if desired is None and run is not None and run.status in _WITHOUT_PROCESS:
            # One at work is stopped by the service that holds it.
            steps.append(take_step(state, run, RunEvent.SUPERSEDE, now, message="its stack was removed from Git"))
            state, run = steps[-1].stack, None
        changed[stack] = assess(state, run, why(state, count_files), now)
        if stack in given:
            given[stack] = replace(given[stack], in_sync=changed[stack].sync is Sync.SYNCED)
    record(transaction, steps, changed.values(), now)
    transaction.put_pools(_other_pools(states, changed))
    _set_timers(transaction, states, changed, now)
    transaction.wake_parents(states, now)
    transaction.put_dependencies({stack: parents_in([state.desired]) for stack, state in changed.items()})
    transaction.wake_dependents(stacks, now)


def _leaving(state: StackState, departure: Departure) -> Desired | None:
    """Return what is desired of a stack whose document left Git: that what it made is destroyed, or nothing any more.

    Its configuration is the one that was applied, which the mirror still has.
    """
    before, applied = state.desired, state.applied
    if before is None or before.leaving:
        return before
    if not before.destroy_after or before.protected or applied is None or departure.moved:
        return None
    persons = departure.persons
    return replace(
        before,
        leaving=True,
        digest=applied.digest,
        fingerprint=applied.fingerprint,
        revision=applied.revision,
        source=applied.source,
        person=persons[-1] if persons else None,
        authors=persons,
        suspended=False,
        problem=None,
        push_policies=None,
        drift=None,
        schedules=(),
        ttl=None,
        destroy_at=None,
        refused=None,
        pin=None,
        behind=(),
    )


def _other_pools(before: Mapping[StackId, StackState], changed: Mapping[StackId, StackState]) -> dict[StackId, str]:
    """Return the pools of the stacks that had another one before."""
    return {
        stack: state.desired.pool
        for stack, state in changed.items()
        if state.desired is not None
        and stack in before
        and (old := before[stack].desired) is not None
        and old.pool != state.desired.pool
    }


def _set_timers(
    transaction: Transaction,
    before: Mapping[StackId, StackState],
    changed: Mapping[StackId, StackState],
    now: datetime,
) -> None:
    """Set the times of the next drift check, run and tasks by the clock, and forget those that are no more."""
    transaction.put_timers(timer for stack, state in changed.items() for timer in _timers(stack, state, now))
    ended: defaultdict[tuple[str, str], list[StackId]] = defaultdict(list)
    for stack, state in changed.items():
        if stack in before:
            for key in timer_keys(before[stack].desired) - timer_keys(state.desired):
                ended[key].append(stack)
    for (purpose, item), stacks in ended.items():
        transaction.remove_timers(stacks, purpose, item)


def _timers(stack: StackId, state: StackState, now: datetime) -> Iterator[Timer]:
    desired = state.desired
    if desired is not None and desired.drift is not None:
        yield check_timer(stack, desired.drift, now)
    if desired is None or not desired.schedules:
        return
    run = run_timer(stack, desired.schedules, now)
    if run is not None:
        yield run
    yield from task_timers(stack, desired.schedules, now)


_WITHOUT_PROCESS = frozenset({RunStatus.QUEUED, RunStatus.UNCONFIRMED})


def _parents_first(wanted: Mapping[StackId, Desired]) -> list[StackId]:
    """Return the stacks in an order in which parents come first: whether a child is in sync depends on them."""
    needs = {stack: [need.parent for need in desired.needs] for stack, desired in wanted.items() if desired.needs}
    if not needs:
        return list(wanted)
    return [*(stack for stack in wanted if stack not in needs), *chain.from_iterable(waves(needs, needs))]


def move_stacks(
    transaction: Transaction,
    in_force: InForce,
    moves: Iterable[tuple[StackId, StackId]],
    present: Iterable[StackId],
) -> dict[StackId, StackProblem]:
    """Rename the stored stacks that moved. Returns those that could not be renamed, with the reason.

    `present` are the stacks that may have moved from places that were left in an earlier step.
    """
    blocked: dict[StackId, StackProblem] = {}
    # In the order of their commits: a stack may be renamed twice between two looks.
    for old, new in [*moves, *_late_moves(transaction, in_force, present)]:
        states = transaction.stacks([old, new])
        if old not in states:
            continue
        if new in states:
            message = f"{old} cannot move here: what an earlier stack {new} applied is still retained under this name"
            blocked[new] = StackProblem(Reason.MOVE_BLOCKED, message)
            continue
        transaction.move_stack(old, new)
    return blocked


def from_nowhere(transaction: Transaction, found: Iterable[Unfounded]) -> list[Unfounded]:
    """Return the origins that do not exist, not even as retained stacks; called before `move_stacks`."""
    asked = {StackId(each.origin.space, each.origin.name): each for each in found}
    known = transaction.stacks(list(asked)) if asked else {}
    return [each for origin, each in asked.items() if origin not in known]


def why(state: StackState, count_files: CountFiles) -> tuple[Why, ...]:
    """Return the differences between the desired and the applied state of a stack."""
    if state.desired is None:
        return ()
    applied = state.applied.fingerprint if state.applied else None
    return explain(state.desired.fingerprint, applied, count_files)


def _late_moves(
    transaction: Transaction, in_force: InForce, stacks: Iterable[StackId]
) -> list[tuple[StackId, StackId]]:
    """Return the moves from stacks that left Git in an earlier step and are retained."""
    found = {}
    for stack in stacks:
        placed = in_force.documents.placed(stack.ref)
        origin = moved_from(placed.resource) if placed is not None else None
        if origin is not None and in_force.documents.placed(origin) is None:
            found[stack] = StackId(origin.space, origin.name)
    states = transaction.stacks(list(found)) if found else {}
    # One that was there before has moved already, or never will.
    return [(old, new) for new, old in found.items() if new not in states or states[new].desired is None]


def _moves(in_force: InForce, stack: StackId) -> bool:
    """Whether a stack's document still says that it moved from another."""
    placed = in_force.documents.placed(stack.ref)
    return placed is not None and placed.resource.metadata.moved_from is not None
