"""The workers that a service hears of: what each said of itself, and when it was heard of last.

A worker that falls silent is shown as gone for a while, so that somebody can see which one is missing, and then
forgotten.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from reconciler.core.reasons import Reason
from reconciler.tools.versions import Found, check

_REMEMBERED = 3600.0


@dataclass(frozen=True, slots=True)
class Presence:
    """What a worker says of itself. `places`: how many runs it does at once."""

    version: str = ""
    places: int = 1
    tools: Mapping[str, Sequence[str]] | None = None
    """The tools that it found, each with its versions (none for a tool that has no version); None: it still looks."""
    by_message: bool = False
    """Whether it does not ask for work, but waits for messages."""

    def fits(self, tool: str, wanted: str | None) -> bool:
        """Whether its machine has a tool in a version that a stack allows, as far as it has said."""
        if self.tools is None:
            return True
        found = self.tools.get(tool)
        if found is None or wanted is None or not found:
            return found is not None
        return any(check(tool, wanted, Found("", version)) is None for version in found)


@dataclass(frozen=True, slots=True)
class WorkerSeen:
    """A worker as it was seen last. `active` are the legs that it has; `idle` says whether it takes more of them."""

    name: str
    active: int
    idle: bool
    gone: bool
    """Whether it has not been heard of for a while."""
    heard: datetime
    said: Presence


@dataclass(slots=True)
class _Entry:
    said: Presence
    heard: float


@dataclass(slots=True)
class Roster:
    """The workers of all pools. Any thread may call any method. A worker silent for `patience` seconds is gone."""

    patience: float
    _entries: dict[tuple[str, str], _Entry] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def hear(self, pool: str, worker: str, said: Presence | None = None) -> bool:
        """Note that a worker is there, and what it says of itself; None: nothing new. Returns whether that changed."""
        now = time.monotonic()
        with self._lock:
            entry = self._entries.get((pool, worker))
            if entry is None:
                self._forget_long_gone(now)
                self._entries[pool, worker] = _Entry(said or Presence(), now)
                return True
            changed = (said is not None and said != entry.said) or now - entry.heard > self.patience
            entry.said, entry.heard = said or entry.said, now
            return changed

    def forget(self, pool: str, worker: str) -> None:
        """Forget a worker that did one leg, and does not come back."""
        with self._lock:
            self._entries.pop((pool, worker), None)

    def heard(self, pool: str, worker: str | None) -> float:
        """Return when a worker, or any of the pool, was heard of last, by `time.monotonic`; 0.0: never."""
        with self._lock:
            if worker is not None:
                entry = self._entries.get((pool, worker))
                return 0.0 if entry is None else entry.heard
            return max((entry.heard for (of, _), entry in self._entries.items() if of == pool), default=0.0)

    def said(self, pool: str, worker: str) -> Presence:
        """Return what a worker said of itself last."""
        with self._lock:
            entry = self._entries.get((pool, worker))
            return Presence() if entry is None else entry.said

    def there(self, pool: str, present: Collection[str] = ()) -> dict[str, Presence]:
        """Return what each worker of a pool said that is not gone; `present` are there however silent they are."""
        now = time.monotonic()
        with self._lock:
            return {
                name: entry.said
                for (of, name), entry in self._entries.items()
                if of == pool and (name in present or now - entry.heard <= self.patience)
            }

    def why_lacking(
        self, pool: str, tool: str, wanted: str | None, present: Callable[[], Collection[str]]
    ) -> tuple[str, str] | None:
        """Return the reason and the words for a tool that no worker of a pool has; None: one may have it.

        `present` is asked for those that are there however silent they are. Mostly the first worker has the tool.
        """
        now = time.monotonic()
        with self._lock:
            for (of, _), entry in self._entries.items():
                if of == pool and now - entry.heard <= self.patience and entry.said.fits(tool, wanted):
                    return None
        return _why_lacking(pool, list(self.there(pool, present()).values()), tool, wanted)

    def all(self, active: Sequence[tuple[str, str]], idle: Collection[tuple[str, str]]) -> dict[str, list[WorkerSeen]]:
        """Return the workers by pool, in the order of their names.

        `active` has the pool and name of a worker once for each leg that it has, `idle` those that ask for work.
        """
        now, clock = time.monotonic(), datetime.now(UTC)
        with self._lock:
            self._forget_long_gone(now)
            for each in {*active, *idle} - self._entries.keys():
                self._entries[each] = _Entry(Presence(), now)
            entries = sorted(self._entries.items())
        found: dict[str, list[WorkerSeen]] = {}
        for (pool, name), entry in entries:
            count, silent, said = active.count((pool, name)), now - entry.heard, entry.said
            here = silent <= self.patience
            asks = (pool, name) in idle or (said.by_message and here and said.places > count)
            gone = not (count or asks or here)
            heard = clock - timedelta(seconds=silent)
            found.setdefault(pool, []).append(WorkerSeen(name, count, asks, gone, heard, entry.said))
        return found

    def _forget_long_gone(self, now: float) -> None:
        for each in [each for each, entry in self._entries.items() if now - entry.heard > _REMEMBERED]:
            del self._entries[each]


def _why_lacking(pool: str, there: Sequence[Presence], tool: str, wanted: str | None) -> tuple[str, str] | None:
    """Return the reason and the words for a tool that none of a pool's workers has; None: one may have it."""
    if not there or any(each.fits(tool, wanted) for each in there):
        return None
    having = [each.tools[tool] for each in there if each.tools is not None and tool in each.tools]
    if not having:
        return Reason.TOOL_MISSING, f"no worker of its pool {pool} has {tool}"
    found = ", ".join(sorted({version for versions in having for version in versions}))
    message = f"the workers of its pool {pool} have {tool} {found}, but the stack requires {wanted}"
    return Reason.TOOL_VERSION_MISMATCH, message
