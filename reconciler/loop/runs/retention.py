"""Forgets runs and versions of tfstates that are older than the settings say. The loop asks in each pass.

A run that the state of its stack speaks of stays, and so does the newest that finished: what was applied last is never
forgotten. The audit keeps its rows.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta

from reconciler.core.runs import RunId, RunStatus
from reconciler.core.state import StackState
from reconciler.settings import Settings
from reconciler.store.protocol import Store, Transaction
from reconciler.store.stored import RunFilter
from spaces.names import StackId

_log = logging.getLogger(__name__)

_LOOK_EVERY = timedelta(hours=1)
_BATCH = 200
"""Runs of one transaction: whoever else writes waits no longer than for these."""


@dataclass(slots=True)
class Retention:
    """Forgets what is old, a batch in each pass, once an hour."""

    store: Store
    settings: Settings
    _looked_at: datetime | None = None
    _after: str = ""
    """The last run of the batch before; empty between two rounds."""
    _forgotten: int = 0

    def step(self, now: datetime) -> bool:
        """Take one batch. Returns whether anything was forgotten."""
        if not self._after and self._looked_at is not None and abs(now - self._looked_at) < _LOOK_EVERY:
            return False
        if not self._after:
            self._looked_at = now
            self._forget_tfstates()
        days = self.settings.run_retention
        return days is not None and self._forget_runs(now - timedelta(days=days))

    def _forget_tfstates(self) -> None:
        keep = self.settings.tfstate_versions
        if keep is None:
            return
        with self.store.writing() as transaction:
            number = transaction.forget_tfstates(keep)
        if number:
            _log.info("forgot %d old versions of tfstates (tfstate_versions = %d)", number, keep)

    def _forget_runs(self, before: datetime) -> bool:
        with self.store.reading() as reading:
            found = reading.ended_runs(before, self._after, _BATCH)
        forgotten: list[RunId] = []
        if found:
            with self.store.writing() as transaction:
                kept: dict[StackId, frozenset[str]] = {}
                for run, stack in found:
                    if stack not in kept:
                        kept[stack] = _kept(transaction, stack)
                    if run not in kept[stack]:
                        forgotten.append(run)
                if forgotten:
                    transaction.forget_runs(forgotten)
        self._forgotten += len(forgotten)
        self._after = found[-1][0] if len(found) == _BATCH else ""
        if not self._after and self._forgotten:
            _log.info("forgot %d runs that ended before %s", self._forgotten, before.date())
            self._forgotten = 0
        return bool(forgotten)


def _kept(transaction: Transaction, stack: StackId) -> frozenset[str]:
    state = transaction.stack(stack)
    finished = transaction.list_runs(RunFilter(stack, statuses={RunStatus.FINISHED}), None, 1)
    return (_named(state) if state is not None else frozenset()) | {run.id for run in finished}


def _named(state: StackState) -> frozenset[str]:
    """Return the runs that the state of a stack speaks of: what is applied, what was last, what failed or looked."""
    applied = (state.applied.run, state.applied.changed) if state.applied is not None else ()
    others = (each.run for each in (state.last, state.failed, state.observed) if each is not None)
    return frozenset(run for run in (*applied, *others) if run is not None)
