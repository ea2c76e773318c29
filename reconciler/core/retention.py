"""Which runs of a stack are never forgotten, however old they are."""

from __future__ import annotations

from reconciler.core.state import StackState


def named_runs(state: StackState) -> frozenset[str]:
    """Return the runs that the state of a stack speaks of: what is applied, what was last, what failed or looked."""
    applied = (state.applied.run, state.applied.changed) if state.applied is not None else ()
    others = (each.run for each in (state.last, state.failed, state.observed) if each is not None)
    return frozenset(run for run in (*applied, *others) if run is not None)
