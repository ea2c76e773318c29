"""Which of the services on a database follows the configuration, for those who are shown it."""

from __future__ import annotations

from datetime import datetime

from reconciler.store.queries import Reading
from reconciler.store.stored import LEADER


def leader_of(reading: Reading, now: datetime) -> str | None:
    """Return the name of the service that follows the configuration; None: no service does at the moment."""
    lease = reading.lease(LEADER)
    return lease.holder if lease is not None and lease.until > reading.clock(now) else None
