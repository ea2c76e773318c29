"""What the loop tries again by itself after a failure, and when: pure."""

from __future__ import annotations

from datetime import timedelta

from reconciler.core.reasons import RETRYABLE, TOOL_FAILURES
from reconciler.core.runs import Run, RunKind
from reconciler.core.state import StackState
from spaces.model.tools import TOOLS

_FIRST = timedelta(seconds=10)
_LONGEST = timedelta(minutes=10)
_LONGEST_OF_TOOL = timedelta(hours=1)


def is_retryable(reason: str) -> bool:
    """Whether a failure lies with the surroundings, so that the loop retries it by itself."""
    return reason in RETRYABLE


def retry_delay(failures: int) -> timedelta:
    """Return how long to wait after so many retryable failures in a row: doubled by each, with an upper bound."""
    return min(_LONGEST, _FIRST * (1 << min(failures - 1, 16)))


def pause_before_retry(state: StackState, run: Run, *, applying: bool) -> timedelta | None:
    """Return how long to wait before a failed run is tried again; None: only when somebody asks.

    What the loop would not queue by itself is left to whoever asked for it. An apply is tried again only where the tool
    works towards a desired state, and nothing is after an apply of which nobody knows how far it came.
    """
    desired = state.desired
    if desired is None or desired.retry is None or desired.digest != run.digest or state.interrupted:
        return None
    if run.reason not in TOOL_FAILURES or run.cancel_requested or run.retry >= desired.retry.limit:
        return None
    by_itself = run.kind is RunKind.TRACKED or (run.destroys and (run.leaving or run.scheduled))
    if not by_itself or (applying and not TOOLS[desired.tool].repeatable):
        return None
    first = timedelta(seconds=desired.retry.backoff)
    return max(first, min(first * (1 << run.retry), _LONGEST_OF_TOOL))
