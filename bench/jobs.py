"""A run as Jobs of a real Kubernetes API, beside two bare Jobs in the same cluster and the same run on this machine.

What remains of the first is what the service adds to the cluster's own time, its program in the pods included. The
nodes are the tests' own: a pod's command is started as a process of this machine.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path

from bench.harness import Figure, Limit, alternate
from bench.repositories import Repository
from reconciler.bootstrap import Service, open_service
from reconciler.core.runs import Run, RunStatus
from reconciler.settings import Settings
from tests.e2e.station import a_free_port
from tests.tools.cluster import Cluster, missing, running_cluster
from tests.tools.node import Node

ROUNDS = 5
ADDED = 0.3
"""Seconds that a run may take longer than its Jobs and its own work do."""
_NAMESPACE, _IMAGE = "station-runs", "registry.example.com/station:bench"
_LOOK = 0.02


def measure(scratch: Path) -> Iterator[Figure]:
    """Apply new script stacks by turns: as Jobs, on this machine, and two Jobs without us."""
    if lacking := missing():
        print(f"{', '.join(lacking)} not installed (make tools): skipped")
        return
    (scratch / "cluster").mkdir()
    with running_cluster(scratch / "cluster") as cluster:
        cluster.kubectl("create", "namespace", _NAMESPACE)
        node = Node(cluster, _NAMESPACE, scratch / "node", frozenset({_IMAGE}))
        node.path = f"{Path(sys.executable).parent}:{node.path}"
        node.start()
        try:
            repository = Repository.create(scratch / "config.git")
            with open_service(_settings(repository.url, scratch / "data", cluster)) as service:
                service.server.url()
                runs = _Runs(repository, service)
                jobs, here, bare = alternate(ROUNDS, runs.as_jobs, runs.here, _Jobs(cluster).two)
                service.server.stop()
                service.loop.dispatcher.close()
        finally:
            node.stop()
    yield Figure("a run as two Jobs", jobs, "s", bare, "two Jobs that do nothing")
    yield Figure("  beyond those and its own work", jobs - here - bare, "s", None, "", ADDED, Limit.AT_MOST)


def _settings(url: str, data_dir: Path, cluster: Cluster) -> Settings:
    listen = f"127.0.0.1:{a_free_port()}"
    return Settings(
        config_url=url,
        data_dir=data_dir,
        poll_interval=3600,
        listen=listen,
        worker_url=f"http://{listen}",
        kubernetes_config=cluster.kubeconfig,
    )


class _Runs:
    def __init__(self, repository: Repository, service: Service) -> None:
        self._repository = repository
        self._service = service
        self._numbers = count(1)
        spec = {"engine": "kubernetes", "kubernetes": {"namespace": _NAMESPACE, "image": _IMAGE}}
        repository.commit({"pods.yaml": _document("WorkerPool", "pods", spec)})

    def as_jobs(self) -> float:
        """Return the seconds of a run as Jobs, from the fetched commit to its recorded end."""
        return self._run({"workerPool": "pods"})

    def here(self) -> float:
        """Return the seconds of such a run on this machine."""
        return self._run({})

    def _run(self, more: dict[str, str]) -> float:
        name = f"s{next(self._numbers)}"
        spec = {"tool": "script", "script": {"apply": "true"}, **more}
        self._repository.commit({f"{name}.yaml": _document("Stack", name, spec)})
        loop = self._service.loop
        loop.look()
        ended: list[tuple[float, RunStatus]] = []

        def note(run: Run) -> None:
            if not run.is_active:
                ended.append((time.perf_counter(), run.status))

        loop.watching = note
        started = time.perf_counter()
        while not ended:
            loop.step(1.0)
        at, status = ended[-1]
        if status is not RunStatus.FINISHED:
            raise AssertionError(f"the run of {name} {status}")
        return at - started


class _Jobs:
    def __init__(self, cluster: Cluster) -> None:
        self._client = cluster.client()
        self._url = f"/apis/batch/v1/namespaces/{_NAMESPACE}/jobs"
        self._numbers = count(1)

    def two(self) -> float:
        """Return the seconds of two Jobs, one after the other, until the cluster knows that each is done."""
        started = time.perf_counter()
        for _ in range(2):
            self._do(f"bare-{next(self._numbers)}")
        return time.perf_counter() - started

    def _do(self, name: str) -> None:
        container = {"name": "it", "image": _IMAGE, "command": ["/bin/true"]}
        # The node expects both, as the pods of runs have them.
        data = {"name": "data", "emptyDir": {}}
        container |= {
            "env": [{"name": "STATION_DATA_DIR", "value": "/data"}],
            "volumeMounts": [{"name": "data", "mountPath": "/data"}],
        }
        pod = {"restartPolicy": "Never", "containers": [container], "volumes": [data]}
        spec = {"backoffLimit": 0, "template": {"spec": pod}}
        body = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": spec}
        self._client.post(self._url, json=body).raise_for_status()
        while not self._client.get(f"{self._url}/{name}").json()["status"].get("succeeded"):
            time.sleep(_LOOK)


def _document(kind: str, name: str, spec: object) -> bytes:
    head = {"apiVersion": "stationkeeper/v1", "kind": kind, "metadata": {"name": name}}
    return json.dumps(head | {"spec": spec}).encode()
