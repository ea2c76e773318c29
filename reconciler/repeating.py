"""Repeated log lines: logged when they begin, and then once a minute for as long as they last."""

from __future__ import annotations

import time
from dataclasses import dataclass

SILENCE = 60.0
"""The seconds before the same words are logged again."""


@dataclass(slots=True)
class Repeating:
    """The last words that were logged, and when. Threads that ask at once may log them twice."""

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
