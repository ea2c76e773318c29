"""Runs on a worker, beside the same runs on the service's own machine: CPU and requests of the contract, and time."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from threading import Thread

import httpx

from bench.harness import Figure, Limit
from bench.installations import Installation, installation
from bench.repositories import Repository
from reconciler.core.state import Sync
from reconciler.engine.celery_broker import broker_url
from reconciler.engine.local import LocalEngine
from reconciler.engine.placing import Machine
from reconciler.web.tokens import operator_token
from reconciler.worker.messages import Messages
from reconciler.worker.service import ServiceClient
from reconciler.worker.worker import Worker
from tests.needs import missing
from tests.tools.brokers import Redis, running

RUNS, PLACES = 40, 4


def measure(scratch: Path) -> Iterator[Figure]:
    """Apply script stacks with four places, in this process but for the runs themselves; service and worker count."""
    here = _measure(scratch / "here", None)
    there = _measure(scratch / "there", "pull")
    cpu = (there[0] - here[0]) / RUNS
    yield Figure("what a run on a worker takes more CPU", cpu, "s", None, "service and worker", 0.1, Limit.AT_MOST)
    yield Figure("  requests of it", there[2] / RUNS, "", None, "its plan and its apply", 10, Limit.AT_MOST)
    yield Figure("  until it has ended", there[1] / RUNS * 1e3, "ms", here[1] / RUNS * 1e3, "on the service's machine")
    if why := missing("redis-server"):
        print(f"messages of Celery: {why}: skipped")
        return
    with running(Redis, scratch / "redis") as redis:
        told = _measure(scratch / "told", "celery", redis.file)
    cpu = (told[0] - there[0]) / RUNS
    yield Figure("what a run takes more CPU by Celery", cpu, "s", None, "beside a worker that asks", 0.1, Limit.AT_MOST)
    seconds = (told[1] - there[1]) / RUNS
    yield Figure("  until it has ended", seconds, "s", None, "beside a worker that asks", 0.3, Limit.AT_MOST)


def _measure(folder: Path, engine: str | None, broker: Path | None = None) -> tuple[float, float, int]:
    """Return the CPU and the seconds until all is applied, and how many requests the worker made meanwhile."""
    folder.mkdir()
    with installation(_repository(folder / "config.git", engine), folder / "data", PLACES, broker) as opened:
        service = opened.service
        requests: list[httpx.Request] = []
        worker = None if engine is None else _worker(folder / "worker", service.server.url(), folder / "data", requests)
        if worker is not None and broker is not None:
            worker.listen = partial(Messages, broker_url(broker))
        thread = Thread(target=worker.run if worker is not None else lambda: None)
        service.loop.look()
        thread.start()
        cpu, started = time.process_time(), time.monotonic()
        while not _all_synced(opened):
            service.loop.step(0.05)
        spent = time.process_time() - cpu, time.monotonic() - started, len(requests)
        if worker is not None:
            worker.stop()
            thread.join()
            worker.engine.close()
        return spent


def _all_synced(opened: Installation) -> bool:
    with opened.service.store.reading() as reading:
        states = reading.stacks().values()
    return len(states) == RUNS and all(state.sync is Sync.SYNCED for state in states)


def _worker(directory: Path, url: str, data_dir: Path, requests: list[httpx.Request]) -> Worker:
    service = ServiceClient(url, operator_token(data_dir), trust_env=False)
    service.client.event_hooks["request"].append(requests.append)
    return Worker("root/far", "bench", PLACES, service, LocalEngine(directory), Machine(directory, "/usr/bin:/bin"))


def _repository(path: Path, engine: str | None) -> str:
    head = {"apiVersion": "stationkeeper/v1"}
    pool = {"kind": "WorkerPool", "metadata": {"name": "far"}, "spec": {"engine": engine or "pull"}}
    files = {"pool.yaml": head | pool}
    more = {} if engine is None else {"workerPool": "far"}
    for number in range(RUNS):
        spec = {"tool": "script", "script": {"apply": "true"}, **more}
        files[f"s{number}.yaml"] = head | {"kind": "Stack", "metadata": {"name": f"s{number}"}, "spec": spec}
    repository = Repository.create(path)
    repository.commit({name: json.dumps(document).encode() for name, document in files.items()})
    return repository.url
