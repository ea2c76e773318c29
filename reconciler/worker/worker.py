"""The worker: waits for legs of one pool, and does as many at the same time as it has places.

It only ever calls the service, and needs no open port. The engine of its own machine does the runs, so that they go on
when the worker is killed, and the next one finds them again.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from reconciler.core.phases import Leg
from reconciler.engine.ends import LegId
from reconciler.engine.local import LocalEngine
from reconciler.engine.placing import Machine
from reconciler.runner.contract.directory import RunDirectory, run_directories
from reconciler.runner.tfstate.backlog import anything_pending
from reconciler.tools.installed import usable_tools
from reconciler.worker.door import TfstateDoor
from reconciler.worker.kept import KeptLeg, KeptLegs
from reconciler.worker.leg import LegAtWork, discard
from reconciler.worker.service import Away, Offered, Rejected, Service, Tools

_log = logging.getLogger(__name__)

_TIDY = 60.0
_LONGEST_PAUSE = 30.0
_FIRST_LOOK = 5.0
_LOOK_AGAIN = 300.0


@dataclass(slots=True)
class Worker:
    """One worker of one pool. `run` works until `drain` or `stop`, which any thread may call."""

    pool: str
    name: str
    places: int
    service: Service
    engine: LocalEngine
    machine: Machine
    _legs: KeptLegs = field(init=False)
    _at_work: dict[str, LegAtWork] = field(default_factory=dict)
    _lock: threading.RLock = field(default_factory=threading.RLock)
    _freed: threading.Event = field(default_factory=threading.Event)
    """Whether a place became free, or the worker is to end."""
    _draining: threading.Event = field(default_factory=threading.Event)
    _leaving: threading.Event = field(default_factory=threading.Event)
    _tidied: float = float("-inf")
    _rejected: Rejected | None = None
    _tools: Tools | None = None

    def __post_init__(self) -> None:
        """Find the place for what is remembered."""
        self._legs = KeptLegs(self.machine.data_dir / "legs")

    def run(self) -> None:
        """Take up what an earlier process of this worker left, and work; Rejected where the service refuses it."""
        door = TfstateDoor(self.machine.data_dir, self.service)
        collecting = threading.Thread(target=self._collect, name="ends", daemon=True)
        try:
            self._take_up()
            collecting.start()
            # In a thread of its own, which nobody waits for: the service may take its time to answer.
            threading.Thread(target=self._keep_asking, name="asking", daemon=True).start()
            threading.Thread(target=self._keep_looking, name="tools", daemon=True).start()
            self._draining.wait()
            self._wait_for_legs()
            if self._rejected is not None:
                raise self._rejected
        finally:
            self._leaving.set()
            if collecting.is_alive():
                self.engine.wake()
                collecting.join(5)
            door.close()

    def drain(self) -> None:
        """Take up nothing more, and end once the legs at work have ended."""
        with self._lock:
            self._draining.set()
        self._freed.set()

    def stop(self) -> None:
        """End now. Runs at work go on, and the next worker on this data directory finds them."""
        self._leaving.set()
        self.drain()

    def _keep_asking(self) -> None:
        pause = 1.0
        while not self._draining.is_set():
            try:
                self._ask()
                pause = 1.0
            except Away as away:
                if not self._draining.is_set():
                    _log.warning("there is no work to be had: %s", away)
                self._draining.wait(pause)
                pause = min(pause * 2, _LONGEST_PAUSE)
            except Rejected as rejected:
                self._rejected = rejected
                self.drain()

    def _keep_looking(self) -> None:
        """Look for tools, once the first runs have begun, and again now and then: somebody may install one."""
        pause = _FIRST_LOOK
        while not self._draining.wait(pause):
            pause = _LOOK_AGAIN
            self._tools = usable_tools(self.machine.search_path, self.machine.tool_paths)

    def _ask(self) -> None:
        """Ask for a leg where there is a place, and now and then which runs are over."""
        self._freed.clear()
        if self._busy() >= self.places:
            self._freed.wait(5.0)
            return
        kept = self._kept() if time.monotonic() - self._tidied > _TIDY else []
        offered, over = self.service.claim(self.pool, self.name, kept, places=self.places, tools=self._tools)
        if kept and not over:
            self._tidied = time.monotonic()
        for run in over:
            discard(self.engine, RunDirectory.of(self.machine.data_dir, run))
        if offered is not None:
            self._begin(offered)

    def _begin(self, offered: Offered) -> None:
        which = LegId(offered.run, offered.attempt, Leg(offered.leg))
        with self._lock:
            if self._draining.is_set():
                # It is offered to another worker, since nobody takes it up.
                return
            leg = self._note(KeptLeg(which, offered.token))
        self._go(leg, leg.do)

    def _take_up(self) -> None:
        """Follow the legs that were at work when an earlier process of this worker ended."""
        kept = self._legs.all()
        legs = [self._note(leg) for leg in kept]
        if not legs:
            return
        found = self.engine.adopt({leg.which.run: (leg.which.attempt, leg.which.leg) for leg in kept})
        _log.info("of %d legs that were at work, %d still are", len(kept), len(found))
        for leg in legs:
            self._go(leg, leg.follow)

    def _note(self, kept: KeptLeg) -> LegAtWork:
        leg = LegAtWork(kept, self.service, self.engine, self.machine, self._legs, self.name, self._leaving.is_set)
        with self._lock:
            self._at_work[leg.run] = leg
        return leg

    def _go(self, leg: LegAtWork, what: Callable[[], None]) -> None:
        """Do something about a leg in a thread of its own, after which it has no place any more."""

        def work() -> None:
            try:
                what()
            except Exception:  # noqa: BLE001 - it is logged
                # One leg that fails in a way nobody foresaw keeps no other back; its lease ends by itself.
                _log.exception("run %s cannot be followed any more", leg.run)
            finally:
                with self._lock:
                    if self._at_work.get(leg.run) is leg:
                        del self._at_work[leg.run]
                self._freed.set()

        threading.Thread(target=work, name=f"leg-{leg.run}", daemon=True).start()

    def _collect(self) -> None:
        """Pass the ends of legs on to those who follow them."""
        while not self._leaving.is_set():
            for report in self.engine.reports(1.0):
                with self._lock:
                    leg = self._at_work.get(report.run)
                if leg is not None and not report.waiting:
                    leg.end(report)

    def _busy(self) -> int:
        with self._lock:
            return len(self._at_work)

    def _kept(self) -> list[str]:
        """Return the runs whose files may go once they are over: this worker does nothing about them.

        A tfstate that the service did not take is nowhere else, and stays until somebody has looked.
        """
        with self._lock:
            busy = set(self._at_work)
        found = run_directories(self.machine.data_dir)
        return [run for run, it in found if run not in busy and not anything_pending(it.pending_tfstate)][:1000]

    def _wait_for_legs(self) -> None:
        if self._busy():
            _log.info("ending once %d legs have ended", self._busy())
        while self._busy() and not self._leaving.is_set():
            self._leaving.wait(0.2)
