"""The access rules in force, compiled once per admitted configuration and swapped whole."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from datetime import datetime

from rbac.access import Access
from rbac.documents import AccessDocuments
from rbac.subjects import Subject
from spaces.in_force import InForce
from spaces.placed import PlacedDocuments


class CurrentAccess:
    """Gives the `Access` of what is in force. Threads share it; while one compiles, the others go on with the old."""

    def __init__(
        self, in_force: Callable[[], InForce | None], admins: Iterable[Subject], now: Callable[[], datetime]
    ) -> None:
        self._in_force = in_force
        self._admins = frozenset(admins)
        self._now = now
        self._lock = threading.Lock()
        self._held: tuple[PlacedDocuments, Access] | None = None
        self._nothing = PlacedDocuments.empty()

    def __call__(self) -> Access:
        """Give the access rules as they are now; a grant that has ended is not served for one answer more."""
        found = self._in_force()
        documents = found.catalog if found else self._nothing
        now = self._now()
        held = self._held
        if held is not None and held[0] is documents:
            access = held[1].at(now)
            if access is not held[1]:
                self._held = documents, access
            return access
        if not self._lock.acquire(blocking=held is None):
            assert held is not None  # noqa: S101 - only then is the lock not waited for
            return held[1].at(now)
        try:
            if self._held is None or self._held[0] is not documents:
                compiled = Access.compile(AccessDocuments.of(documents), documents.tree, self._admins, now)
                self._held = documents, compiled
            return self._held[1].at(now)
        finally:
            self._lock.release()
