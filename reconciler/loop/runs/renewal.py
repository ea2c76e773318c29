"""Renews the tokens of runs at work long before they die: an apply may take hours, and clouds ask for the token again.

The loop calls `step` in each pass. Nothing is remembered: the token in a run's file says what it is about, so a service
that was restarted goes on where the one before it stopped. Where the service takes on a role for a run, a cloud has to
be asked: a thread of its own does that, so that no answer holds up the loop.
"""

from __future__ import annotations

import logging
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
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
    issuer: Issuer
    _looked_at: datetime | None = None
    _round: Future[None] | None = None
    _pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "tokens"))

    def step(self, now: datetime) -> None:
        """Begin a round when it is time; raise what went wrong in the one before."""
        ended = self._round
        if ended is not None:
            if not ended.done():
                return
            self._round = None
            ended.result()
        if self._looked_at is not None and abs(now - self._looked_at) < _LOOK_EVERY:
            return
        self._looked_at = now
        if any(self.engine.tokens(run) for run in self.engine.active()):
            self._round = self._pool.submit(self.round, now)

    def round(self, now: datetime) -> None:
        """Renew what needs it; raise the first failure once every run had its turn."""
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

    def close(self) -> None:
        """Finish the round that is under way."""
        self._pool.shutdown(wait=True)
