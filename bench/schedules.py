"""Drift checks of 1,000 stacks that are all due, tracked runs among them, and 10,000 schedules between their times."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

from bench.harness import Figure, Limit, alternate, timed
from bench.installations import Installation, installation
from bench.repositories import build
from reconciler import operations
from reconciler.core.runs import RunKind, RunStatus
from reconciler.core.timers import Purpose, Timer
from reconciler.loop.runs.schedules import Schedules
from reconciler.loop.service import utc_now
from reconciler.settings import Settings
from reconciler.store.encryption import Keys
from reconciler.store.sql import SqlStore, open_store
from reconciler.store.stored import RunFilter
from spaces.model.drift import Drift, Repair
from spaces.names import SpaceName, StackId

STACKS, CHECKED, EVERY, TIMERS, LOOKS, ROUNDS = 1_000, 100, 10, 10_000, 10, 20
_HOURLY = Drift.model_construct(schedules=("0 * * * *",), timezone="UTC", reconcile=Repair.NEVER, ignore=())


def measure(scratch: Path) -> Iterator[Figure]:
    """Measure drift checks in real processes, then how long it takes to find that no schedule is due."""
    parallelism = Settings.model_fields["parallelism"].default
    repository = build(scratch / "config.git", STACKS)
    with installation(repository.url, scratch / "data", parallelism) as installed:
        most, starts = _check(installed)
    against = f"the first {CHECKED} checks of {STACKS:,} due"
    limit = float(parallelism)
    yield Figure("runs at work at once, all checks due", most, "", limit=limit, kind=Limit.AT_MOST, against=against)
    worst = max(starts) * 1e3
    named = "  a tracked run among them starts after"
    yield Figure(named, worst, "ms", limit=1000, kind=Limit.AT_MOST, against=f"the worst of {len(starts)}")
    yield Figure("  in the middle", statistics.median(starts) * 1e3, "ms")
    many, none = (_store(scratch / str(timers), timers) for timers in (TIMERS, 0))
    now = utc_now()
    ours, peer = alternate(ROUNDS, lambda: _look(many, now), lambda: _look(none, now))
    yield Figure("a look at 10,000 schedules, none due", ours * 1e3, "ms", peer * 1e3, "at none", 2)


def _check(installed: Installation) -> tuple[int, list[float]]:
    """Run the checks. Return the largest number of runs at the same time, and how long each tracked run waited."""
    loop, store = installed.service.loop, installed.service.store
    loop.look()
    installed.settle()
    with store.writing() as transaction:
        states = list(transaction.stacks().values())
        transaction.put_stacks(
            state.evolve(desired=replace(state.desired, drift=_HOURLY)) for state in states if state.desired is not None
        )
        past = utc_now() - timedelta(hours=1)
        transaction.put_timers(Timer(state.id, Purpose.DRIFT, past, "0 * * * * | UTC", past) for state in states)
    most, checked, asked = 0, 0, 0
    waits: list[float] = []
    while checked < CHECKED:
        if asked <= checked // EVERY:
            # The last stacks by name: their checks are due last.
            run = operations.request_run(store, states[-1 - asked].id, "bench", utc_now())
            asked += 1
            began = time.perf_counter()
            while True:
                loop.step(0.05)
                most = max(most, loop.dispatcher.at_work())
                with store.reading() as reading:
                    found = reading.run(run.id)
                if found is not None and found.status is not RunStatus.QUEUED:
                    break
            waits.append(time.perf_counter() - began)
        loop.step(0.05)
        most = max(most, loop.dispatcher.at_work())
        with store.reading() as reading:
            done = RunFilter(kinds={RunKind.DRIFT}, statuses={RunStatus.FINISHED})
            checked = len(reading.list_runs(done, None, STACKS))
    while not (loop.dispatcher.at_work() == 0 and not loop.ends.about):
        loop.step(0.05)
        with store.writing() as transaction:
            transaction.remove_timers([state.id for state in states], Purpose.DRIFT)
    return most, waits


def _look(store: SqlStore, now: datetime) -> float:
    def look() -> None:
        for _ in range(LOOKS):
            Schedules(store).step(now)

    return timed(look) / LOOKS


def _store(folder: Path, timers: int) -> SqlStore:
    folder.mkdir()
    store = open_store(f"sqlite:///{folder / 'station.db'}", Keys.load_or_create(folder / "key"))
    now = utc_now()
    with store.writing() as transaction:
        transaction.put_timers(
            Timer(StackId(SpaceName("a"), f"s{number}"), Purpose.RUN, now + timedelta(days=1), "0 3 * * * UTC", now)
            for number in range(timers)
        )
    return store
