"""The engine of pools whose workers ask for work: it offers legs, and keeps what the workers say of them.

The loop offers legs and collects their ends through `reports`, as with the engine of this machine. The routes of the
runner API call the rest, from many threads. A leg is offered to one worker at a time, taken once, and ended once; what
was taken and how it ended is on the disk before anybody is told. A worker that is not heard of any more has lost the
leg: it stops its tool by itself after the lease, and only after that the leg is given up here. After a restart of the
service, legs that were taken go on, and those that were only offered never begin: their secrets were only in memory.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path

from reconciler.core.phases import Leg
from reconciler.engine.base import Materialise
from reconciler.engine.ends import LegId, died, never_started
from reconciler.engine.handout import Handout, LegFacts, LegRefused, free_places
from reconciler.engine.ledger import Ledger, LegOffer, Saving
from reconciler.engine.preparing import make_runs, prepared
from reconciler.engine.questions import Question, Questions, nobody
from reconciler.engine.roster import Presence, Roster, WorkerSeen
from reconciler.runner.contract.directory import RunDirectory
from reconciler.runner.contract.job import TOKEN, Ending, EndReason, LegOrder, LegReport, TfstateAccess
from reconciler.runner.contract.records import order_to_data, to_line

LEASE = 60.0
"""After so many seconds without an answer of the service, a worker stops the tools of its legs."""
_RESERVED = 20.0
"""How many seconds a worker has to take up what it was offered, before another one is offered it."""
_UNCLAIMED = 120.0
"""After so many seconds an offer that nobody takes up is withdrawn."""


class PullEngine:
    """Offers legs to workers. Any thread may call any method."""

    def __init__(self, data_dir: Path, wake: Callable[[], None], lease: float = LEASE) -> None:
        """`wake` is called when there is something to report, or a place for a run."""
        self._data_dir = Path(os.path.realpath(data_dir))
        make_runs(self._data_dir)
        self.wake = wake
        self.lease = lease
        self.closed = False
        """Whether nobody is offered work any more."""
        self.opened = threading.Event()
        """Set when a leg is offered that nobody has taken up yet."""
        self._lock = threading.RLock()
        """Held for moments only: what is written for a leg is written under the lock of that leg, which comes first."""
        self._legs: dict[str, Handout] = {}
        self._asking = Questions()
        self.roster = Roster(lease / 2)
        self._ready: deque[LegReport] = deque()

    # What the loop asks

    def places(self, pool: str) -> int:
        """Count how many more legs of a pool its workers wait for."""
        with self._lock:
            asking = self._asking.names(pool)
            legs = [leg for leg in self._legs.values() if leg.offer.pool == pool]
            return free_places(legs, asking, self.roster.there(pool, self._present(pool)))

    def workers(self) -> dict[str, list[WorkerSeen]]:
        """Return the workers that were heard of lately, by pool; some of them may be gone."""
        with self._lock:
            idle = {(pool, name) for pool in self._asking.pools() for name in self._asking.names(pool)}
            busy = [(leg.offer.pool, leg.worker) for leg in self._legs.values() if leg.worker is not None]
        return self.roster.all(busy, idle)

    def served(self) -> set[str]:
        """Return the pools that have a worker."""
        return {pool for pool, workers in self.workers().items() if not all(worker.gone for worker in workers)}

    def offer(self, pool: str, order: LegOrder, tfstate: TfstateAccess | None, materialise: Materialise | None) -> None:
        """Offer a leg to the workers of a pool; `materialise` as for `Engine.start`.

        An apply whose saved plan did not come here is offered only to the worker that planned. A failure comes as a
        report.
        """
        which = LegId(order.run, order.attempt, order.leg)
        ledger = self._ledger(which)
        lacking = self.roster.why_lacking(pool, order.tool, order.tool_range, lambda: self._present(pool))
        failed = (
            which.unprepared(Ending.FAILED, *lacking)
            if lacking
            else prepared(which, ledger.directory, materialise, ledger.pack)
        )
        if failed is not None:
            self._report(failed)
            return
        state = None if tfstate is None else {"path": tfstate.path, "token": tfstate.token}
        near, saved = (ledger.planner(), ledger.saved()) if order.leg is Leg.APPLY else (None, None)
        more = {"lease": self.lease, "saved": saved, "saves": order.fills_cache}
        sent = to_line({"order": order_to_data(order), "tfstate": state, **more})
        offer = LegOffer(pool, "", order.limits.grace_seconds, near if saved is None else None)
        ledger.put(offer)
        files = {} if order.identity is None else order.identity.files
        tokens = {name: text for name, text in files.items() if name.endswith(TOKEN)}
        needs, facts = (order.tool, order.tool_range), LegFacts.of(order)
        handout = Handout(which, offer, sent, time.monotonic(), needs=needs, tokens=tokens, near=near, facts=facts)
        with self._lock:
            self._legs[order.run] = handout
            called = self._asking.choose(handout, self.roster)
        self.opened.set()
        called.call()

    def adopt(self, runs: Mapping[str, LegId]) -> list[str]:
        """Take over the legs that an earlier process offered. Return those that a worker may still have."""
        adopted = []
        for run, which in runs.items():
            ledger = self._ledger(which)
            offer, recorded = ledger.read(), ledger.directory.read_report(which.leg, which.attempt)
            if recorded is not None:
                self._report(replace(recorded, waiting=False))
            elif offer is None or ledger.take(None):
                self._report(never_started(which))
            else:
                _, worker = ledger.taken()
                if worker is None:
                    self._report(never_started(which))
                    continue
                now = time.monotonic()
                with self._lock:
                    self._legs[run] = Handout(which, offer, None, now, worker, beat=now)
                adopted.append(run)
        return adopted

    def offered(self, which: LegId) -> bool:
        """Whether a leg was ever offered to workers."""
        return self._ledger(which).read() is not None

    def active(self) -> Collection[str]:
        """Return the runs whose leg is offered or taken."""
        with self._lock:
            return list(self._legs)

    def cancel(self, run: str) -> None:
        """Withdraw a leg that nobody has taken; have the worker told otherwise."""
        leg = self._legs.get(run)
        if leg is None:
            return
        with leg.lock:
            leg.canceled = True
            if leg.worker is None and self._ledger(leg.which).take(None):
                self._end(leg, leg.which.report(Ending.CANCELED, EndReason.CANCELED, "canceled before it began"))

    def tokens(self, run: str) -> Mapping[str, str]:
        """Return the tokens of a run at work, by the names of their files."""
        with self._lock:
            return dict(self._legs[run].tokens) if run in self._legs else {}

    def renew(self, run: str, name: str, old: str, new: str) -> None:
        """Have the worker told of a new token in the place of an old one."""
        with self._lock:
            leg = self._legs.get(run)
            if leg is not None and leg.tokens.get(name) == old:
                leg.tokens[name] = leg.renewed[name] = new

    # What is asked by whoever carries legs to where they are done

    def legs(self) -> list[Handout]:
        """Return the legs that are offered or taken."""
        with self._lock:
            return list(self._legs.values())

    def hand_over(self, which: LegId) -> str | None:
        """Return a token for a leg that nobody has taken, which then waits for whoever gets it; None: it is gone."""
        with self._lock:
            leg = self._legs.get(which.run)
            if leg is None or leg.which != which or leg.worker is not None or leg.canceled:
                return None
            leg.reserved_until = float("inf")
            return leg.make_token()

    def give_up(self, which: LegId, message: str) -> None:
        """Report a leg as one that never began, or whose process died, since it is known that nobody does it."""
        leg = self._legs.get(which.run)
        if leg is None or leg.which != which:
            return
        with leg.lock:
            if self._legs.get(which.run) is not leg:
                return
            if leg.worker is not None:
                self._end(leg, died(which, message))
            elif self._ledger(which).take(None):
                self._end(leg, replace(never_started(which), message=message))

    def forget(self, run: str) -> None:
        """Know no more of a run: what its worker still says is refused."""
        with self._lock:
            self._legs.pop(run, None)

    def reports(self) -> list[LegReport]:
        """Return the reports of legs that ended, each once; gives up those whose worker is gone."""
        for leg in list(self._legs.values()):
            self._sweep(leg, time.monotonic())
        with self._lock:
            found, self._ready = list(self._ready), deque()
            return found

    def close(self) -> None:
        """Let nobody wait for work any more. Legs that were taken go on."""
        self.closed = True
        with self._lock:
            self._asking.call_all()

    # What workers ask

    def ask(
        self, pool: str, worker: str, said: Presence | None = None, call: Callable[[], object] = nobody
    ) -> Question:
        """Note that a worker waits for work, until `hang_up`. `call` is called when there may be some for it.

        Nobody is called twice for one leg, so whoever waits looks again after a while, whether called or not.
        """
        question = Question(worker, call)
        with self._lock:
            self._asking.add(pool, question)
        self.roster.hear(pool, worker, said)
        self.wake()
        return question

    def hang_up(self, pool: str, question: Question) -> None:
        """Note that a worker does not wait any more."""
        with self._lock:
            self._asking.remove(pool, question)
        self.roster.hear(pool, question.worker)

    def answer(self, pool: str, worker: str, only: LegId | None = None) -> tuple[str, LegId] | None:
        """Offer a leg of the pool to a worker; returns the token by which it can be taken. None: there is none.

        `only`: this leg and no other. Nothing is written: it takes no longer than a look.
        """
        now = time.monotonic()
        with self._lock:
            open_ = [leg for leg in self._legs.values() if leg.is_open(now) and leg.offer.pool == pool]
            # What is planned is applied first, rather than that more and more is planned.
            for leg in sorted(open_, key=lambda each: (each.which.leg is Leg.PLAN, each.which.run)):
                another = leg.near not in {None, worker} and leg.near in self._asking.names(pool)
                if another or leg.offer.wanted not in {None, worker} or only not in {None, leg.which}:
                    continue
                fits = self.roster.said(pool, worker).fits(*leg.needs)
                there = {} if fits else self.roster.there(pool, self._present(pool))
                if any(each.fits(*leg.needs) for each in there.values()):
                    continue
                leg.reserved_until = now + _RESERVED
                return leg.make_token(), leg.which
        return None

    def authorise(self, token: str) -> Handout:
        """Return the leg that a token opens; LegRefused for every other token, and once the leg is over."""
        with self._lock:
            leg = self._legs.get(token.partition(".")[0])
            if leg is None or not leg.opens(token):
                raise LegRefused("this token opens no leg that is at work: it has ended, or its lease was lost")
            return leg

    def take(self, leg: Handout, worker: str, *, fresh: bool = False) -> tuple[bytes, str | None]:
        """Give a worker what the leg is to do, once; LegRefused where that was given before.

        `fresh`: with a token in the place of the one that others may have seen, which opens nothing any more.
        """
        with leg.lock:
            with self._lock:
                if leg.worker is not None or leg.order is None or leg.canceled:
                    raise LegRefused("this leg was taken before, or withdrawn")
                before, taken = leg.offer, False
                token = leg.make_token() if fresh else None
                # Before it is written: nobody else is offered it meanwhile, which would make another token.
                leg.worker, leg.beat = worker, time.monotonic()
            try:
                taken = self._ledger(leg.which).take(worker, leg.offer)
            finally:
                if not taken:
                    leg.offer, leg.worker = before, None
            if not taken:
                raise LegRefused("this leg was taken before, or withdrawn")
            leg.once, leg.beat = fresh, time.monotonic()
            order, leg.order = leg.order, None
            return order, token

    def hear(self, pool: str, worker: str, said: Presence) -> None:
        """Note that a worker is there that does not ask for work."""
        if self.roster.hear(pool, worker, said):
            self.wake()

    def waits(self, pool: str, which: LegId) -> bool:
        """Whether a leg still waits for somebody to take it up."""
        with self._lock:
            leg = self._legs.get(which.run)
            return leg is not None and leg.which == which and leg.offer.pool == pool and leg.is_open(time.monotonic())

    def tree(self, leg: Handout) -> Path:
        """Return the tar file that the leg begins with: the desired tree, or for an apply what its plan left."""
        directory = self._ledger(leg.which).directory
        return directory.tree if leg.which.leg is Leg.PLAN else directory.saved

    def saving(self, leg: Handout) -> AbstractContextManager[Saving]:
        """Take in what a plan leaves to its apply; LegRefused for any other leg."""
        if leg.which.leg is not Leg.PLAN or leg.worker is None:
            raise LegRefused("only a plan that was taken up leaves something to an apply")
        return self._ledger(leg.which).saving()

    def saved(self, leg: Handout, saving: Saving) -> None:
        """Keep what came in; LegRefused where the leg has ended meanwhile."""
        with self._at_work(leg):
            saving.finish()

    def beat(self, leg: Handout) -> dict[str, object]:
        """Note that the worker is there. Returns what it has to know: whether to stop, and new tokens."""
        with self._lock:
            leg.beat = time.monotonic()
            self.roster.hear(leg.offer.pool, leg.worker or "")
            renewed, leg.renewed = leg.renewed, {}
            return {"cancel": leg.canceled, "tokens": renewed}

    def log(self, leg: Handout, offset: int, data: bytes, limit: int) -> int:
        """Append a piece of the run's log and return how long it is now; what is there already is left out.

        LegRefused where something before the piece is missing, the log gets longer than `limit`, or the leg has ended.
        """
        with self._at_work(leg), self._ledger(leg.which).log() as file:
            size = file.seek(0, os.SEEK_END)
            if offset > size:
                raise LegRefused(f"the log has {size} bytes, and this piece begins at {offset}")
            fresh = data[size - offset :]
            if size + len(fresh) > limit:
                raise LegRefused("the log is longer than the service takes")
            file.write(fresh)
            return file.tell()

    def end(self, leg: Handout, report: LegReport, rest: Callable[[], object] = nobody) -> None:
        """Record how a leg ended; LegRefused for a report about another one. It is on the disk when this returns.

        `rest` is called before, where the leg is still at work: what else came with the report.
        """
        if LegId(report.run, report.attempt, report.leg) != leg.which or leg.worker is None:
            raise LegRefused("the report is about another leg")
        with self._at_work(leg):
            rest()
            told = replace(report, waiting=False, pending_tfstate=None)
            self._ledger(leg.which).directory.write_report(told)
            self._end(leg, told)

    @contextmanager
    def _at_work(self, leg: Handout) -> Iterator[None]:
        """Hold the lock of a leg; LegRefused where it has ended."""
        with leg.lock:
            if self._legs.get(leg.which.run) is not leg:
                raise LegRefused("the leg has ended already")
            yield

    def _end(self, leg: Handout, report: LegReport) -> None:
        with self._lock:
            if self._legs.get(leg.which.run) is leg:
                del self._legs[leg.which.run]
        if leg.once and leg.worker is not None:
            self.roster.forget(leg.offer.pool, leg.worker)
        self._ledger(leg.which).forget_tree()
        self._report(report)

    def _sweep(self, leg: Handout, now: float) -> None:
        """Withdraw an offer that nobody takes up, and give up a leg whose worker is gone."""
        which = leg.which
        if leg.worker is None:
            heard = max(leg.since, self.roster.heard(leg.offer.pool, leg.offer.wanted))
            if now - heard > _UNCLAIMED and leg.reserved_until <= now:
                where = f"worker {leg.offer.wanted}" if leg.offer.wanted else f"a worker of the pool {leg.offer.pool}"
                with leg.lock:
                    if self._legs.get(which.run) is leg and self._ledger(which).take(None):
                        self._end(leg, replace(never_started(which), message=f"{where} did not take it up"))
            return
        # An apply only once its tool is certainly gone: it is to stop after the lease, and killed after the grace.
        patience = self.lease if which.leg is Leg.PLAN else 1.5 * self.lease + leg.offer.grace
        if now - leg.beat > patience:
            with leg.lock:
                if self._legs.get(which.run) is leg:
                    message = f"worker {leg.worker} has not been heard of for {patience:.0f} s"
                    self._end(leg, died(which, message))

    def _present(self, pool: str) -> set[str]:
        """Return the workers of a pool that are there, however long they have been silent."""
        with self._lock:
            busy = {leg.worker for leg in self._legs.values() if leg.worker is not None and leg.offer.pool == pool}
            return busy.union(self._asking.names(pool))

    def _report(self, report: LegReport) -> None:
        with self._lock:
            self._ready.append(report)
        self.wake()

    def _ledger(self, which: LegId) -> Ledger:
        return Ledger(RunDirectory.of(self._data_dir, which.run), which)
