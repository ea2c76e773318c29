"""What would be logged over and over: said when it begins, and then once a minute for as long as it goes on."""

from __future__ import annotations

import time
from dataclasses import dataclass

SILENCE = 60.0
"""How many seconds pass before the same is said again."""


@dataclass(slots=True)
class Repeating:
    """Knows what was said last, and when. Where several threads ask at once, it may be said twice."""

    _words: str = ""
    _said: float = 0.0

    def is_due(self, words: str) -> bool:
        """Say whether this is to be logged now."""
        now = time.monotonic()
        if words == self._words and now - self._said < SILENCE:
            return False
        self._words, self._said = words, now
        return True

    def end(self) -> None:
        """Have the next be said at once: it is another time."""
        self._words = ""
