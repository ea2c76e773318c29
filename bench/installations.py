"""A service on a scratch directory, and the single steps of its loop."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from bench.harness import timed
from reconciler.bootstrap import Service, open_service
from reconciler.core.conditions import assess
from reconciler.core.reasons import Reason
from reconciler.core.runs import Run, RunStatus
from reconciler.core.state import AppliedState, StackState
from reconciler.loop.runs.decide import decide_due
from reconciler.loop.service import utc_now
from reconciler.settings import Settings


def settings(url: str, data_dir: Path, parallelism: int = 4, broker: Path | None = None) -> Settings:
    """Return the settings of a service that follows `url`."""
    return Settings(
        config_url=url, data_dir=data_dir, parallelism=parallelism, poll_interval=3600, celery_broker_file=broker
    )


@contextmanager
def installation(url: str, data_dir: Path, parallelism: int = 4, broker: Path | None = None) -> Iterator[Installation]:
    """Open a service that leads. Nothing is fetched and nothing runs until the benchmark asks for it."""
    with open_service(settings(url, data_dir, parallelism, broker), port=0) as service:
        service.loop.leadership.start()
        try:
            yield Installation(service)
        finally:
            service.loop.leadership.close()
            service.loop.dispatcher.close()
            service.server.stop()


@dataclass(frozen=True, slots=True)
class Installation:
    """An open service."""

    service: Service

    def decide(self, clock: Callable[[], float] = time.perf_counter) -> tuple[float, float]:
        """Fetch, admit, and decide about every due stack; return the seconds in total and those of the fetch."""
        loop, now = self.service.loop, utc_now()
        started = clock()
        fetched = loop.fetcher.fetch(loop.follower.wanted(), now, everything=True)
        there = clock()
        loop.follower.catch_up(now)
        loop.follower.advance(fetched, now)
        decide_due(loop.store, loop.holder, now)
        return clock() - started, there - started

    def catch_up(self) -> float:
        """Restore a new process from the store and the fetched mirrors; return the seconds."""
        follower = self.service.loop.follower
        seconds = timed(lambda: follower.catch_up(utc_now()))
        if follower.world.in_force is None:
            raise AssertionError("there was nothing to catch up with")
        return seconds

    def files(self) -> dict[str, bytes]:
        """Return every YAML file of the fetched tip."""
        follower = self.service.loop.follower
        remote = follower.remotes.configuration()
        mirror = follower.mirrors.mirror(remote.url)
        tip = mirror.tip(remote.ref)
        if tip is None:
            raise AssertionError("nothing was fetched")
        return mirror.trees.files(tip)

    def settle(self) -> int:
        """Put all stacks into the state after a successful run, without running anything; return how many.

        Queued runs are removed.
        """
        now = utc_now()
        with self.service.store.writing() as transaction:
            runs = {run.stack: run for run in transaction.active_runs()}
            for run in runs.values():
                transaction.put_run(superseded(run, now))
            states = transaction.stacks(list(runs) or None)
            transaction.put_stacks([applied(state, now) for state in states.values()])
        return len(states)


def superseded(run: Run, now: datetime) -> Run:
    """Return a queued run as one that another change has overtaken."""
    return run.evolve(status=RunStatus.SUPERSEDED, reason=Reason.SUPERSEDED, message="", finished_at=now)


def applied(state: StackState, now: datetime) -> StackState:
    """Return a stack as it is after a successful run."""
    desired = state.desired
    if desired is None:
        return state
    left = AppliedState(desired.digest, desired.fingerprint, desired.revision, "bench", now)
    return assess(state.evolve(applied=left, last=None, why=()), None, (), now)
