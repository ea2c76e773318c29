"""Whether a stack has to wait for a stack that it depends on, at any distance, and why: pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from reconciler.core.conditions import HELD
from reconciler.core.pushes import held_back
from reconciler.core.reasons import Reason
from reconciler.core.runs import Run, RunStatus
from reconciler.core.standing import is_partly_applied, is_suspended, unmended
from reconciler.core.state import StackState, Sync, Waits
from spaces.names import StackId

_FAILED = frozenset({RunStatus.FAILED, RunStatus.INTERRUPTED})
_STUCK = frozenset({*_FAILED, RunStatus.CANCELED, RunStatus.DISCARDED})


@dataclass(frozen=True, slots=True)
class Hindrance:
    """Why the dependents of a stack have to wait. `lasting`: it does not pass unless somebody does something."""

    words: str
    lasting: bool


def hindrance(state: StackState | None, run: Run | None) -> Hindrance | None:  # noqa: C901, PLR0911
    """Return why the dependents of a stack have to wait; None: it is settled. `run` is its active writing run.

    A failed stack keeps them waiting also where it is in sync: its outputs are not trusted until a run succeeds.
    """
    if state is None or state.desired is None:
        return Hindrance("was not applied yet", lasting=False)
    if run is not None:
        if run.frozen:
            return Hindrance("waits for the end of a freeze window", lasting=True)
        if run.status is RunStatus.UNCONFIRMED:
            return Hindrance("waits for confirmation", lasting=True)
        return Hindrance(f"has an active run ({run.status})", lasting=False)
    if state.desired.problem is not None:
        return Hindrance(f"has a problem: {state.desired.problem.reason}", lasting=True)
    last = state.last
    ended = last.status if last is not None and last.digest == state.desired.digest else None
    if state.interrupted or ended in _FAILED:
        return Hindrance(f"failed: {last.reason if last is not None else Reason.INTERRUPTED}", lasting=True)
    if state.sync is Sync.SYNCED:
        broken = unmended(state)
        return Hindrance(f"failed: {broken.reason}", lasting=True) if broken is not None else None
    if is_partly_applied(state):
        return Hindrance("is only partly applied", lasting=True)
    if ended in _STUCK:
        return Hindrance(f"is out of sync, and its run was {ended}", lasting=True)
    held = held_back(state)
    if held is not None:
        return Hindrance(f"is out of sync: {HELD[held.heading]}", lasting=True)
    if state.lock is not None or is_suspended(state):
        word = "locked" if state.lock is not None else "suspended"
        return Hindrance(f"is {word} while out of sync", lasting=True)
    return Hindrance("is out of sync", lasting=False)


def waits_for(
    stack: StackId, parents: Mapping[StackId, Sequence[StackId]], hindrances: Mapping[StackId, Hindrance]
) -> Waits | None:
    """Return the nearest parent with a lasting hindrance; one that passes by itself only where there is no other."""
    seen = {stack}
    line = [stack]
    passing: Waits | None = None
    while line:
        above = []
        for here in line:
            for parent in parents.get(here, ()):
                if parent in seen:
                    continue
                seen.add(parent)
                above.append(parent)
                found = hindrances.get(parent)
                if found is not None and found.lasting:
                    return Waits(parent, found.words)
                if found is not None and passing is None:
                    passing = Waits(parent, found.words)
        line = above
    return passing
