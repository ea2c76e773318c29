"""A fleet of stacks on workers that run nothing: runs a second, waits, latencies, memory, and kills.

Services are processes on one PostgreSQL, and the simulated runners (`bench/fleet_runners.py`) speak the contract as
`station worker` does. `python -m bench fleet` takes a small fleet. A large one is measured by
`python -m bench.fleet --stacks 100000 --spaces 1000 --seconds 60 --services 1 2 4`.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.fleet_parts import POOL, Process, Reader, Service, ask, cpu_of_postgres, percentile, postgres, repository
from bench.harness import HEADER, Figure, Limit, environment
from bench.installations import applied, superseded
from reconciler.core.runs import RunStatus
from reconciler.loop.service import utc_now
from reconciler.store.encryption import Keys
from reconciler.store.sql import open_store
from reconciler.store.stored import RunFilter

RATE, CPU, TRIPS = 200, 0.02, 10
"""The limits: runs a second on two processors, processor seconds and requests of a run."""

_LEADS = "SELECT count(*) FROM runs WHERE status = 'finished'"
_QUEUED = "SELECT count(*) FROM runs"
_AUDIT = "SELECT number, event, stack, run FROM audit WHERE event IN ('apply-started', 'apply-ended') ORDER BY number"
_TWICE = "SELECT run FROM audit WHERE event = 'apply-ended' GROUP BY run HAVING count(*) > 1"
_WAITS = (
    "SELECT started_at, body FROM runs WHERE started_at IS NOT NULL AND started_at > {since} "
    "ORDER BY started_at LIMIT 20000"
)


@dataclass(frozen=True, slots=True)
class Fleet:
    """What is measured. Times are in seconds."""

    stacks: int = 600
    spaces: int = 20
    seconds: float = 20
    workers: int = 128
    services: tuple[int, ...] = (1,)
    takes: float = 0.0
    """How long each leg of a simulated run takes."""
    kills: bool = True
    waits: bool = True
    """Whether the wait in the queue is measured, at half the load."""


def measure(scratch: Path) -> Iterator[Figure]:
    """Measure a small fleet with one service."""
    yield from _measure(scratch, Fleet(stacks=300, kills=False))


def _measure(scratch: Path, fleet: Fleet) -> Iterator[Figure]:
    url = repository(scratch / "config.git", fleet.stacks, fleet.spaces)
    single = None
    for number in fleet.services:
        folder = scratch / f"{number}-services"
        folder.mkdir()
        with ExitStack() as ending:
            database = ending.enter_context(postgres())
            services = [Service.of(folder, f"service-{each}", url, database) for each in range(number)]
            found = _Trial(folder, fleet, services, database, ending)
            yield from found.measure(single)
        single = single or found.rate


class _Trial:
    """One database with some services."""

    def __init__(self, folder: Path, fleet: Fleet, services: list[Service], database: str, ending: ExitStack) -> None:
        self.folder, self.fleet, self.database, self.ending = folder, fleet, database, ending
        self.services = services
        self.runners: list[Process] = []
        self.rate = 0.0

    def measure(self, single: float | None) -> Iterator[Figure]:
        number, fleet = len(self.services), self.fleet
        began = time.monotonic()
        for service in self.services:
            service.start()
            self.ending.callback(service.process.stop)
        self._wait(lambda: ask(self.database, _QUEUED)[0][0] >= fleet.stacks, 3600)
        self._wait(lambda: all(self._ready(service) for service in self.services), 3600)
        yield Figure(
            f"{fleet.stacks:,} stacks, {fleet.spaces:,} spaces, {number} services",
            time.monotonic() - began,
            "s",
            None,
            "until all runs are queued, and each service knows them",
        )
        size = self._size()
        reader = Reader(self.services)
        self._start_runners()
        # Until then all plan, and hardly anything ends.
        self._wait(lambda: self._done() >= min(fleet.workers, fleet.stacks / 5), 600)
        reader.start()
        before = self._taken()
        done, requests, started = self._done(), self._said("requests"), time.monotonic()
        while time.monotonic() - started < fleet.seconds and self._done() < fleet.stacks * 0.97:
            time.sleep(0.25)
        seconds, runs = time.monotonic() - started, self._done() - done
        requests = self._said("requests") - requests
        spent = {name: taken - before[name] for name, taken in self._taken().items()}
        reader.stop()
        memory = max(service.memory() for service in self.services)
        self.rate = runs / seconds
        runs = max(runs, 1)
        cores = sum(spent.values()) / seconds
        yield Figure(
            "  simulated runs",
            self.rate,
            "/s",
            single,
            f"{cores:.1f} processors were to be had, the runners' {spent['runners'] / seconds:.2f} among them"
            + ("; the peer: 1 service" if single else ""),
            RATE if number == 1 else None,
            Limit.AT_LEAST,
        )
        yield Figure("  requests of a run", requests / runs, "", None, "its plan and its apply", TRIPS, Limit.AT_MOST)
        own = (spent["services"] + spent["postgres"]) / runs
        share = f"services {spent['services'] / runs * 1e3:.1f} ms, PostgreSQL {spent['postgres'] / runs * 1e3:.1f} ms"
        yield Figure("  processor time of a run", own, "s", None, share, CPU, Limit.AT_MOST)
        yield Figure("  runs a second of one processor", 1 / own, "/s", None, "services and PostgreSQL")
        yield Figure("  the API meanwhile, p95", reader.p95() * 1e3, "ms", None, f"{len(reader.latencies)} requests")
        yield Figure("  memory of a service", memory, "MiB", None, "the largest")
        yield Figure("  growth of the database", (self._size() - size) / runs / 1024, "KiB", None, "a run")
        if fleet.waits:
            yield from self._paced()
        else:
            self._settle()
        if fleet.kills:
            yield from self._killed()
        yield self._invariant()

    def _settle(self) -> None:
        """End every queued run without doing it, and wait until the runs at work have ended."""
        with closing(open_store(self.database, Keys.load_or_create(self.folder / "key"))) as store:
            while True:
                with store.reading() as reading:
                    queued = reading.list_runs(RunFilter(statuses={RunStatus.QUEUED}), None, 1000)
                if not queued:
                    break
                with store.writing() as transaction:
                    now, states = utc_now(), transaction.stacks([run.stack for run in queued])
                    there = {run.id: run for run in map(transaction.run, [run.id for run in queued]) if run is not None}
                    over = [run for run in there.values() if run.status is RunStatus.QUEUED]
                    for run in over:
                        transaction.put_run(superseded(run, now))
                    transaction.put_stacks([applied(states[run.stack], now) for run in over])
        self._wait(lambda: self._active() == 0, 600)

    def _paced(self) -> Iterator[Figure]:
        """Ask for runs at half the rate that was measured, and see how long they wait in the queue."""
        self._settle()
        pace, asked = max(self.rate / 2, 1.0), 0
        since = int(time.time() * 1e6)
        names = [f"team-{it % self.fleet.spaces:04}/s{it:06}" for it in range(self.fleet.stacks)]
        random.Random(1).shuffle(names)
        started = time.monotonic()
        while asked < len(names) and (passed := time.monotonic() - started) < min(self.fleet.seconds, 15):
            if asked / pace > passed:
                time.sleep(0.005)
                continue
            self.services[asked % len(self.services)].api(f"/stacks/{names[asked]}/runs", "POST")
            asked += 1
        self._wait(lambda: self._active() == 0, 600)
        waits = [
            at / 1e6 - _seconds(json.loads(body)["createdAt"])
            for at, body in ask(self.database, _WAITS.format(since=since))
        ]
        against = f"at {asked / (time.monotonic() - started):.0f} runs a second"
        yield Figure("  wait in the queue, p50", percentile(waits, 50) * 1e3, "ms", None, against)
        yield Figure("  wait in the queue, p95", percentile(waits, 95) * 1e3, "ms", None, against)

    def _killed(self) -> Iterator[Figure]:
        """Kill services and runners with -9 while runs are at work, and see that all come to an end."""
        names = [f"team-{it % self.fleet.spaces:04}/s{it:06}" for it in range(min(self.fleet.stacks, 300))]
        count = 0
        for turn, name in enumerate(names):
            service = next(it for it in self.services if it.process.pid)
            try:
                service.api(f"/stacks/{name}/runs", "POST")
                count += 1
            except OSError:
                time.sleep(0.1)
            if turn % 100 == 50:
                self.runners[0].kill()
                self.runners[0].start()
            if turn % 100 == 90:
                victim = self.services[turn // 100 % len(self.services)]
                victim.process.kill()
                victim.start()
                self._restart_runners()
        began = time.monotonic()
        self._wait(lambda: self._active() == 0, 600)
        yield Figure("  after kills of services and runners", time.monotonic() - began, "s", None, f"{count} runs over")

    def _invariant(self) -> Figure:
        """Look in the audit for a stack with two writing runs at once."""
        at_work: dict[str, str] = {}
        wrong, applies = 0, 0
        for _, event, stack, run in ask(self.database, _AUDIT):
            if event == "apply-started":
                applies += 1
                wrong += stack in at_work
                at_work[stack] = run
            elif at_work.pop(stack, None) != run:
                wrong += 1
        twice = len(ask(self.database, _TWICE))
        return Figure(
            "  stacks with two writing runs at once",
            wrong + twice,
            "",
            None,
            f"{applies} applies in the audit",
            0,
            Limit.AT_MOST,
        )

    # What there is

    def _start_runners(self) -> None:
        config = self.folder / "runners.json"
        process = Process(
            [sys.executable, "-m", "bench.fleet_runners", str(config)], environment(), self.folder / "runners.log"
        )
        self.runners = [process]
        self._restart_runners()
        self.ending.callback(process.kill)

    def _restart_runners(self) -> None:
        services = [{"url": service.url, "token": service.token} for service in self.services]
        config = {"services": services, "pool": POOL, "name": "w", "workers": self.fleet.workers}
        config |= {"seconds": self.fleet.takes}
        (self.folder / "runners.json").write_text(json.dumps(config), encoding="utf-8")
        self.runners[0].kill()
        self.runners[0].start()

    def _taken(self) -> dict[str, float]:
        return {
            "services": sum(service.process.cpu() for service in self.services),
            "postgres": cpu_of_postgres(self.database),
            "runners": sum(runner.cpu() for runner in self.runners),
        }

    def _said(self, name: str) -> int:
        lines = self.runners[0].log.read_text(encoding="utf-8").splitlines()
        said: Mapping[str, Any] = next((json.loads(line) for line in reversed(lines) if line.startswith("{")), {})
        return int(said.get(name, 0))

    def _done(self) -> int:
        return int(ask(self.database, _LEADS)[0][0])

    def _active(self) -> int:
        query = "SELECT count(*) FROM runs WHERE status IN ('queued', 'planning', 'applying')"
        return int(ask(self.database, query)[0][0])

    def _size(self) -> int:
        return int(ask(self.database, "SELECT pg_database_size(current_database())")[0][0])

    @staticmethod
    def _ready(service: Service) -> bool:
        status = service.api("/status")
        return bool(status["ready"] and status["counts"]["documents"])

    @staticmethod
    def _wait(what: Any, seconds: float) -> None:
        end = time.monotonic() + seconds
        while not what():
            if time.monotonic() > end:
                raise AssertionError(f"it did not come about within {seconds:g} s")
            time.sleep(0.2)


def _seconds(text: str) -> float:
    from datetime import datetime  # noqa: PLC0415

    return datetime.fromisoformat(text).timestamp()


def main() -> None:
    """Measure the fleet that the arguments describe."""
    parser = argparse.ArgumentParser("python -m bench.fleet", description=__doc__)
    parser.add_argument("--stacks", type=int, default=Fleet().stacks)
    parser.add_argument("--spaces", type=int, default=Fleet().spaces)
    parser.add_argument("--seconds", type=float, default=Fleet().seconds, help="how long runs are counted")
    parser.add_argument("--workers", type=int, default=Fleet().workers, help="simulated places for runs")
    parser.add_argument("--services", type=int, nargs="+", default=[1], help="how many services, one trial each")
    parser.add_argument("--takes", type=float, default=0.0, help="how many seconds a simulated leg takes")
    parser.add_argument("--no-kills", action="store_true", help="kill no service and no runner")
    parser.add_argument("--no-waits", action="store_true", help="leave out the wait in the queue at half the load")
    given = parser.parse_args()
    fleet = Fleet(
        given.stacks,
        given.spaces,
        given.seconds,
        given.workers,
        tuple(given.services),
        given.takes,
        not given.no_kills,
        not given.no_waits,
    )
    print(HEADER)
    with tempfile.TemporaryDirectory(prefix="station-fleet-") as scratch:
        for figure in _measure(Path(scratch), fleet):
            print(figure.line(), flush=True)


if __name__ == "__main__":
    main()
