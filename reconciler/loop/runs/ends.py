"""Takes in the ends of legs: policies judge them where they have a say, `Recorder` records them, and the run goes on.

The loop calls `collect` to hear of ends, and `step` to deal with them. An end is held here until it is recorded: none
is lost because the database is away. What an end means for its run is decided in `next_step`.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime

from reconciler.core.phases import Leg
from reconciler.core.runs import Run, RunStatus
from reconciler.engine.base import Engine, LegReport
from reconciler.loop.policies.inquiries import Inquiries
from reconciler.loop.policies.plan import PlanQuestion, PolicyAnswer
from reconciler.loop.runs.dispatch import Dispatcher
from reconciler.loop.runs.record import Recorder, Taken
from reconciler.store.stored import StoreBusy

_log = logging.getLogger(__name__)

_TOGETHER = 100
"""How many ends are recorded in one transaction at most."""


@dataclass(slots=True)
class Ends:
    """The ends of legs that this service has still to deal with."""

    engine: Engine
    dispatcher: Dispatcher
    recorder: Recorder
    inquiries: Inquiries
    watching: Callable[[Run], None]
    _pending: deque[LegReport] = field(default_factory=deque)
    """Ends that no inquiry was opened for yet."""

    @property
    def about(self) -> set[str]:
        """The runs whose end is still to be taken up here."""
        return {report.run for report in (*self._pending, *self.dispatcher.reports)}

    def add(self, reports: Iterable[LegReport]) -> None:
        """Take in ends that somebody else found."""
        self._pending.extend(reports)

    def collect(self, timeout: float) -> None:
        """Wait up to `timeout` seconds for legs to end, and take in those that did."""
        found = []
        while self.dispatcher.reports:
            found.append(self.dispatcher.reports.popleft())
        found += self.engine.reports(0.0 if found else timeout)
        self._pending.extend(found)

    def make_room(self) -> None:
        """Remove what runs left whose ends could not be recorded so far: it may be what fills the disk."""
        self._free(self._pending)

    def step(self, now: datetime, *, known: bool) -> bool:
        """Open an inquiry about each end, and move on those under way. Returns whether one was dealt with.

        Where this process does not know yet what is desired (`known`), plans wait: nothing of them can be applied.
        """
        ready = [report for report in self._pending if known or report.leg is not Leg.PLAN]
        done = False
        # All of them: what was planned goes on before anything else is taken from the queue.
        for first in range(0, len(ready), _TOGETHER):
            done |= self._record_together(ready[first : first + _TOGETHER], now)
        return bool(self.inquiries.step(now)) or done

    def _record_together(self, ready: list[LegReport], now: datetime) -> bool:
        """Record the ends that no policy has a say in, one of each stack, in one transaction.

        Inquiries are opened about the others, and about what fails, which is so tried again alone.
        """
        taken: list[Taken] = []
        alone: list[LegReport] = []
        try:
            taken = self.recorder.take_in([(report, None) for report in ready], now, asked=False)
        except StoreBusy:
            raise
        except Exception:  # noqa: BLE001 - it is logged
            # One of them is in the way of all.
            if len(ready) > 1:
                _log.warning(
                    "%d ends of runs are recorded one by one, as together they cannot", len(ready), exc_info=True
                )
            alone = ready
            self._free(ready)
        over = []
        for each in taken:
            if each.asks:
                alone.append(each.report)
                continue
            self._pending.remove(each.report)
            try:
                run = self.recorder.follow(each)
                over += [run] if run is not None and not run.is_active else []
                self._go_on(each.report, run)
            except Exception:  # noqa: BLE001 - it is logged
                _log.exception("what follows from the end of run %s failed, and is tried again", each.report.run)
                self._open(each.report)
        for report in alone:
            self._pending.remove(report)
            self._open(report)
        self.recorder.tidy(over, now)
        return len(taken) > len(alone)

    def _free(self, ended: Iterable[LegReport]) -> None:
        for report in ended:
            if report.ends_run:
                self.engine.free(report.run)

    def _open(self, report: LegReport) -> None:
        def gather(now: datetime) -> PlanQuestion | None:
            return self.recorder.question(report, now)

        def conclude(_question: PlanQuestion | None, answer: PolicyAnswer | None, now: datetime) -> None:
            self._record(report, answer, now)

        self.inquiries.open(report.run, gather, conclude)

    def _record(self, report: LegReport, answer: PolicyAnswer | None, now: datetime) -> None:
        self._go_on(report, self.recorder.record(report, answer, now))

    def _go_on(self, report: LegReport, run: Run | None) -> None:
        if run is None:
            return
        self.watching(run)
        if run.status is RunStatus.APPLYING and report.leg is Leg.PLAN:
            self.dispatcher.apply(run, report.planned)
        elif report.waiting:
            self.engine.dismiss(run.id)
