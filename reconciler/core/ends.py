"""When the time of a stack is over, and whether what it made is destroyed then: pure, the clock is an argument.

`conditions` and `planning` read this each time they look at a stack. All that is remembered is its first apply. How
legs of runs end is another matter (`engine.ends`, `loop.runs.ends`).
"""

from __future__ import annotations

from datetime import datetime, timedelta

from reconciler.core.runs import Run
from reconciler.core.state import StackState

_LATE = timedelta(hours=1)


def ends_at(state: StackState) -> datetime | None:
    """Return when the time of a stack is over by its document; None: never, or nothing that it counts from."""
    desired, applied = state.desired, state.applied
    if desired is None or desired.leaving:
        return None
    if desired.ttl is None or applied is None:
        return desired.destroy_at
    return (applied.first or applied.at) + timedelta(seconds=desired.ttl)


def is_over(state: StackState, now: datetime) -> bool:
    """Whether the time of a stack is over."""
    end = ends_at(state)
    return end is not None and end <= now


def is_to_go(state: StackState, now: datetime) -> bool:
    """Whether the time of a stack is over and it is not protected: nothing runs for it but its destruction."""
    return is_over(state, now) and state.desired is not None and not state.desired.protected


def is_late(state: StackState, now: datetime) -> bool:
    """Whether the end came long ago: after a long stop, a jump of the clock or a change of mind, a person is asked."""
    end = ends_at(state)
    return end is not None and now - end > _LATE


def still_ends(state: StackState, run: Run) -> bool:
    """Whether the time of a stack was over when the run was queued that destroys it, as its document stands now."""
    return is_to_go(state, run.created_at)
