"""Runs on a worker, beside the same runs on the service's own machine: CPU and requests of the contract, and time."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import httpx

from bench.harness import Figure, Limit
from bench.installations import Installation, installation
from bench.repositories import Repository
from reconciler.core.state import Sync
from reconciler.engine.local import LocalEngine
from reconciler.engine.placing import Machine
from reconciler.web.tokens import operator_token
from reconciler.worker.service import Service
from reconciler.worker.worker import Worker

RUNS, PLACES = 40, 4


def measure(scratch: Path) -> Iterator[Figure]:
    """Apply script stacks with four places, in this process but for the runs themselves; service and worker count."""
    here = _measure(scratch / "here", None)
    there = _measure(scratch / "there", "far")
    cpu = (there[0] - here[0]) / RUNS
    yield Figure("what a run on a worker takes more CPU", cpu, "s", None, "service and worker", 0.1, Limit.AT_MOST)
    yield Figure("  requests of it", there[2] / RUNS, "", None, "its plan and its apply", 10, Limit.AT_MOST)
    yield Figure("  until it has ended", there[1] / RUNS * 1e3, "ms", here[1] / RUNS * 1e3, "on the service's machine")


def _measure(folder: Path, pool: str | None) -> tuple[float, float, int]:
    """Return the CPU and the seconds until all is applied, and how many requests the worker made meanwhile."""
    folder.mkdir()
    with installation(_repository(folder / "config.git", pool), folder / "data", PLACES) as opened:
        service = opened.service
        requests: list[httpx.Request] = []
        worker = None if pool is None else _worker(folder / "worker", service.server.url(), folder / "data", requests)
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
    service = Service(url, operator_token(data_dir), trust_env=False)
    service.client.event_hooks["request"].append(requests.append)
    return Worker("root/far", "bench", PLACES, service, LocalEngine(directory), Machine(directory, "/usr/bin:/bin"))


def _repository(path: Path, pool: str | None) -> str:
    head = {"apiVersion": "stationkeeper/v1"}
    files = {"pool.yaml": head | {"kind": "WorkerPool", "metadata": {"name": "far"}, "spec": {"engine": "pull"}}}
    more = {} if pool is None else {"workerPool": pool}
    for number in range(RUNS):
        spec = {"tool": "script", "script": {"apply": "true"}, **more}
        files[f"s{number}.yaml"] = head | {"kind": "Stack", "metadata": {"name": f"s{number}"}, "spec": spec}
    repository = Repository.create(path)
    repository.commit({name: json.dumps(document).encode() for name, document in files.items()})
    return repository.url
