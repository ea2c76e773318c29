"""The worker: waits for legs of one pool, and does as many at the same time as it has places.

It only ever calls the service, and a broker if its pool has messages, and needs no open port. The engine of its own
machine does the runs, so that they go on when the worker is killed, and the next one finds them again.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

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
from reconciler.worker.service import Away, Offered, Rejected, ServiceClient, Tools
from spaces.model.pool import EngineName

_log = logging.getLogger(__name__)

_TIDY = 60.0
_LONGEST_PAUSE = 30.0
_FIRST_LOOK = 10.0
_LOOK_AGAIN = 300.0
_PLACE_SECONDS = 1.0
"""How long a message waits for a place here before it is put back."""
_FAREWELL = 5.0


class Messages(Protocol):
    """Messages that name legs, as `reconciler.worker.messages` has them."""

    def start(self) -> None:
        """Read messages from now on."""

    def stop(self, seconds: float) -> None:
        """Read no more, and wait up to some seconds until that is so."""

    @property
    def ended(self) -> bool:
        """Whether no messages are read any more."""


def no_messages(pool: str, _worker: str, _receive: Callable[[LegId], bool]) -> Messages:
    """Refuse to wait for messages."""
    raise Rejected(f"the engine of the pool {pool} is celery: set celery_broker_file here, as for the service")


Step = Callable[[], "Step"]
"""Does something about work, and returns what to do next."""


@dataclass(slots=True)
class Worker:
    """One worker of one pool. `run` works until `drain` or `stop`, which any thread may call."""

    pool: str
    name: str
    places: int
    service: ServiceClient
    engine: LocalEngine
    machine: Machine
    listen: Callable[[str, str, Callable[[LegId], bool]], Messages] = no_messages
    """Begins to wait for messages of a pool, for a worker of a name, with what reads them; Rejected where it cannot."""
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
    _messages: Messages | None = None

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
            working = threading.Thread(target=self._keep_working, name="working", daemon=True)
            working.start()
            threading.Thread(target=self._keep_looking, name="tools", daemon=True).start()
            self._draining.wait()
            self._wait_for_legs()
            if self._messages is not None:
                working.join(_FAREWELL)
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

    def _keep_working(self) -> None:
        """Get work until the worker is to end, in the way of the pool's engine: ask for it, or wait for messages."""
        step, pause = self._arrive, 1.0
        try:
            while not self._draining.is_set():
                try:
                    step, pause = step(), 1.0
                except Away as away:
                    if not self._draining.is_set():
                        _log.warning("there is no work to be had: %s", away)
                    self._draining.wait(pause)
                    pause = min(pause * 2, _LONGEST_PAUSE)
        except Rejected as rejected:
            self._rejected = rejected
            self.drain()
        finally:
            if self._messages is not None:
                self._leave(self._messages)

    def _keep_looking(self) -> None:
        """Look for tools, once the first runs have begun, and again now and then: somebody may install one."""
        pause = _FIRST_LOOK
        while not self._draining.wait(pause):
            pause = _LOOK_AGAIN
            self._tools = usable_tools(self.machine.search_path, self.machine.tool_paths)

    def _arrive(self) -> Step:
        """Learn which engine the pool has."""
        engine, _ = self._greet(self.places)
        if engine != EngineName.CELERY:
            return self._ask
        self._messages = self.listen(self.pool, self.name, self._receive)
        self._messages.start()
        return self._stay

    def _greet(self, places: int) -> tuple[str, float]:
        """Say that the worker is there; returns the pool's engine, and after how many seconds to say it again."""
        kept = self._kept() if time.monotonic() - self._tidied > _TIDY else []
        engine, again, over = self.service.greet(self.pool, self.name, kept, places=places, tools=self._tools)
        self._tidy(kept, over)
        return engine, again

    def _stay(self) -> Step:
        """Say now and then that the worker is there, which waits for messages meanwhile."""
        engine, again = self._greet(self.places)
        if engine != EngineName.CELERY:
            raise Rejected(f"the engine of the pool {self.pool} is {engine} by now: start the worker again")
        if self._messages is not None and self._messages.ended:
            raise Rejected("messages are not read any more: the log says why")
        self._draining.wait(again)
        return self._stay

    def _leave(self, messages: Messages) -> None:
        """Read no more messages, and tell the service that there is no place here any more."""
        messages.stop(_FAREWELL)
        with contextlib.suppress(Away, Rejected):
            self._greet(0)

    def _receive(self, which: LegId) -> bool:
        """Take up a leg that a message named. False: it is to be put back, since another worker may do it."""
        end = time.monotonic() + _PLACE_SECONDS
        while self._busy() >= self.places or self._draining.is_set():
            if time.monotonic() > end or self._draining.is_set():
                return False
            self._draining.wait(0.1)
        try:
            offered, elsewhere = self.service.claim_wanted(
                self.pool, self.name, which, places=self.places, tools=self._tools
            )
        except (Away, Rejected) as problem:
            # As long as the leg waits, the service sends another message.
            _log.warning("run %s was not claimed: %s", which.run, problem)
            return True
        if offered is not None:
            self._begin(offered)
        elif elsewhere:
            self._draining.wait(_PLACE_SECONDS)
        return not elsewhere

    def _ask(self) -> Step:
        """Ask for a leg where there is a place, and now and then which runs are over."""
        self._freed.clear()
        if self._busy() >= self.places:
            self._freed.wait(5.0)
            return self._ask
        kept = self._kept() if time.monotonic() - self._tidied > _TIDY else []
        offered, over = self.service.claim(self.pool, self.name, kept, places=self.places, tools=self._tools)
        self._tidy(kept, over)
        if offered is not None:
            self._begin(offered)
        return self._ask

    def _tidy(self, kept: list[str], over: list[str]) -> None:
        """Remove what is over of what was kept."""
        if kept and not over:
            self._tidied = time.monotonic()
        for run in over:
            discard(self.engine, RunDirectory.of(self.machine.data_dir, run))

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
