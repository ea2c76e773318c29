"""Renews the tokens of runs at work long before they die: an apply may take hours, and clouds ask for the token again.

The loop calls `step` in each pass. Nothing is remembered: the token in a run's file says what it is about, so a service
that was restarted goes on where the one before it stopped.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta

from reconciler.engine.base import Engine
from reconciler.issuer.issuer import Issuer
from reconciler.issuer.run_tokens import renewed

_log = logging.getLogger(__name__)

_LOOK_EVERY = timedelta(seconds=30)


@dataclass(slots=True)
class Renewal:
    """Renews the tokens of this service's runs."""

    engine: Engine
    issuer: Issuer | None
    _looked_at: datetime | None = None

    def step(self, now: datetime) -> None:
        """Renew what needs it; raise the first failure once every run had its turn."""
        if self.issuer is None or (self._looked_at is not None and abs(now - self._looked_at) < _LOOK_EVERY):
            return
        failure: Exception | None = None
        for run in self.engine.active():
            for name, token in self.engine.tokens(run).items():
                try:
                    fresh = renewed(self.issuer, token, run, now)
                    if fresh is not None:
                        self.engine.renew(run, name, token, fresh)
                        _log.info("renewed the token %s of run %s", name, run)
                except Exception as error:  # noqa: BLE001 - it is raised when every run had its turn
                    failure = failure or error
        if failure is not None:
            raise failure
        self._looked_at = now
