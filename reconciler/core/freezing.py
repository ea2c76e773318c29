"""Whether a freeze window is open over a stack, until when, and whom it keeps waiting: pure, the clock is an argument.

A window keeps runs from going on to apply; plans go on. What is applying when it begins goes on. `standing`, `planning`
and the turn after a plan read it here each time; nothing is written when a window begins or ends. Whatever waits for
its end is due then, and nobody looks at it earlier.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from reconciler.core.runs import Run
from reconciler.core.state import StackState
from spaces.effective.windows import Freeze


@dataclass(frozen=True, slots=True)
class Frozen:
    """The windows that are open over a stack, and when the last of them ends."""

    windows: tuple[Freeze, ...]
    until: datetime

    def __str__(self) -> str:
        """Read as `a freeze window is open until 2026-03-01 18:00 UTC`. It names no space: not everybody sees that."""
        return f"a freeze window is open until {self.until:%Y-%m-%d %H:%M} UTC"


def open_windows(windows: Iterable[Freeze], now: datetime) -> Frozen | None:
    """Return those of the windows that are open; None: none is."""
    found = [(window, until) for window in windows if (until := window.until(now)) is not None]
    return Frozen(tuple(window for window, _ in found), max(until for _, until in found)) if found else None


def frozen(state: StackState, now: datetime) -> Frozen | None:
    """Return the windows that are open over a stack; None: it may be applied."""
    desired = state.desired
    return open_windows(desired.freezes, now) if desired is not None and desired.freezes else None


def holds_up(state: StackState, run: Run, now: datetime) -> Frozen | None:
    """Return the windows that keep a run from going on to apply; None: it may, or somebody let it through."""
    return None if run.through is not None else frozen(state, now)
