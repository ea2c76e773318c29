"""The access rules in force, for everyone who asks: admission compiles them once, and they are swapped whole."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from rbac.access import Access
from rbac.admission import Admission
from rbac.rules import Rules
from spaces.placed import PlacedDocuments


class CurrentAccess:
    """Gives the `Access` of what is in force. Threads share it."""

    def __init__(self, admission: Callable[[], Admission | None], rules: Rules, now: Callable[[], datetime]) -> None:
        self._admission = admission
        self._now = now
        self._nothing = rules.compile(PlacedDocuments.empty(), now())
        self._latest = self._nothing, self._nothing

    def __call__(self) -> Access:
        """Give the access rules as they are now; a grant that has ended is not served for one answer more."""
        admission = self._admission()
        source = admission.access if admission is not None else self._nothing
        latest = self._latest
        current = (latest[1] if latest[0] is source else source).at(self._now())
        if (source, current) != latest:
            self._latest = source, current
        return current
