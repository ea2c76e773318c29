"""One concern of the loop: a step that is taken in every pass, and what happens when it fails.

The loop is a list of concerns, such as looking at the repositories or recording the ends of runs. A concern that fails
pauses, and is tried again; the others go on meanwhile. The failure is logged when it begins, once a minute, and when it
is over. While the store fails, a concern is tried ever less often.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, auto

from reconciler.loop.desired.repositories import CannotFollow
from reconciler.repeating import Repeating, pause_after
from reconciler.store.stored import StoreError

_log = logging.getLogger(__name__)

_FIRST = 1.0
_LONGEST = 27.0
"""With its jitter this stays below half a minute, and so below a lease."""


class WorkDone(Enum):
    """What a step has done."""

    NONE = auto()
    """There was nothing to do."""
    MADE = auto()
    UNDER_WAY = auto()
    """Something goes on in a thread, so that nobody knows yet whether what failed before goes well now."""


@dataclass(slots=True)
class Backoff:
    """The failures of one concern in a row."""

    name: str
    brief: str | None = None
    """Why the store cannot be used, for everybody: it names no place. None: it can, as far as anybody knows."""
    _failures: int = 0
    _log_lines: Repeating = field(default_factory=Repeating)

    def meet(self, error: Exception) -> float:
        """Note a failure, and return how many seconds to wait before the next attempt."""
        self.brief = error.brief if isinstance(error, StoreError) else None
        if isinstance(error, StoreError | CannotFollow):
            words, details = str(error), None
        else:
            words, details = f"{self.name} failed", error
        if self._log_lines.is_due(words):
            _log.error("%s; it will be retried", words, exc_info=details)
        # Only a store that fails is given more and more time: anything else concerns nobody else.
        seconds = pause_after(0 if self.brief is None else self._failures, _FIRST, _LONGEST)
        self._failures += 1
        return seconds

    @property
    def failing(self) -> bool:
        """Whether the last attempt failed."""
        return self._failures > 0

    def end(self) -> None:
        """Note a success."""
        if self.failing:
            _log.info("%s works again, after %d failures", self.name, self._failures)
            self.brief, self._failures = None, 0
            self._log_lines.end()


@dataclass(slots=True)
class Concern:
    """A step of every pass, with its own failures."""

    name: str
    """What it does, as the beginning of "… failed"."""
    step: Callable[[datetime], WorkDone]
    backoff: Backoff = field(init=False)
    _next: float = 0.0
    """Not before this time, by the clock of `time.monotonic`."""

    def __post_init__(self) -> None:
        """Begin without a failure."""
        self.backoff = Backoff(self.name)

    @property
    def paused(self) -> bool:
        """Whether the concern failed just now, and is not tried yet."""
        return time.monotonic() < self._next

    def resume(self) -> None:
        """End the pause, where it was the store that failed: it has taken the work of another concern meanwhile."""
        if self.backoff.brief is not None:
            self._next = 0.0

    def attempt(self, now: datetime) -> tuple[WorkDone, Exception | None]:
        """Take the step, unless it failed just now. A failure is logged, and returned."""
        if self.paused:
            return WorkDone.NONE, None
        try:
            progress = self.step(now)
        except Exception as error:  # noqa: BLE001 - it is logged
            # The loop is the one place that catches bugs: whatever is wrong here, the other concerns go on.
            self._next = time.monotonic() + self.backoff.meet(error)
            return WorkDone.NONE, error
        if progress is not WorkDone.UNDER_WAY:
            self.backoff.end()
        return progress, None
