"""Looks at the remotes: each once, several at a time, less often while one is down."""

from __future__ import annotations

import random
import time
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime

from reconciler.git.errors import GitError
from reconciler.git.mirrors import Mirrors, Remote
from reconciler.git.remote import redact
from reconciler.git.wanted import Arrived
from reconciler.metrics import Metrics

_JITTER = 0.1


def pause(first: float, failures: int, longest: float) -> float:
    """Return for how many seconds to wait after so many failures in a row: doubled by each, up to `longest`."""
    seconds: float = min(first * 2 ** min(failures, 16), max(first, longest))
    # Services that were started together spread out over time.
    jitter: float = random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311 - no secret
    return seconds * jitter


Fetched = dict[Remote, Arrived]

_LONGEST_PAUSE = 900.0


@dataclass(slots=True)
class _Pace:
    due: float = 0.0
    failures: int = 0


@dataclass(slots=True)
class Fetcher:
    """Fetches what is due. `interval` is in seconds; failures double it, up to a quarter of an hour."""

    mirrors: Mirrors
    metrics: Metrics
    interval: float
    _paces: dict[tuple[str, str, str], _Pace] = field(default_factory=dict)

    def fetch(self, remotes: Collection[Remote], now: datetime, *, everything: bool) -> Fetched:
        """Fetch the remotes that are due (or all of them); the others are not in the answer."""
        clock = time.monotonic()
        due = [remote for remote in remotes if everything or self._pace(remote).due <= clock]
        if not due:
            return {}
        results = self.mirrors.fetch_all(due)
        took = time.monotonic() - clock
        for remote, result in results.items():
            pace = self._pace(remote)
            name = redact(remote.url)
            if isinstance(result, GitError):
                pace.failures += 1
                self.metrics.fetch_failed(name, took)
            else:
                pace.failures = 0
                self.metrics.fetched(name, took, now)
            pace.due = time.monotonic() + pause(self.interval, pace.failures, _LONGEST_PAUSE)
        return results

    def next_due(self, remotes: Collection[Remote]) -> float:
        """Return in how many seconds the next of these remotes is due."""
        now = time.monotonic()
        return max(0.0, min((self._pace(remote).due for remote in remotes), default=now + self.interval) - now)

    def _pace(self, remote: Remote) -> _Pace:
        return self._paces.setdefault((remote.url, remote.ref, remote.reader), _Pace())
