"""The loop of the service: a list of small concerns, each taken up in every pass.

`station serve` calls `run` in a thread, `station reconcile` calls `reconcile`. The concerns are independent: each reads
what it needs from the store, has its own failures, and keeps no other back. They share one thread, so that nothing in
the world of this process changes under anybody's hands; what takes long (fetches, starts, policies) runs beside it. The
loop itself decides nothing about stacks or runs.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from reconciler.core.runs import AT_WORK, Run, RunStatus
from reconciler.core.timers import Purpose
from reconciler.engine.base import Engine
from reconciler.loop.concern import Concern, WorkDone
from reconciler.loop.desired.fetch import Fetcher
from reconciler.loop.desired.follower import Follower
from reconciler.loop.desired.seen import Noting
from reconciler.loop.leading import Leadership
from reconciler.loop.policies.deliveries import Deliveries
from reconciler.loop.policies.inquiries import Inquiries
from reconciler.loop.policies.notification import NotificationPolicies
from reconciler.loop.policies.push import PushPolicies
from reconciler.loop.runs.checks import Checks
from reconciler.loop.runs.decisions import Decisions
from reconciler.loop.runs.dispatch import Dispatcher
from reconciler.loop.runs.ends import Ends
from reconciler.loop.runs.leases import Leases
from reconciler.loop.runs.record import Recorder
from reconciler.loop.runs.renewal import Renewal
from reconciler.loop.runs.retention import Retention
from reconciler.loop.runs.rollouts import Rollouts
from reconciler.loop.runs.schedules import Schedules
from reconciler.loop.watch import Watcher
from reconciler.metrics import FAILURE, HALTED, SUCCESS, Metrics
from reconciler.store.protocol import Store
from reconciler.store.stored import RunFilter
from reconciler.store.todo import ToDo

_TICK = 1.0
"""Seconds after which the loop looks at the store again, whatever happened: other processes write to it too."""

_SOON = 0.2
"""Seconds after which a loop that is to end looks again at what keeps it from ending."""

Watching = Callable[[Run], None]
"""Is called with every run that changed, to show progress."""

Attempt = Callable[[Concern, datetime], tuple[WorkDone, Exception | None]]
"""Takes up one concern: returns what it did, and its failure, after which only `Concern.attempt` makes a pause."""


def utc_now() -> datetime:
    """Return the time."""
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
    leadership: Leadership
    watching: Watching = _nobody
    watcher: Watcher = field(init=False)
    decisions: Decisions = field(init=False)
    ends: Ends = field(init=False)
    leases: Leases = field(init=False)
    checks: Checks = field(init=False)
    renewal: Renewal = field(init=False)
    schedules: Schedules = field(init=False)
    rollouts: Rollouts = field(init=False)
    notices: NotificationPolicies = field(init=False)
    deliveries: Deliveries = field(init=False)
    inquiries: Inquiries = field(init=False)
    retention: Retention = field(init=False)
    noting: Noting = field(init=False)
    _watch: Concern = field(init=False)
    """The repositories: the first concern of a pass of `run`. A single pass looks at them by `look`."""
    _recording: Concern = field(init=False)
    concerns: tuple[Concern, ...] = field(init=False)
    """In the order of a pass. Between those that act and those that record, the loop waits for a leg to end."""
    _patience: float | None = None
    """How many seconds this pass may wait for a leg to end; None: until there is something to fetch."""
    _waited: bool = False
    """Whether this pass waited for a leg to end, or had no need to."""
    _to_do: ToDo | None = None
    """What there is to do in the store, as this pass has seen it; None: something happened since."""
    _untidy: bool = False
    """Whether a concern failed and works again, so that what ended meanwhile may still have to be put away."""
    _drains_until: float | None = None
    """Until when it waits for its runs, by the clock of `time.monotonic`; None: it is not to stop."""
    _stopped: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        """Put the concerns together."""
        engine, store, recorder, dispatcher = self.engine, self.store, self.recorder, self.dispatcher
        self.inquiries = Inquiries(engine.wake)
        pushes = PushPolicies(store, self.follower, self.metrics)
        self.watcher = Watcher(self.follower, self.fetcher, self.leadership, engine.wake, utc_now)
        self.decisions = Decisions(
            store, engine, dispatcher, recorder, pushes, self.inquiries, self.holder, self._changed
        )
        self.ends = Ends(engine, dispatcher, recorder, self.inquiries, self._changed)
        self.leases = Leases(store, engine, dispatcher, self.follower, self.holder)
        self.checks = Checks(
            store, engine, self.follower.world, self.holder, dispatcher.settings.most_checks, dispatcher.unserved
        )
        self.renewal = Renewal(engine, dispatcher.issuer)
        self.schedules = Schedules(store)
        self.rollouts = Rollouts(store)
        self.notices = NotificationPolicies(store, self.follower.world, self.metrics, engine.wake)
        remotes = self.follower.remotes
        self.deliveries = Deliveries(
            store, self.follower.world, self.metrics, engine.wake, remotes.secrets, remotes.settings
        )
        self.retention = Retention(store, remotes.settings)
        self.noting = Noting(store, remotes.settings.notes)
        self._recording = Concern("recording runs", self._record)
        self.concerns = (
            Concern("making room", self._make_room),
            Concern("keeping the leases", self._keep_leases),
            Concern("renewing tokens", self._renew_tokens),
            Concern("deciding", self._decide),
            Concern("rolling out", self._roll_out),
            Concern("keeping schedules", self._keep_schedules),
            Concern("checking for drift", self._check),
            Concern("starting runs", self._start),
            Concern("waiting for runs", self._wait),
            self._recording,
            Concern("sending notices", self._notify),
            Concern("notifying", self._deliver),
            Concern("putting away what ended", self._put_away),
            Concern("forgetting what is old", self._forget),
            Concern("noting how far it is", self._note),
        )
        self._watch = Concern("taking in what was fetched", self.watcher.step)

    @property
    def holder(self) -> str:
        """The name of this service among those that share the store."""
        return self.leadership.holder

    @property
    def passed(self) -> bool:
        """Whether a first look at the repositories went through."""
        return self.watcher.passed

    @property
    def brief(self) -> str | None:
        """Why the store cannot be used, without naming a place; None: it can, as far as anybody knows."""
        return next((each.backoff.brief for each in self._all if each.backoff.brief is not None), None)

    def recover(self) -> None:
        """Take up the runs that an earlier process of this data directory left at work, and put away what ended."""
        self.leases.recover()
        self.recorder.put_away_left()

    # Once, until nothing is left to do

    def reconcile(self) -> None:
        """Look at everything once, and go on until nothing is left to do now."""
        self.look()
        self.settle()

    def settle(self) -> None:
        """Go on until nothing is left to do now."""
        self.step(0.0)
        while not self.is_idle():
            # The end of a leg ends the wait. What else this waits for happens elsewhere, and says nothing.
            self.step(_TICK if self.dispatcher.at_work() else _SOON)

    def look(self) -> None:
        """Fetch everything and take it in."""
        with self.leadership.for_now():
            self.watcher.look()

    def step(self, timeout: float) -> bool:
        """Take up every concern but the repositories; wait up to `timeout` seconds for a leg to end.

        Returns whether anything happened. The first failure is raised when all concerns were tried.
        """
        made, failure = self._pass(self.concerns, timeout, _plainly)
        if failure is not None:
            raise failure
        return bool(made)

    def is_idle(self) -> bool:
        """Whether there is nothing to do for this process now: no run at work here, none queued, no stack due.

        What is queued in a worker pool that somebody drained, or that has no worker, does not count.
        """
        now = utc_now()
        if self.dispatcher.at_work() or self.ends.about or self.inquiries:
            return False
        with self.store.reading() as reading:
            to_do = reading.to_do(now)
            if to_do.due_stacks or not self.notices.is_idle(to_do) or not self.deliveries.is_idle(to_do):
                return False
            if not (to_do.schedules or to_do.drift or to_do.rollouts or to_do.queued or to_do.at_work):
                return True
            closed = {*reading.drained_pools(), *self.dispatcher.unserved()}
            if reading.due_timers(list(Purpose), now, 1, closed):
                return False
            if not self.rollouts.is_idle(reading):
                return False
            at_work = reading.list_runs(RunFilter(statuses={RunStatus.QUEUED, *AT_WORK}), None, 1000)
        return not any(
            run.pool not in closed if run.status is RunStatus.QUEUED else run.holder == self.holder for run in at_work
        )

    # For ever

    def run(self) -> None:
        """Go on until `stop`. A concern that fails is logged and tried again; the loop and the others go on."""
        self.leadership.start()
        while not (self._stopped.is_set() or self._drained or self.leadership.outdated):
            started = time.monotonic()
            failing = any(concern.backoff.failing for concern in self._all)
            made, failure = self._pass(self._all, None, Concern.attempt)
            if not self._waited:
                # Waiting itself fails: without this the loop would not rest.
                self._stopped.wait(_TICK)
            if made - {self._watch.name}:
                # The store has taken something. A fetch alone may have brought nothing to write.
                for concern in self._all:
                    concern.resume()
            if failing and not any(concern.backoff.failing for concern in self._all):
                self._untidy = True
            if failure is not None or made:
                result = FAILURE if failure is not None else HALTED if self.follower.halted else SUCCESS
                self.metrics.pass_ended(result, time.monotonic() - started, utc_now())
        self.leadership.close()
        self.inquiries.close()
        self.notices.close()
        self.renewal.close()
        self.deliveries.close()
        self.watcher.close()

    def wake(self) -> None:
        """Make the loop look at the repositories and the store at once."""
        self.watcher.ask()
        self.engine.wake()

    def drain(self, seconds: float) -> None:
        """End `run` once no run is at work here, at the latest after some seconds; start nothing more until then."""
        self._drains_until = time.monotonic() + seconds
        self.leadership.resign()
        self.engine.wake()

    @property
    def _drained(self) -> bool:
        if self._drains_until is None:
            return False
        return time.monotonic() >= self._drains_until or not (self.dispatcher.at_work() or self.ends.about)

    def stop(self) -> None:
        """End `run` soon. Runs at work go on without the service."""
        self._stopped.set()
        self.engine.wake()

    @property
    def _all(self) -> tuple[Concern, ...]:
        return (self._watch, *self.concerns)

    def _pass(
        self, concerns: tuple[Concern, ...], timeout: float | None, attempt: Attempt
    ) -> tuple[set[str], Exception | None]:
        """Take up each concern once. Returns the names of those that did something, and the first failure."""
        made: set[str] = set()
        failure = None
        self._patience, self._waited, self._to_do = timeout, False, None
        for concern in concerns:
            progress, failed = attempt(concern, utc_now())
            if progress is WorkDone.MADE:
                made.add(concern.name)
                self._patience, self._to_do = 0.0, None
            failure = failure or failed
        return made, failure

    def _work(self, now: datetime) -> ToDo:
        """Return what there is to do in the store, asked once until something happens: for many, that is nothing."""
        if self._to_do is None:
            with self.store.glance() as reading:
                self._to_do = reading.to_do(now)
        return self._to_do

    # The concerns

    def _make_room(self, _now: datetime) -> WorkDone:
        """Remove what ended runs left, before anything is written: the store may need the room."""
        self.ends.make_room()
        self.ends.collect(0.0)
        return WorkDone.NONE

    def _keep_leases(self, now: datetime) -> WorkDone:
        awaited = self.ends.about | self.decisions.about | self.inquiries.about
        self.ends.add(self.leases.renew(now, awaited))
        return WorkDone.NONE

    def _renew_tokens(self, now: datetime) -> WorkDone:
        self.renewal.step(now)
        return WorkDone.NONE

    def _decide(self, now: datetime) -> WorkDone:
        return _made(self.watcher.learn(now) and self.decisions.step(now, due=self._work(now).due_stacks))

    def _roll_out(self, now: datetime) -> WorkDone:
        return _made(self.watcher.known and self._work(now).rollouts and self.rollouts.step(now))

    def _keep_schedules(self, now: datetime) -> WorkDone:
        return _made(self.watcher.known and self._work(now).schedules and self.schedules.step(now))

    def _check(self, now: datetime) -> WorkDone:
        wanted = self.watcher.known and (self._work(now).drift or self._work(now).looking)
        return _made(wanted and self.checks.step(now))

    def _start(self, now: datetime) -> WorkDone:
        starting = self.watcher.known and not self.watcher.behind and self._drains_until is None
        return _made(starting and self._work(now).queued and self.dispatcher.claim(now))

    def _wait(self, _now: datetime) -> WorkDone:
        patience = self.watcher.pause(_TICK) if self._patience is None else self._patience
        there = self.watcher.known and bool(self.ends.about) and not self._recording.paused
        self.ends.collect(0.0 if there else patience)
        self._waited, self._to_do = True, None
        return WorkDone.NONE

    def _record(self, now: datetime) -> WorkDone:
        return _made(self.ends.step(now, known=self.watcher.known))

    def _notify(self, now: datetime) -> WorkDone:
        return _made(self.notices.step(now, due=self._work(now).notices))

    def _deliver(self, now: datetime) -> WorkDone:
        to_do = self._work(now)
        return _made(self.deliveries.step(now, due=to_do.deliveries or to_do.announcements))

    def _put_away(self, _now: datetime) -> WorkDone:
        if self._untidy:
            self.recorder.put_away_left()
            self._untidy = False
        return WorkDone.NONE

    def _forget(self, now: datetime) -> WorkDone:
        return _made(self.retention.step(now))

    def _note(self, now: datetime) -> WorkDone:
        self.noting.step(self.follower.world.generation, self._work(now).audit)
        return WorkDone.NONE

    def _changed(self, run: Run) -> None:
        # Not `watching` itself: whoever has made the loop may set another one.
        self.watching(run)


def _plainly(concern: Concern, now: datetime) -> tuple[WorkDone, Exception | None]:
    """Take a step without a pause, and leave a failure to the caller."""
    try:
        return concern.step(now), None
    except Exception as error:  # noqa: BLE001 - it is raised when all were tried
        return WorkDone.NONE, error


def _made(worked: object) -> WorkDone:
    return WorkDone.MADE if worked else WorkDone.NONE
