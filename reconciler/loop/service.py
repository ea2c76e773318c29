"""The loop itself: look at the repositories, decide, start, record; and nothing of it twice."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from reconciler.core.phases import Leg, Phase
from reconciler.core.reasons import Reason
from reconciler.core.runs import AT_WORK, Run, RunId, RunStatus
from reconciler.engine.base import Ending, Engine, LegReport
from reconciler.git.errors import GitError
from reconciler.git.mirrors import Remote
from reconciler.loop.asking import Asking
from reconciler.loop.deciding import Ended, Followup, ToApply, ToJudge, ToStop, decide_due
from reconciler.loop.dispatching import LEASE, Dispatcher
from reconciler.loop.fetching import Fetched, Fetcher
from reconciler.loop.following import Follower
from reconciler.loop.judging import Judged
from reconciler.loop.places import CannotFollow
from reconciler.loop.recording import Recorder
from reconciler.metrics import Metrics
from reconciler.store.protocol import RunFilter, Store, StoreBusy, StoreError

_log = logging.getLogger(__name__)

_TICK = 1.0
"""Seconds after which the loop looks at the store again, whatever happened: other processes write to it too."""

Watching = Callable[[Run], None]
"""Is told of every run that changed, for progress."""


def utc_now() -> datetime:
    """Tell the time."""
    return datetime.now(UTC)


def _nobody(_run: Run) -> None:
    pass


@dataclass(slots=True)
class Loop:
    """Brings what is applied to what is desired. One thread runs it; `wake` and `stop` may come from any."""

    store: Store
    engine: Engine
    follower: Follower
    fetcher: Fetcher
    dispatcher: Dispatcher
    recorder: Recorder
    metrics: Metrics
    holder: str
    watching: Watching = _nobody
    passed: bool = False
    """Whether a first look at the repositories went through."""
    _stopping: bool = False
    _fetching: threading.Thread | None = None
    _fetched: Fetched | None = None
    _renewed: float = 0.0
    _known: bool = False
    _todo: deque[Followup] = field(default_factory=deque)
    _astray: frozenset[RunId] = frozenset()
    _unrecorded: deque[LegReport] = field(default_factory=deque)
    """Ends of legs that are still to be recorded."""
    _judged: dict[str, Judged | None] = field(default_factory=dict)
    """What the policies said of plans whose end is still to be recorded, by run."""
    _asking: Asking = field(init=False)
    _look: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        """Let policies be asked beside the loop, which hears of it by the engine's bell."""
        self._asking = Asking(self.engine.wake)

    def recover(self) -> None:
        """Take up the runs that an earlier process of this data directory left at work."""
        with self.store.reading() as reading:
            runs = reading.list_runs(RunFilter(statuses=AT_WORK), None, 10_000)
        mine: dict[str, tuple[int, Leg]] = {
            run.id: (run.attempt, _leg(run)) for run in runs if run.holder == self.holder
        }
        if mine:
            adopted = self.engine.adopt(mine)
            _log.info("took up %d of %d runs that were left at work", len(adopted), len(mine))

    # Once, until nothing is left to do

    def reconcile(self) -> None:
        """Look at everything once, and go on until nothing is left to do now."""
        self.look()
        while True:
            self.step(0.0)
            if self.is_idle():
                return
            self.step(0.2)

    def look(self) -> None:
        """Fetch everything and take it in, also repositories that only become known by that."""
        now = utc_now()
        everything = True
        while True:
            fetched = self.fetcher.fetch(self.follower.wanted(), now, everything=everything)
            if not fetched:
                break
            self._take_in(fetched, now)
            everything = False
        self.passed = True

    def is_idle(self) -> bool:
        """Say whether there is nothing to do for this process now: no run at work here, none queued, no stack due."""
        if self.dispatcher.at_work() or self.dispatcher.reports or self._unrecorded or self._asking.runs:
            return False
        with self.store.reading() as reading:
            if reading.due_stacks(utc_now(), 1):
                return False
            at_work = reading.list_runs(RunFilter(statuses={RunStatus.QUEUED, *AT_WORK}), None, 1000)
        return not any(run.status is RunStatus.QUEUED or run.holder == self.holder for run in at_work)

    # For ever

    def run(self) -> None:
        """Go on until `stop`. A failure of one part is logged, and tried again; it does not end the loop."""
        while not self._stopping:
            started = time.monotonic()
            try:
                worked = self._watch()
                worked = self.step(self._pause()) or worked
            except StoreBusy as error:
                _log.warning("the database is busy: %s", error)
                self._failed(started)
            except (StoreError, CannotFollow) as error:
                _log.error("%s", error)
                self._failed(started)
            except Exception:  # noqa: BLE001 - it is logged
                # The loop is the one place that catches bugs: whatever is wrong, the other stacks go on.
                _log.exception("a pass failed")
                self._failed(started)
            else:
                if worked:
                    self.metrics.pass_ended("success", time.monotonic() - started, utc_now())
        self._asking.close()
        if self._fetching is not None:
            self._fetching.join(timeout=10)

    def wake(self) -> None:
        """Have the loop look at the repositories and the store at once."""
        self._look.set()
        self.engine.wake()

    def stop(self) -> None:
        """End `run` soon. Runs at work go on without the service."""
        self._stopping = True
        self.engine.wake()

    def step(self, timeout: float) -> bool:
        """Decide, start, wait up to `timeout` seconds for a leg to end, record. Says whether anything happened."""
        now = utc_now()
        self._renew(now)
        due = claimed = 0
        if self._knows(now):
            due, followups = decide_due(self.store, self.holder, now)
            self._todo.extend(followups)
            while self._todo:
                self._follow_up(self._todo[0], now)
                self._todo.popleft()
            claimed = self.dispatcher.claim(now)
        self._unrecorded.extend(self._reports(0.0 if due or claimed else timeout))
        recorded = self._hear(now)
        for _ in range(len(self._unrecorded)):
            # It is taken off only when it is recorded: an end must not get lost because the database is away.
            if self._unrecorded[0].leg is Leg.PLAN and not self._known:
                # Nothing can be applied by a service that does not know yet what is desired.
                self._unrecorded.rotate(-1)
                continue
            if not self._ask(self._unrecorded[0]):
                self._record(self._unrecorded[0])
                recorded += 1
            self._unrecorded.popleft()
        return bool(due or claimed or recorded)

    def _knows(self, now: datetime) -> bool:
        """Say whether this process knows what is desired: at its start it has to find that again, maybe fetch first."""
        if not self._known:
            try:
                self.follower.catch_up(now)
            except (CannotFollow, GitError) as error:
                # Before the first fetch that is no wonder.
                _log.log(logging.WARNING if self.passed else logging.DEBUG, "%s", error)
                return False
            self._known = True
        return True

    def _reports(self, timeout: float) -> list[LegReport]:
        found = []
        while self.dispatcher.reports:
            found.append(self.dispatcher.reports.popleft())
        at_once = bool(found or (self._unrecorded and self._known))
        return [*found, *self.engine.reports(0.0 if at_once else timeout)]

    def _ask(self, report: LegReport) -> bool:
        """Have the policies over a plan asked, where that is still to be done; it is recorded once they answered."""
        if report.run in self._judged:
            return False
        question = self.recorder.question(report, utc_now())
        if question is None:
            return False
        self._asking.begin(RunId(report.run), report, question)
        return True

    def _hear(self, now: datetime) -> int:
        """Take in what policies answered: plans are recorded next, and what it means for runs that wait is done."""
        answers = self._asking.answers()
        for about, judged in answers:
            if isinstance(about, LegReport):
                self._judged[about.run] = judged
                self._unrecorded.append(about)
            else:
                self._carry_on(about, judged, now)
        return len(answers)

    def _carry_on(self, run: Run, judged: Judged | None, now: datetime) -> None:
        changed = self.recorder.judge_waiting(run, judged, now)
        if changed is None:
            return
        self.watching(changed)
        if changed.status is RunStatus.APPLYING:
            self.dispatcher.apply(changed)

    def _record(self, report: LegReport) -> None:
        run = self.recorder.record(report, self._judged.get(report.run), utc_now())
        self._judged.pop(report.run, None)
        if run is None:
            return
        self.watching(run)
        if run.status is RunStatus.APPLYING and report.leg is Leg.PLAN:
            self.dispatcher.apply(run)
        elif report.waiting:
            self.engine.dismiss(run.id)

    def _follow_up(self, followup: Followup, now: datetime) -> None:
        match followup:
            case ToStop(run):
                self.engine.cancel(run.id)
            case ToApply(run):
                self.dispatcher.apply(run)
            case ToJudge(run):
                self._ask_again(run, now)
            case Ended(run):
                self.recorder.tidy(run, now)
        self.watching(followup.run)

    def _ask_again(self, run: Run, now: datetime) -> None:
        if run.id in self._asking.runs:
            return
        question = self.recorder.question_again(run, now)
        if question is None:
            self._carry_on(run, None, now)
        else:
            self._asking.begin(run.id, run, question)

    def _renew(self, now: datetime) -> None:
        """Renew the leases of this service's runs, and end those whose service is gone for good."""
        if time.monotonic() - self._renewed < LEASE.total_seconds() / 6:
            return
        self._renewed = time.monotonic()
        with self.store.reading() as reading:
            at_work = reading.list_runs(RunFilter(statuses=AT_WORK), None, 10_000)
        if not at_work:
            return
        with self.store.writing() as transaction:
            transaction.renew(self.holder, now, LEASE)
        self._find_strays([run for run in at_work if run.holder == self.holder])
        for run in at_work:
            if run.holder != self.holder and _given_up(run, now, self._longest(run)):
                ending = Ending.INTERRUPTED if _leg(run) is Leg.APPLY else Ending.LOST
                message = f"the service {run.holder} that held it has not been heard of since {run.lease_until}"
                phase = run.phase or Phase.PREPARE
                self._record(LegReport(run.id, run.attempt, _leg(run), ending, str(Reason.LEASE_LOST), message, phase))

    def _longest(self, run: Run) -> timedelta:
        """Say how long a process of this run can be at work at most: by then it has ended itself."""
        settings = self.dispatcher.settings
        stack = self.follower.world.effective(run.stack)
        own = stack.spec.timeout if stack is not None else None
        return timedelta(seconds=max(settings.run_timeout, own or 0) + settings.grace_period)

    def _find_strays(self, mine: list[Run]) -> None:
        """Take up again what this service holds and does not watch: its claim was recorded, and the answer was lost."""
        watched = {*self.engine.active(), *self.dispatcher.busy, *(report.run for report in self._unrecorded)}
        watched |= {report.run for report in self.dispatcher.reports} | {each.run.id for each in self._todo}
        watched |= self._asking.runs
        astray = {run.id: run for run in mine if run.id not in watched}
        # Seen twice: the end of a run that has only just ended is on its way here.
        lost = {run: (it.attempt, _leg(it)) for run, it in astray.items() if run in self._astray}
        self._astray = frozenset(astray)
        if lost:
            _log.warning("took up %d runs again that nobody watched", len(lost))
            self.engine.adopt({str(run): leg for run, leg in lost.items()})

    # Looking at the repositories beside the runs

    def _watch(self) -> bool:
        """Start a fetch in a thread when one is due, and take in what the last one brought."""
        if self._fetching is not None:
            if self._fetching.is_alive():
                return False
            self._fetching = None
            fetched, self._fetched = self._fetched, None
            if fetched:
                self._take_in(fetched, utc_now())
            self.passed = True
            return bool(fetched)
        asked = self._look.is_set()
        self._look.clear()
        wanted = self.follower.wanted()
        if asked or self.fetcher.next_due(wanted) <= 0:
            self._fetching = threading.Thread(
                target=self._fetch, args=(wanted,), kwargs={"everything": asked}, name="fetch", daemon=True
            )
            self._fetching.start()
        return False

    def _fetch(self, wanted: list[Remote], *, everything: bool) -> None:
        try:
            self._fetched = self.fetcher.fetch(wanted, utc_now(), everything=everything)
        except Exception:  # noqa: BLE001 - it is logged
            _log.exception("a fetch failed")
        finally:
            self.engine.wake()

    def _pause(self) -> float:
        if self._fetching is not None:
            return 0.05 if not self._fetching.is_alive() else _TICK
        return min(_TICK, self.fetcher.next_due(self.follower.wanted()))

    def _take_in(self, fetched: Fetched, now: datetime) -> None:
        """Bring the world to the store's generation, then take in what is new."""
        self.follower.catch_up(now)
        self.follower.advance(fetched, now)

    def _failed(self, started: float) -> None:
        self.metrics.pass_ended("failure", time.monotonic() - started, utc_now())
        time.sleep(_TICK)


def _leg(run: Run) -> Leg:
    return Leg.APPLY if run.status is RunStatus.APPLYING else Leg.PLAN


def _given_up(run: Run, now: datetime, longest: timedelta) -> bool:
    """Say whether a run's service is given up on: by its own deadline the process has ended in any case."""
    if run.lease_until is None:
        return False
    patience = longest + timedelta(minutes=10) if run.status is RunStatus.APPLYING else LEASE
    return now > run.lease_until + patience
