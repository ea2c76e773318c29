"""Passes that fail: said in the log when it begins, now and then, and when it is over.

While the store fails they are tried again ever less often.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

from reconciler.loop.desired.fetch import pause
from reconciler.loop.desired.repositories import CannotFollow
from reconciler.repeating import Repeating
from reconciler.store.protocol import StoreError

_log = logging.getLogger(__name__)

_FIRST = 1.0
_LONGEST = 27.0
"""With its jitter this stays below half a minute, and so below a lease."""


@dataclass(slots=True)
class Trouble:
    """What went wrong in the passes since the last one that went through."""

    brief: str | None = None
    """Why the store cannot be used, for everybody: it names no place. None: it can, as far as anybody knows."""
    _failures: int = 0
    _log_lines: Repeating = field(default_factory=Repeating)

    def meet(self, error: Exception) -> float:
        """Take note of a pass that failed; says how many seconds to wait before the next."""
        self.brief = error.brief if isinstance(error, StoreError) else None
        if isinstance(error, StoreError | CannotFollow):
            words, details = str(error), None
        else:
            words, details = "a pass failed", error
        if self._log_lines.is_due(words):
            _log.error("%s; it is tried again", words, exc_info=details)
        # Only a store that fails stops everything: where it is one thing that fails, the others shall not wait for it.
        seconds = pause(_FIRST, 0 if self.brief is None else self._failures, _LONGEST)
        self._failures += 1
        return seconds

    def end(self) -> bool:
        """Take note of a pass that went through; says whether one had failed before."""
        if not self._failures:
            return False
        _log.info("passes go through again, after %d that failed", self._failures)
        self.brief, self._failures = None, 0
        self._log_lines.end()
        return True
