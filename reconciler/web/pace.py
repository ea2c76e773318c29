"""How many requests one token may make: a bucket for each, which fills up as time goes by."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

BURST = 10.0
"""How many seconds' worth of requests may come at once."""
_MOST = 10_000
"""How many buckets are kept: beyond that the full ones are forgotten, which are as good as new ones."""


class Pace:
    """Counts the requests of each token. Several threads may ask at once."""

    def __init__(self, rate: float = 0.0, clock: Callable[[], float] = time.monotonic) -> None:
        """Allow `rate` requests a second to each token, on average; 0: any number."""
        self._rate = rate
        self._clock = clock
        self._lock = threading.Lock()
        self._buckets: dict[str, tuple[float, float]] = {}
        """What is left for each token, and as of when."""

    def wait(self, token: str) -> float:
        """Count a request; return how many seconds too early it comes, which is 0 if it may go on."""
        if not self._rate:
            return 0.0
        now, full = self._clock(), self._rate * BURST
        with self._lock:
            left, since = self._buckets.get(token, (full, now))
            left = min(full, left + (now - since) * self._rate)
            if left < 1:
                return (1 - left) / self._rate
            if token not in self._buckets and len(self._buckets) >= _MOST:
                self._buckets = {
                    key: (had, at) for key, (had, at) in self._buckets.items() if had + (now - at) * self._rate < full
                }
            self._buckets[token] = (left - 1, now)
            return 0.0
