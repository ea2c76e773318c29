"""Looks at the repositories beside the runs, and takes in what is new.

The loop calls `step` in each pass. A fetch runs in a thread; all that it brings is taken in by the loop's own thread,
which alone changes the world. `look` does the same at once, for a single pass. Of several services one leads: it judges
what it fetched. The others take what it recorded from the store, and fetch so that they have the files of that.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from reconciler.git.errors import FOR_EVERYBODY, GitError
from reconciler.git.mirrors import Remote
from reconciler.loop.concern import WorkDone
from reconciler.loop.desired.fetch import Fetched, Fetcher
from reconciler.loop.desired.follower import Follower
from reconciler.loop.desired.repositories import CannotFollow
from reconciler.loop.leading import Leadership
from reconciler.repeating import Repeating, pause_after
from reconciler.store.stored import StoreError

_log = logging.getLogger(__name__)

_AGAIN = 1.0
"""Seconds between the fetches of a service that lacks files of what is in force."""
_LONGEST = 60.0
"""The most seconds between them, after many that did not bring these files."""
_PATIENCE = 30.0
"""After so many seconds of failed fetches another service is to lead."""


@dataclass(slots=True)
class Watcher:
    """Keeps the world of this process in step with the repositories."""

    follower: Follower
    fetcher: Fetcher
    leadership: Leadership
    wake: Callable[[], None]
    """Is called, from a thread, when a fetch has ended."""
    now: Callable[[], datetime]
    passed: bool = False
    """Whether a first look at the repositories went through."""
    known: bool = False
    """Whether this process knows what is desired."""
    behind: bool = False
    """Whether this process lacks files of what is in force, which the fetch under way may bring."""
    _asked: threading.Event = field(default_factory=threading.Event)
    _lacking: bool = False
    """Whether a fetch is wanted for this process alone."""
    _tries: int = 0
    """How many fetches in a row did not bring what this process lacks."""
    _looked: float = float("-inf")
    _term: int = 0
    """The term of this service in which it has taken over."""
    _failing_since: float | None = None
    """Since when the configuration repository cannot be fetched here, by the clock of `time.monotonic`."""
    _problems: Repeating = field(default_factory=Repeating)
    _fetching: threading.Thread | None = None
    _fetched: Fetched | None = None
    _untaken: bool = False
    """Whether the last attempt to take in what was fetched failed."""

    def ask(self) -> None:
        """Ask for a fetch of everything soon; any thread may call this."""
        self._asked.set()

    def look(self) -> None:
        """Fetch everything and take it in, also repositories that only become known by that."""
        now = self.now()
        everything = True
        while True:
            fetched = self.fetcher.fetch(self.follower.wanted(), now, everything=everything)
            if not fetched:
                break
            self._take_in(fetched, now)
            everything = False
        self.passed = True

    def learn(self, now: datetime) -> bool:
        """Return whether this process knows what is desired. At its start it restores that, and follows the leader."""
        if self.known and self.leadership.leads and self._term == self.leadership.term:
            return True
        try:
            self._catch_up(now)
        except (CannotFollow, GitError) as error:
            # Before the first fetch that is no wonder.
            if self.passed and self._problems.is_due(str(error)):
                _log.warning("%s", error)
            self._lacking = True
            return self.known
        self._problems.end()
        self.known = True
        self._tries = 0
        return True

    def step(self, now: datetime) -> WorkDone:
        """Start a fetch in a thread when one is due, and take in what the last one brought."""
        if self._fetching is None:
            return self._begin()
        if self._fetching.is_alive():
            return WorkDone.UNDER_WAY
        self._fetching = None
        fetched, self._fetched = self._fetched, None
        if fetched:
            self._untaken = True
            try:
                self._take_in(fetched, now)
            except StoreError:
                # Fetched anew at once: by now it may be older than what another service took in.
                self.ask()
                raise
            self._untaken = False
        self.behind = self._lacking
        self.passed = True
        return WorkDone.MADE if fetched else WorkDone.NONE

    def pause(self, longest: float) -> float:
        """Return for how many seconds there is nothing to look at, up to `longest`."""
        if self._fetching is not None:
            return 0.05 if not self._fetching.is_alive() else longest
        return min(longest, self.fetcher.next_due(self.follower.wanted()))

    def close(self) -> None:
        """Wait a little for a fetch that is under way."""
        if self._fetching is not None:
            self._fetching.join(timeout=10)

    def _begin(self) -> WorkDone:
        asked = self._asked.is_set()
        self._asked.clear()
        if asked and not self.leadership.leads:
            self._pass_on()
        elif not asked and self.leadership.leads:
            asked = self.leadership.is_asked()
        if self._lacking and time.monotonic() - self._looked >= pause_after(self._tries, _AGAIN, _LONGEST):
            asked = True
            self._tries += 1
        wanted = self.follower.wanted()
        if not asked and self.fetcher.next_due(wanted) > 0:
            return WorkDone.UNDER_WAY if self._untaken else WorkDone.NONE
        self._lacking, self._looked = False, time.monotonic()
        self._fetching = threading.Thread(
            target=self._fetch, args=(wanted,), kwargs={"everything": asked}, name="fetch", daemon=True
        )
        self._fetching.start()
        return WorkDone.UNDER_WAY

    def _pass_on(self) -> None:
        """Ask the service that leads for a look; what fails is asked again."""
        try:
            self.leadership.ask()
        except StoreError:
            self._asked.set()
            raise

    def _fetch(self, wanted: list[Remote], *, everything: bool) -> None:
        try:
            self._fetched = self.fetcher.fetch(wanted, self.now(), everything=everything)
        except Exception:  # noqa: BLE001 - it is logged
            _log.exception("a fetch failed")
        finally:
            self.wake()

    def _take_in(self, fetched: Fetched, now: datetime) -> None:
        """Bring the world to the store's generation; whoever leads then takes in what is new."""
        self._mind_failures(fetched)
        if self.leadership.leads:
            self._catch_up(now)
            self.follower.advance(fetched, now)
        elif self.learn(now):
            self.follower.refresh()

    def _catch_up(self, now: datetime) -> None:
        term, leads = self.leadership.term, self.leadership.leads
        changed = self.follower.catch_up(now, writing=leads)
        if leads and term != self._term:
            self.follower.correct(now)
            if self._term or self.known:
                # What only the one before knew of the repositories is found again.
                self.ask()
            self._term = term
        elif changed and not leads:
            self.follower.record()
            self.behind = self._lacking = self.follower.lacks_sources()

    def _mind_failures(self, fetched: Fetched) -> None:
        """Let another service lead where only this one cannot reach the configuration repository, for all it knows."""
        result = fetched.get(self.follower.wanted()[0])
        if result is None:
            return
        failed = isinstance(result, GitError) and result.reason not in FOR_EVERYBODY
        if not failed:
            self._failing_since = None
            return
        self._failing_since = self._failing_since or time.monotonic()
        if self.leadership.leads and time.monotonic() - self._failing_since > _PATIENCE:
            self.leadership.pass_on()
