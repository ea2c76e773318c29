"""Runs the stacks of the demo as Jobs of a Kubernetes API on this machine, and says what each Job was.

`make demo-kubernetes` starts it. The API, its controllers and etcd are real, and so is everything that the pods do. In the
place of nodes and containers a small agent starts each pod's command as a process of this machine.
"""

# ruff: noqa: T201

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from datetime import datetime
from pathlib import Path
from typing import Any

from reconciler.bootstrap import Service, open_service
from reconciler.core.runs import RunStatus
from reconciler.loop.service import utc_now
from reconciler.operations import confirm
from reconciler.settings import Settings
from reconciler.store.stored import RunFilter
from tests.e2e.station import Repo, a_free_port, document
from tests.tools.cluster import Cluster, missing, running_cluster
from tests.tools.node import Node

EXAMPLE = Path(__file__).parents[2] / "examples" / "repo"
FLEET = "/var/tmp/stationkeeper-example"
NAMESPACE, IMAGE = "station-runs", "registry.example.com/station:demo"
SPACES = ("platform", "shop", "billing")


def main() -> int:
    if lacking := missing():
        print(f"{', '.join(lacking)} not installed: run make tools", file=sys.stderr)
        return 1
    with (
        tempfile.TemporaryDirectory(prefix="station-pods-") as scratch,
        running_cluster(_made(scratch, "cluster")) as it,
    ):
        return run(Path(scratch), it)


def run(scratch: Path, cluster: Cluster) -> int:
    cluster.kubectl("create", "namespace", NAMESPACE)
    cluster.kubectl("label", "namespace", NAMESPACE, "pod-security.kubernetes.io/enforce=restricted")
    repo = _repository(scratch)
    listen = f"127.0.0.1:{a_free_port()}"
    settings = Settings(
        config_url=repo.url,
        data_dir=scratch / "data",
        listen=listen,
        worker_url=f"http://{listen}",
        kubernetes_config=cluster.kubeconfig,
        require_sandbox=False,
    )
    node = Node(cluster, NAMESPACE, scratch / "node", frozenset({IMAGE}))
    node.path = f"{Path(sys.executable).parent}:{node.path}"
    node.start()
    try:
        with open_service(settings) as service:
            print(f"the service is at {service.server.url()}, the cluster at {cluster.url}")
            _reconcile(service)
            done = _tell(service, cluster)
            service.server.stop()
            service.loop.dispatcher.close()
        return 0 if done else 1
    finally:
        node.stop()


def _made(scratch: str, name: str) -> Path:
    path = Path(scratch) / name
    path.mkdir()
    return path


def _repository(scratch: Path) -> Repo:
    """Make the demo's repository, with a pool in each space that all its stacks name."""
    repo = Repo(scratch / "repository")
    shutil.copytree(EXAMPLE, repo.path, dirs_exist_ok=True)
    (scratch / "fleet").mkdir()
    pool = {"engine": "kubernetes", "maxParallel": 4, "kubernetes": {"namespace": NAMESPACE, "image": IMAGE}}
    for path in repo.path.rglob("*.yaml"):
        text = path.read_text(encoding="utf-8").replace(FLEET, str(scratch / "fleet"))
        lines = [line for line in text.splitlines() if not line.startswith("  workerPool:")]
        for at in [at for at, line in enumerate(lines) if line.endswith("kind: Stack")]:
            # A blueprint has its stack further to the right.
            indent = " " * (len(lines[at]) - len("kind: Stack"))
            spec = next(number for number in range(at, len(lines)) if lines[number] == f"{indent}spec:")
            lines[spec] = f"{indent}spec:\n{indent}  workerPool: pods"
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    repo.commit(
        {f"{space}/pods.yaml": document("WorkerPool", "pods", pool) for space in SPACES}, "Run the demo in pods"
    )
    return repo


def _reconcile(service: Service) -> None:
    """Let everything run, and confirm what waits for somebody."""
    for _ in range(3):
        service.loop.reconcile()
        with service.store.reading() as reading:
            waiting = reading.list_runs(RunFilter(statuses={RunStatus.UNCONFIRMED}), None, 100)
        for each in waiting:
            print(f"{each.stack} waits for confirmation, and gets it")
            confirm(service.store, each.id, "you", utc_now())
        if not waiting:
            break


def _tell(service: Service, cluster: Cluster) -> bool:
    cluster.kubectl("wait", "job", "--all", "--for=condition=Complete", "--timeout=50s", "-n", NAMESPACE)
    jobs = json.loads(cluster.kubectl("get", "jobs", "-n", NAMESPACE, "-o", "json"))["items"]
    print(f"\n{'JOB':46} {'STACK':22} {'ENDED':9} SECONDS")
    for job in sorted(jobs, key=lambda it: (it["metadata"]["creationTimestamp"], it["metadata"]["name"])):
        name, stack = job["metadata"]["name"], job["metadata"]["annotations"]["stationkeeper.io/stack"]
        print(f"{name:46} {stack:22} {_ended(job):9} {_seconds(job)}")
    with service.store.reading() as reading:
        runs = reading.list_runs(RunFilter(), None, 100)
    print(f"\n{'STACK':22} {'RUN':10} WHY")
    for each in sorted(runs, key=lambda it: str(it.stack)):
        print(f"{each.stack!s:22} {each.status:10} {each.message}")
    secrets = json.loads(cluster.kubectl("get", "secrets", "-n", NAMESPACE, "-o", "json"))["items"]
    print(
        f"\n{len(jobs)} Jobs, and {len(secrets)} Secrets, each with {sorted({key for it in secrets for key in it['data']})}"
    )
    return bool(jobs) and all(each.status is RunStatus.FINISHED for each in runs)


def _ended(job: dict[str, Any]) -> str:
    conditions = job["status"].get("conditions", ())
    return next((it["type"] for it in conditions if it["type"] in {"Complete", "Failed"}), "at work")


def _seconds(job: dict[str, Any]) -> str:
    began, ended = job["status"].get("startTime"), job["status"].get("completionTime")
    if began is None or ended is None:
        return ""
    return f"{(datetime.fromisoformat(ended) - datetime.fromisoformat(began)).total_seconds():.0f}"


if __name__ == "__main__":
    sys.exit(main())
