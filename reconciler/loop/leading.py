"""Which of the services on a database follows the configuration: the one that holds a lease in it, the leader.

A thread keeps the lease, so that an admission which takes minutes does not lose it. The loop asks `leads` before it
judges anything, and every transaction that writes what is in force calls `check` as its last step: whoever lost the
lease in between writes nothing. A single pass has no thread, and leads `for_now`. With the lease, each service notes
that it is there, and whether somebody asked it to look at the repositories, which only the leader can do for all.
"""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from reconciler.loop.desired.repositories import CannotFollow
from reconciler.repeating import Repeating
from reconciler.store.protocol import Store, Transaction
from reconciler.store.stored import LEADER, StoreError
from reconciler.store.tables import SCHEMA_VERSION
from reconciler.version import __version__

_log = logging.getLogger(__name__)

SHARED = timedelta(seconds=9)
"""The lease where services share a database: after a crash of the leader, nobody leads for as long."""
ALONE = timedelta(minutes=1)
"""The lease in a database that one service has for itself: its next process has the same name, and need not wait."""

_LOOK = 1.0
_REST = 30.0


class LostLead(CannotFollow):
    """Another service leads by now: what was judged here is not written."""


@dataclass(slots=True)
class Leadership:
    """One service's part in it. Any thread may call any method."""

    store: Store
    holder: str
    alone: bool = False
    """Whether no other service can use the database."""
    wake: Callable[[], None] = lambda: None
    """Is called, from a thread, when this service begins to lead."""
    term: int = 0
    """How often this service began to lead after somebody else had, or for the first time."""
    outdated: str | None = None
    """Why this version cannot use the database any more; None: it can."""
    _until: float = float("-inf")
    """Until when the lease is held, by the clock of `time.monotonic`."""
    _rests_until: float = float("-inf")
    _thread: threading.Thread | None = None
    _ending: threading.Event = field(default_factory=threading.Event)
    _nudged: threading.Event = field(default_factory=threading.Event)
    """Set when the thread has something to do at once."""
    _looked: float = float("-inf")
    _heard: datetime | None = None
    """The newest request for a look that this service knows of."""
    _lock: threading.Lock = field(default_factory=threading.Lock)
    """Held while the lease is taken or given up."""
    _failures: Repeating = field(default_factory=Repeating)

    @property
    def lease(self) -> timedelta:
        """For how long the lead is taken at a time."""
        return ALONE if self.alone else SHARED

    @property
    def leads(self) -> bool:
        """Whether this service follows the configuration."""
        return time.monotonic() < self._until

    def check(self, transaction: Transaction) -> None:
        """Keep the lease to the end of a transaction; raise LostLead where somebody else has it."""
        if not transaction.holds_lease(LEADER, self.holder):
            self._until = float("-inf")
            raise LostLead("another service follows the configuration by now: nothing of this is written")

    def start(self) -> None:
        """Take the lease as soon as it is free, and keep it, until `close`."""
        self._thread = threading.Thread(target=self._keep, name="leadership", daemon=True)
        with suppress(StoreError):
            # At once: a service that is alone need not wait for its thread.
            self.beat()
        self._thread.start()

    def resign(self) -> None:
        """Give the lease up for good, so that a successor need not wait for its end. This service is still there."""
        self._rests_until = float("inf")
        self._nudged.set()

    def close(self) -> None:
        """Give the lease up, and end the thread."""
        self._ending.set()
        self._nudged.set()
        if self._thread is not None:
            self._thread.join(timeout=10)

    @contextmanager
    def for_now(self) -> Iterator[None]:
        """Lead for a single pass, if nobody else does; what a thread keeps already is kept."""
        if self._thread is not None:
            yield
            return
        self.beat()
        try:
            yield
        finally:
            self._leave()

    def beat(self) -> None:
        """Say that this service is there, and take or keep the lease, if it is free."""
        with self._lock:
            began, led = time.monotonic(), self.leads
            rests = began < self._rests_until
            with self.store.writing() as transaction:
                now = transaction.clock(datetime.now(UTC))
                transaction.put_service(self.holder, socket.gethostname(), __version__, now)
                # Behind the row above, which a migration waits for, or makes wait until it is over.
                oldest = transaction.oldest_schema()
                self._mind_schema(oldest)
                free = self.outdated is None and not rests
                if rests and self.outdated is None:
                    transaction.end_lease(LEADER, self.holder)
                last = transaction.lease(LEADER) if free else None
                leads = free and transaction.take_lease(LEADER, self.holder, now, self.lease)
            self._until = began + self.lease.total_seconds() if leads else float("-inf")
            # With nobody else in between it is the same term: what this service knows of the configuration holds.
            self.term += leads and not led and (self.term == 0 or last is None or last.holder != self.holder)
        if leads != led:
            self._say(leads=leads)
            self.wake()

    def pass_on(self) -> bool:
        """Let another service lead for a while, if there is one: this one cannot do what a leader does."""
        with self._lock:
            with self.store.writing() as transaction:
                now = transaction.clock(datetime.now(UTC))
                others = [it for it in transaction.services() if it.seen_at > now - self.lease]
                if all(it.holder == self.holder for it in others):
                    return False
                transaction.end_lease(LEADER, self.holder)
            self._until = float("-inf")
            self._rests_until = time.monotonic() + _REST
        self._say(leads=False)
        return True

    def ask(self) -> None:
        """Ask the service that leads for a look at the repositories."""
        with self.store.writing() as transaction:
            transaction.ask_to_look(self.holder, transaction.clock(datetime.now(UTC)))

    def is_asked(self) -> bool:
        """Whether another service was asked for a look since the last call; the store is read once a second at most."""
        if time.monotonic() - self._looked < _LOOK or self.alone:
            return False
        self._looked = time.monotonic()
        with self.store.reading() as reading:
            asked = max((it.asked_at for it in reading.services() if it.holder != self.holder), default=None)
        heard, self._heard = self._heard, asked
        return asked is not None and (heard is None or asked > heard)

    def _mind_schema(self, oldest: str) -> None:
        """Notice that a newer version has migrated the database to what this one cannot use."""
        if oldest > SCHEMA_VERSION and self.outdated is None:
            self.outdated = (
                f"a newer version has migrated the database, and whoever uses it has to know schema {oldest}; this "
                f"version knows {SCHEMA_VERSION}: install the newer one"
            )
            self.wake()

    def _keep(self) -> None:
        while not self._ending.is_set():
            try:
                self.beat()
                self._failures.end()
            except StoreError as error:
                if self._failures.is_due(str(error)):
                    _log.warning("the lease of who follows the configuration is not renewed: %s", error)
            except Exception:  # noqa: BLE001 - it is logged
                _log.exception("the lease of who follows the configuration is not renewed")
            self._nudged.wait(self.lease.total_seconds() / 3)
            self._nudged.clear()
        try:
            self._leave()
        except StoreError as error:
            _log.warning("the lease of who follows the configuration is not given up, and ends by itself: %s", error)

    def _leave(self) -> None:
        with self._lock:
            self._until = float("-inf")
            with self.store.writing() as transaction:
                transaction.end_lease(LEADER, self.holder)
                transaction.remove_service(self.holder)

    def _say(self, *, leads: bool) -> None:
        if not self.alone and self._thread is not None:
            _log.info("%s follows the configuration", "this service" if leads else "another service")
