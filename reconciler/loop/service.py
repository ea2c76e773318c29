"""The loop itself: look at the repositories, decide, start, record; and nothing of it twice."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from reconciler.core.phases import Leg
from reconciler.core.runs import AT_WORK, Run, RunStatus
from reconciler.core.verdicts import Notice, Verdict
from reconciler.engine.base import Engine, LegReport
from reconciler.git.errors import GitError
from reconciler.git.mirrors import Remote
from reconciler.loop.backoff import Trouble
from reconciler.loop.desired.fetch import Fetched, Fetcher
from reconciler.loop.desired.follower import Follower
from reconciler.loop.desired.repositories import CannotFollow
from reconciler.loop.policies.notification import NoticeQuestion, Notices, is_news
from reconciler.loop.policies.plan import Asking, Judged
from reconciler.loop.policies.push import Pushes, PushQuestion
from reconciler.loop.runs.decide import Ended, Followup, ToApply, ToJudge, ToPush, ToStop, decide_due
from reconciler.loop.runs.dispatch import Dispatcher
from reconciler.loop.runs.leases import Leases
from reconciler.loop.runs.record import Recorder
from reconciler.metrics import Metrics
from reconciler.store.protocol import RunFilter, Store, StoreBusy, StoreError
from spaces.names import StackId

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
    trouble: Trouble = field(default_factory=Trouble)
    """What keeps passes from going through."""
    _stopped: threading.Event = field(default_factory=threading.Event)
    _fetching: threading.Thread | None = None
    _fetched: Fetched | None = None
    _untaken: bool = False
    """Whether what was fetched last was not taken in."""
    _known: bool = False
    _todo: deque[Followup] = field(default_factory=deque)
    _unrecorded: deque[LegReport] = field(default_factory=deque)
    """Ends of legs that are still to be recorded."""
    _judged: dict[str, Judged | None] = field(default_factory=dict)
    """What the policies said of plans whose end is still to be recorded, by run."""
    _asking: Asking[LegReport | Run, Judged] = field(init=False)
    _pushing: Asking[PushQuestion, list[Verdict]] = field(init=False)
    _notifying: Asking[NoticeQuestion, list[tuple[Notice, ...] | str]] = field(init=False)
    _pushes: Pushes = field(init=False)
    _notices: Notices = field(init=False)
    _leases: Leases = field(init=False)
    _look: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        """Let policies be asked beside the loop, which hears of it by the engine's bell."""
        self._asking, self._pushing, self._notifying = (Asking(self.engine.wake) for _ in range(3))
        self._pushes = Pushes(self.store, self.follower, self.metrics)
        self._notices = Notices(self.store, self.follower.world, self.metrics)
        self._leases = Leases(self.store, self.engine, self.dispatcher, self.follower, self.holder)

    def recover(self) -> None:
        """Take up the runs that an earlier process of this data directory left at work, and put away what ended."""
        self._leases.recover()
        self.recorder.put_away_left()

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
        if self.dispatcher.at_work() or self.dispatcher.reports or self._unrecorded:
            return False
        if self._asking.keys or self._pushing.keys or self._notifying.keys:
            return False
        with self.store.reading() as reading:
            if reading.due_stacks(utc_now(), 1):
                return False
            at_work = reading.list_runs(RunFilter(statuses={RunStatus.QUEUED, *AT_WORK}), None, 1000)
        return not any(run.status is RunStatus.QUEUED or run.holder == self.holder for run in at_work)

    # For ever

    def run(self) -> None:
        """Go on until `stop`. A failure of one part is logged, and tried again; it does not end the loop."""
        while not self._stopped.is_set():
            started = time.monotonic()
            try:
                self._try_store()
                worked = self._watch()
                worked = self.step(self._pause()) or worked
            except Exception as error:  # noqa: BLE001 - it is logged
                # The loop is the one place that catches bugs: whatever is wrong, the other stacks go on.
                self._failed(error, started)
            else:
                self._went_through()
                if worked:
                    self.metrics.pass_ended("success", time.monotonic() - started, utc_now())
        for asking in (self._asking, self._pushing, self._notifying):
            asking.close()
        if self._fetching is not None:
            self._fetching.join(timeout=10)

    def wake(self) -> None:
        """Have the loop look at the repositories and the store at once."""
        self._look.set()
        self.engine.wake()

    def stop(self) -> None:
        """End `run` soon. Runs at work go on without the service."""
        self._stopped.set()
        self.engine.wake()

    def step(self, timeout: float) -> bool:
        """Decide, start, wait up to `timeout` seconds for a leg to end, record. Says whether anything happened."""
        now = utc_now()
        # Before anything is written: what ended runs leave may be what the store has no room for.
        self._unrecorded.extend(self._reports(0.0))
        for given_up in self._leases.renew(now, self._awaited()):
            self._record(given_up)
        due = claimed = 0
        failure: Exception | None = None
        if self._knows(now):
            due, followups = decide_due(self.store, self.holder, now)
            self._todo.extend(each for each in followups if each not in self._todo)
            failure = self._follow_ups(now)
            claimed = self.dispatcher.claim(now)
        self._unrecorded.extend(self._reports(0.0 if due or claimed else timeout))
        recorded = self._hear(now) + self._record_ends()
        if failure is not None:
            raise failure
        return bool(due or claimed or recorded)

    def _follow_ups(self, now: datetime) -> Exception | None:
        """Do what follows from the last decisions; one that fails stays, keeps no other back, and is given."""
        failure: Exception | None = None
        for _ in range(len(self._todo)):
            try:
                self._follow_up(self._todo[0], now)
            except StoreBusy:
                raise
            except Exception as error:  # noqa: BLE001 - it is raised when everything else was done
                failure = failure or error
                self._todo.rotate(-1)
                continue
            self._todo.popleft()
        return failure

    def _record_ends(self) -> int:
        """Record the ends that wait for it, each for itself; raises the first failure when all were tried."""
        recorded = 0
        failure: Exception | None = None
        for _ in range(len(self._unrecorded)):
            # It is taken off only when it is recorded: an end must not get lost because the database is away.
            report = self._unrecorded[0]
            if report.leg is Leg.PLAN and not self._known:
                # Nothing can be applied by a service that does not know yet what is desired.
                self._unrecorded.rotate(-1)
                continue
            try:
                if not self._ask(report):
                    self._record(report)
                    recorded += 1
            except StoreBusy:
                raise
            except Exception as error:  # noqa: BLE001 - it is raised when the others were tried
                # One that cannot be recorded, for whatever reason, must not keep back those that can.
                failure = failure or error
                self._unrecorded.rotate(-1)
                continue
            self._unrecorded.popleft()
        if failure is not None:
            raise failure
        return recorded

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
        found += self.engine.reports(0.0 if at_once else timeout)
        for report in found:
            if report.ends_run:
                self.engine.free(report.run)
        return found

    def _awaited(self) -> set[str]:
        """Name the runs that something is still to be done about here, though no process of theirs is watched."""
        awaited: set[str] = {report.run for report in (*self._unrecorded, *self.dispatcher.reports)}
        awaited |= {each.run.id for each in self._todo if not isinstance(each, ToPush)}
        return awaited | self._asking.keys

    def _ask(self, report: LegReport) -> bool:
        """Have the policies over a plan asked, where that is still to be done; it is recorded once they answered."""
        if report.run in self._judged:
            return False
        question = self.recorder.question(report, utc_now())
        if question is None:
            return False
        self._asking.begin(report.run, report, question.ask)
        return True

    def _hear(self, now: datetime) -> int:
        """Take in what policies answered: plans are recorded next, and what it means for runs that wait is done."""
        answers = self._asking.answers()
        # First what can fail nowhere: an answer is given only once.
        for about, judged in answers:
            if isinstance(about, LegReport):
                self._judged[about.run] = judged
                self._unrecorded.append(about)
        for about, judged in answers:
            if isinstance(about, Run):
                self._carry_on(about, judged, now)
        pushed = self._pushing.answers()
        for push, verdicts in pushed:
            self._pushes.record(push, verdicts, now)
        for notice, told in self._notifying.answers():
            self._notices.pass_on(notice, told, now)
        return len(answers) + len(pushed)

    def _carry_on(self, run: Run, judged: Judged | None, now: datetime) -> None:
        changed = self.recorder.judge_waiting(run, judged, now)
        if changed is None:
            return
        self.watching(changed)
        if not changed.is_active:
            self._notify(changed, now)
        if changed.status is RunStatus.APPLYING:
            self.dispatcher.apply(changed)

    def _record(self, report: LegReport) -> None:
        run = self.recorder.record(report, self._judged.get(report.run), utc_now())
        self._judged.pop(report.run, None)
        if run is None:
            return
        self.watching(run)
        if is_news(run):
            self._notify(run, utc_now())
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
            case ToPush(stack):
                self._ask_push(stack, now)
                return
            case Ended(run):
                self.recorder.tidy(run, now)
                self._notify(run, now)
        self.watching(followup.run)

    def _ask_push(self, stack: StackId, now: datetime) -> None:
        question = None if str(stack) in self._pushing.keys else self._pushes.question(stack, now)
        if question is not None:
            self._pushing.begin(str(stack), question, question.ask)

    def _notify(self, run: Run, now: datetime) -> None:
        """Have the notification policies over a run asked; it is done with, or waits, whatever they say."""
        try:
            question = self._notices.question(run, now)
        except StoreError as error:
            _log.warning("nobody is notified of run %s: %s", run.id, error)
            return
        if question is not None:
            self._notifying.begin(f"{run.id} {run.status}", question, question.ask)

    def _ask_again(self, run: Run, now: datetime) -> None:
        if run.id in self._asking.keys:
            return
        question = self.recorder.question_again(run, now)
        if question is None:
            self._carry_on(run, None, now)
        else:
            self._asking.begin(run.id, run, question.ask)

    # Looking at the repositories beside the runs

    def _watch(self) -> bool:
        """Start a fetch in a thread when one is due, and take in what the last one brought."""
        if self._fetching is not None:
            if self._fetching.is_alive():
                return False
            self._fetching = None
            fetched, self._fetched = self._fetched, None
            if fetched:
                self._untaken = True
                self._take_in(fetched, utc_now())
            self.passed, self._untaken = True, False
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

    def _failed(self, error: Exception, started: float) -> None:
        self.metrics.pass_ended("failure", time.monotonic() - started, utc_now())
        if self._untaken and isinstance(error, StoreError):
            # It is fetched anew at once: by now it may be older than what another service took in.
            self._look.set()
        self._stopped.wait(self.trouble.meet(error))

    def _try_store(self) -> None:
        """After a failure, find out whether the store takes anything again: a pass without news cannot tell."""
        if self.trouble.brief is None:
            return
        # What ended meanwhile may have left what fills the disk.
        self._unrecorded.extend(self._reports(0.0))
        with self.store.writing() as transaction:
            transaction.put_configuration(transaction.configuration())

    def _went_through(self) -> None:
        if not self._untaken and self.trouble.end():
            self.recorder.put_away_left()
