"""One leg, by its own token, and then the end: what a pod or a message does that stands for exactly one leg.

Nothing of it is there afterwards: the machine may be gone, so a plan counts only once the service has what it leaves to
its apply. Whoever comes second, with the same token, finds the leg taken, and does nothing.
"""

from __future__ import annotations

import contextlib
import ctypes
import logging
import threading
import time
from dataclasses import dataclass, field, replace

from reconciler.core.phases import Leg
from reconciler.engine.ends import LegId
from reconciler.engine.local import LocalEngine
from reconciler.engine.placing import Machine
from reconciler.runner.contract.job import Ending, EndReason, LegReport
from reconciler.worker.door import TfstateDoor
from reconciler.worker.kept import KeptLeg
from reconciler.worker.leg import LegAtWork
from reconciler.worker.service import Away, Lost, Order, ServiceClient

_log = logging.getLogger(__name__)

_PR_SET_DUMPABLE = 4
_LOOK = 0.5
_PATIENCE = 300.0
"""For so many seconds a service that cannot be reached is asked again before the leg is left alone."""


class NoToken(ValueError):
    """The text is no token of a leg."""


class NothingKept:
    """In the place of `KeptLegs`, where nobody comes back."""

    def put(self, leg: KeptLeg) -> None:
        """Remember nothing."""

    def remove(self, run: str) -> None:
        """Forget nothing."""


@dataclass(slots=True)
class OneLeg:
    """The leg that a token opens. `run` does it; `stop` is for signals."""

    token: str = field(repr=False)
    name: str
    service: ServiceClient
    engine: LocalEngine
    machine: Machine
    _stop: threading.Event = field(default_factory=threading.Event)
    _ended: threading.Event = field(default_factory=threading.Event)
    _leg: LegAtWork | None = None

    def stop(self) -> None:
        """Stop the tool as a cancel does, and end once the service knows."""
        self._stop.set()

    def run(self) -> None:
        """Take the leg up, do it, and tell the service its end; nothing where it was taken before. NoToken."""
        which = leg_of(self.token)
        order = self._take()
        if order is None:
            return
        kept = KeptLeg(which, order.token or self.token, order.lease)
        leg = LegAtWork(kept, self.service, self.engine, self.machine, NothingKept(), self.name, stays=False)
        door = TfstateDoor(self.machine.data_dir, self.service)
        watching = threading.Thread(target=self._watch, args=(leg,), name="ends", daemon=True)
        watching.start()
        try:
            leg.begin(order)
        finally:
            self._ended.set()
            self.engine.wake()
            watching.join(5)
            door.close()

    def _take(self) -> Order | None:
        end = time.monotonic() + _PATIENCE
        while not self._stop.is_set():
            try:
                return self.service.take(self.token, self.name, fresh=True)
            except Lost as lost:
                _log.info("there is nothing to do: %s", lost)
                return None
            except Away as away:
                # Where only the answer was lost, nobody does the leg, and the service gives it up after the lease.
                if time.monotonic() > end:
                    _log.warning("the service cannot be reached: %s", away)
                    return None
                self._stop.wait(1.0)
        return None

    def _watch(self, leg: LegAtWork) -> None:
        """Pass on the end of the leg, and the wish to stop it."""
        stopped = False
        while not self._ended.is_set():
            if self._stop.is_set() and not stopped:
                stopped = True
                # Whoever wants the run canceled may be the reason why this process is to end.
                leg.ask()
                self.engine.cancel(leg.run)
            for report in self.engine.reports(_LOOK):
                if not report.waiting:
                    leg.end(_as_lost(report) if stopped and not leg.canceled else report)


def hide_memory() -> None:
    """Keep whatever else runs here as the same user from reading the leg's token out of this process."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def leg_of(token: str) -> LegId:
    """Return which leg a token is of; NoToken."""
    parts = token.split(".")
    if len(parts) != 4 or not parts[1].isdecimal() or parts[2] not in list(Leg):
        raise NoToken("this is no token of a leg")
    return LegId(parts[0], int(parts[1]), Leg(parts[2]))


def _as_lost(report: LegReport) -> LegReport:
    """Return the report of a plan that nobody wanted stopped: its machine had to end. It is made again."""
    if report.leg is Leg.APPLY or report.ending is not Ending.CANCELED:
        return report
    return replace(report, ending=Ending.LOST, reason=EndReason.RUNNER_DIED, message="its machine was told to end")
