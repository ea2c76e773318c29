"""Looks at the remotes: each once, several at a time, less often while one is down.

`Watcher` calls `fetch` in a thread, and `next_due` to know how long it may rest. What arrived, or the error, comes as a
value for each remote; what it means is for `Advancing`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime

from reconciler.git.errors import GitError
from reconciler.git.mirrors import Mirrors, Remote
from reconciler.git.remote import redact
from reconciler.git.wanted import Arrived
from reconciler.metrics import Metrics
from reconciler.repeating import Repeating, pause_after
from spaces.model.refs import read_ref

_log = logging.getLogger(__name__)

Fetched = dict[Remote, Arrived]
_Key = tuple[str, str, str]

_LONGEST_PAUSE = 900.0


@dataclass(slots=True)
class _Pace:
    due: float = 0.0
    failures: int = 0
    succeeded: datetime | None = None
    log_lines: Repeating = field(default_factory=Repeating)

    def failed(self, remote: Remote, error: GitError) -> None:
        """Note a failure, and log it when it begins and then once a minute."""
        self.failures += 1
        if self.log_lines.is_due(str(error)):
            stays = "; what was fetched before stays in use" if self.succeeded is not None else ""
            _log.warning("%s cannot be fetched (%s): %s%s", _words(remote), error.reason, error.message, stays)

    def went_well(self, remote: Remote, now: datetime) -> None:
        """Note a success, and log it where the last fetch failed."""
        if self.failures:
            _log.info("%s was fetched again, after %d failures", _words(remote), self.failures)
        self.failures, self.succeeded = 0, now
        self.log_lines.end()


def _words(remote: Remote) -> str:
    what = f"the repository of {remote.reader}" if remote.reader else "the configuration repository"
    return f"{what}, {redact(remote.url)} {read_ref(remote.ref)},"


@dataclass(slots=True)
class Fetcher:
    """Fetches what is due. `interval` is in seconds; failures double it, up to a quarter of an hour."""

    mirrors: Mirrors
    metrics: Metrics
    interval: float
    _paces: dict[_Key, _Pace] = field(default_factory=dict)
    _named: dict[str, list[_Key]] = field(default_factory=dict)
    """The remotes that are followed, by the name under which metrics speak of them."""

    def fetch(self, remotes: Collection[Remote], now: datetime, *, everything: bool) -> Fetched:
        """Fetch the remotes that are due (or all of them); the others are not in the answer."""
        clock = time.monotonic()
        self._forget(remotes)
        due = [remote for remote in remotes if everything or self._pace(remote).due <= clock]
        if not due:
            return {}
        took: dict[Remote, float] = {}
        results = self.mirrors.fetch_all(due, took=took.__setitem__)
        for remote, result in results.items():
            pace = self._pace(remote)
            name = redact(remote.url)
            if isinstance(result, GitError):
                pace.failed(remote, result)
                self.metrics.fetch_failed(name, took.get(remote, 0.0))
            else:
                pace.went_well(remote, now)
                self.metrics.fetched(name, took.get(remote, 0.0), self._since(name))
            pace.due = time.monotonic() + pause_after(pace.failures, self.interval, _LONGEST_PAUSE)
        return results

    def next_due(self, remotes: Collection[Remote]) -> float:
        """Return in how many seconds the next of these remotes is due."""
        now = time.monotonic()
        return max(0.0, min((self._pace(remote).due for remote in remotes), default=now + self.interval) - now)

    def _forget(self, remotes: Collection[Remote]) -> None:
        """Let go of all remotes but these."""
        keys = {_key(remote): redact(remote.url) for remote in remotes}
        self._named = {}
        for key, name in keys.items():
            self._named.setdefault(name, []).append(key)
        self._paces = {key: pace for key, pace in self._paces.items() if key in keys}
        self.metrics.follow(self._named)

    def _since(self, name: str) -> datetime | None:
        """Return when that branch of a repository was fetched whose last success is longest ago; None: one never."""
        paces = [self._paces.get(key) for key in self._named.get(name, ())]
        times = [pace.succeeded for pace in paces if pace is not None and pace.succeeded is not None]
        return min(times, default=None) if len(times) == len(paces) else None

    def _pace(self, remote: Remote) -> _Pace:
        return self._paces.setdefault(_key(remote), _Pace())


def _key(remote: Remote) -> _Key:
    return remote.url, remote.ref, remote.reader
