"""What fails again and again: how often that is logged, and how long to wait before the next attempt.

Whoever tries something until it goes well asks here, such as the concerns of the loop and the fetches.
"""

from __future__ import annotations

import random
import time
from dataclasses import dataclass

SILENCE = 60.0
"""The seconds before the same words are logged again."""

_JITTER = 0.1


def pause_after(failures: int, first: float, longest: float) -> float:
    """Return for how many seconds to wait after so many failures in a row: doubled by each, up to `longest`."""
    seconds: float = min(first * 2 ** min(failures, 16), max(first, longest))
    # Services that were started together spread out over time.
    jitter: float = random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311 - no secret
    return seconds * jitter


@dataclass(slots=True)
class Repeating:
    """The last words that were logged, and when: words are logged when they begin, and then once a minute.

    Threads that ask at once may log them twice.
    """

    _words: str = ""
    _logged_at: float = 0.0

    def is_due(self, words: str) -> bool:
        """Whether these words should be logged now."""
        now = time.monotonic()
        if words == self._words and now - self._logged_at < SILENCE:
            return False
        self._words, self._logged_at = words, now
        return True

    def end(self) -> None:
        """Forget the last words, so that the next ones are logged at once."""
        self._words = ""
