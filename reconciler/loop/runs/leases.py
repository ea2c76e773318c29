"""The leases of runs at work: taken up at the start, renewed, and given up where their service is gone for good.

The loop calls `renew` in every pass. Returned ends of other services' runs are recorded like any other end.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from reconciler.core.phases import Leg, Phase
from reconciler.core.reasons import Reason
from reconciler.core.runs import AT_WORK, Run, RunId, RunStatus
from reconciler.engine.base import Ending, Engine, LegReport
from reconciler.loop.desired.follower import Follower
from reconciler.loop.runs.dispatch import LEASE, Dispatcher
from reconciler.store.protocol import Store
from reconciler.store.stored import RunFilter

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Leases:
    """The leases of one service's runs, and a watch over those of others."""

    store: Store
    engine: Engine
    dispatcher: Dispatcher
    follower: Follower
    holder: str
    _renewed: float = 0.0
    _astray: frozenset[RunId] = frozenset()

    def recover(self) -> None:
        """Take up the runs that an earlier process of this data directory left at work."""
        mine = {str(run.id): (run.attempt, _leg(run)) for run in self._at_work() if run.holder == self.holder}
        if mine:
            adopted = self.engine.adopt(mine)
            _log.info(
                "of %d runs that were active, %d continue and %d have ended or never started",
                len(mine),
                len(adopted),
                len(mine) - len(adopted),
            )

    def renew(self, now: datetime, awaited: Collection[str]) -> list[LegReport]:
        """Renew the leases of this service's runs; returns the ends of runs whose service is gone for good.

        `awaited` are runs without a watched process that this service has still something to do about.
        """
        if time.monotonic() - self._renewed < LEASE.total_seconds() / 6:
            return []
        at_work = self._at_work()
        with self.store.writing() as transaction:
            transaction.renew(self.holder, now, LEASE)
            # Also with nothing to renew: a service that only looks would not notice that it could not write.
            transaction.try_writing()
        self._renewed = time.monotonic()
        self._find_strays([run for run in at_work if run.holder == self.holder], awaited)
        others = [run for run in at_work if run.holder != self.holder]
        return [_lost(run) for run in others if _given_up(run, now, self._longest(run))]

    def _at_work(self) -> list[Run]:
        with self.store.reading() as reading:
            return reading.list_runs(RunFilter(statuses=AT_WORK), None, 10_000)

    def _longest(self, run: Run) -> timedelta:
        """Return how long a process of this run can be at work at most: by then it has ended itself."""
        settings = self.dispatcher.settings
        stack = self.follower.world.effective(run.stack)
        own = stack.spec.timeout if stack is not None else None
        return timedelta(seconds=max(settings.run_timeout, own or 0) + settings.grace_period)

    def _find_strays(self, mine: list[Run], awaited: Collection[str]) -> None:
        """Take up runs that this service holds and does not watch: the claim was recorded, and its answer was lost."""
        watched = {*self.engine.active(), *self.dispatcher.busy, *awaited}
        astray = {run.id: run for run in mine if run.id not in watched}
        # Seen twice: the end of a run that has only just ended is on its way here.
        lost = {run: (it.attempt, _leg(it)) for run, it in astray.items() if run in self._astray}
        self._astray = frozenset(astray)
        if lost:
            _log.warning("resumed watching %d runs", len(lost))
            self.engine.adopt({str(run): leg for run, leg in lost.items()})


def _leg(run: Run) -> Leg:
    return Leg.APPLY if run.status is RunStatus.APPLYING else Leg.PLAN


def _lost(run: Run) -> LegReport:
    ending = Ending.INTERRUPTED if _leg(run) is Leg.APPLY else Ending.LOST
    message = f"the service {run.holder} that held this run has not responded since {run.lease_until}"
    phase = run.phase or Phase.PREPARE
    return LegReport(run.id, run.attempt, _leg(run), ending, str(Reason.LEASE_LOST), message, phase)


def _given_up(run: Run, now: datetime, longest: timedelta) -> bool:
    """Whether a run's service is given up: by its own deadline the process has ended in any case."""
    if run.lease_until is None:
        return False
    patience = longest + timedelta(minutes=10) if run.status is RunStatus.APPLYING else LEASE
    return now > run.lease_until + patience
