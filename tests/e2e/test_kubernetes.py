"""Runs as Jobs of a real Kubernetes API, with a node of the tests' own: what is applied, and what fails how."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.forked import Forked, Nursery
from tests.e2e.station import Repo, Server, Station, a_free_port, a_script, document, eventually, lines
from tests.e2e.test_workers import run_of, slow, statuses
from tests.needs import needs
from tests.tools.cluster import PROGRAMS, Cluster
from tests.tools.node import Node

pytestmark = [needs(*PROGRAMS), pytest.mark.xdist_group("kubernetes")]

DEPLOY = Path(__file__).parents[2] / "deploy" / "kubernetes" / "runs"
RUNS = "station-runs"
IMAGE = "registry.example.com/station:1"


def pool(name: str = "pods", **kubernetes: Any) -> str:
    return document(
        "WorkerPool", name, {"engine": "kubernetes", "kubernetes": {"namespace": RUNS, "image": IMAGE} | kubernetes}
    )


@pytest.fixture
def kubeconfig(cluster: Cluster, tmp_path: Path) -> Path:
    """What the service gets: the Role of `deploy/`, and nothing else."""
    cluster.kubectl(
        "apply", "-f", "-", stdin='{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "stationkeeper"}}'
    )
    cluster.kubectl("apply", "-k", str(DEPLOY))
    eventually(lambda: "default" in cluster.kubectl("get", "serviceaccounts", "-n", RUNS, "-o", "name"))
    token = cluster.kubectl("create", "token", "station", "-n", "stationkeeper").strip()
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "it",
        "contexts": [{"name": "it", "context": {"cluster": "it", "user": "station"}}],
        "clusters": [
            {"name": "it", "cluster": {"server": cluster.url, "certificate-authority": str(cluster.authority)}}
        ],
        "users": [{"name": "station", "user": {"token": token}}],
    }
    path = tmp_path / "kubeconfig"
    path.write_text(json.dumps(config))
    return path


@pytest.fixture
def node(cluster: Cluster, kubeconfig: Path, tmp_path: Path, nursery: Nursery) -> Iterator[Node]:
    def fork(command: list[str], env: dict[str, str], directory: Path, log: Path) -> Forked:
        with log.open("ab") as out, Path(os.devnull).open("rb") as nothing:
            return Forked(nursery.address, command[1:], directory, env, [nothing.fileno(), out.fileno(), out.fileno()])

    node = Node(cluster, RUNS, tmp_path / "node", frozenset({IMAGE}), fork)
    node.start()
    yield node
    cluster.kubectl("delete", "jobs", "--all", "-n", RUNS, "--wait=false")
    node.stop()


@pytest.fixture
def station(repo: Repo, new_station: Callable[..., Station], kubeconfig: Path) -> Station:
    listen = f"127.0.0.1:{a_free_port()}"
    more = {"listen": listen, "worker_url": f"http://{listen}", "kubernetes_config": kubeconfig}
    return new_station(repo.url, worker_lease=20, grace_period=3, parallelism=1, **more)


def jobs(cluster: Cluster) -> dict[str, str]:
    """The Jobs by the end of their names, with how each ended."""
    found = json.loads(cluster.kubectl("get", "jobs", "-n", RUNS, "-o", "json"))["items"]
    return {
        each["metadata"]["name"].split("-", 2)[2]: next(
            (it["type"] for it in each["status"].get("conditions", ()) if it["type"] in {"Complete", "Failed"}),
            "at work",
        )
        for each in found
    }


@pytest.mark.fault("service killed", engine="kubernetes")
@pytest.mark.fault("API server gone", engine="kubernetes")
@pytest.mark.fault("double delivery", engine="kubernetes")
def test_a_run_is_two_jobs_whatever_is_killed_meanwhile_and_nothing_secret_is_in_them(
    repo: Repo, station: Station, cluster: Cluster, node: Node, tmp_path: Path
) -> None:
    seen, secret = tmp_path / "seen", tmp_path / "secrets" / "root" / "password"
    secret.parent.mkdir(parents=True)
    secret.write_text("hunter2-hunter2\n")
    secret.chmod(0o600)
    station.settings["secrets_dir"] = tmp_path / "secrets"
    # Each pod is started twice at once: whoever comes second has nothing to do.
    node.starts = 2
    spec = {"env": {"PASSWORD": {"file": "password"}}, "source": {"path": "code"}, "workerPool": "pods"}
    apply = f'{slow(tmp_path)}; cat message made >> {seen}; echo "log: $PASSWORD"'
    plan = "echo made > made; exit 2"
    repo.commit({"p.yaml": pool(), "a.yaml": a_script("a", apply, plan=plan, **spec), "code/message": "from Git\n"})
    with station.serving() as server:
        eventually(lambda: lines(seen) == ["began"], 90)
        run = run_of(server)["id"]
        server.kill()
    found = cluster.kubectl("get", "jobs,pods,secrets,events", "-n", RUNS, "-o", "json")
    secrets = json.loads(cluster.kubectl("get", "secrets", "-n", RUNS, "-o", "json"))["items"]
    assert {name for each in secrets for name in each["data"]} == {"token"}
    tokens = [path.read_text() for path in node.folder.glob("*/station-leg/token")]
    assert len(tokens) == 2
    assert not any(each in found for each in ("hunter2", *tokens))
    # First the API hangs, then it dies: what runs goes on without it.
    os.kill(cluster.api_server.pid, signal.SIGSTOP)
    try:
        with station.serving() as server:
            eventually(lambda: server.all_synced(1))
            assert lines(seen) == ["began", "ended", "from Git", "made"]
            assert "log: ***" in server.api(f"/runs/{run}/log")["text"]
    finally:
        cluster.api_server.kill()
        cluster.api_server.start()
    eventually(lambda: jobs(cluster) == {"1-plan": "Complete", "1-apply": "Complete"})
    assert node.log().count("there is nothing to do") == 2
    assert "hunter2" not in node.log()


def test_what_keeps_a_pod_from_beginning_is_said_while_it_waits_and_when_it_fails(
    repo: Repo, station: Station, cluster: Cluster, node: Node
) -> None:
    limits = {"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "small"}}
    limits["spec"] = {"limits": [{"type": "Container", "max": {"cpu": "1"}}]}
    cluster.kubectl("apply", "-n", RUNS, "-f", "-", stdin=json.dumps(limits))
    pools = {
        "image": pool("image", image="registry.example.com/none:1", startSeconds=10),
        "place": pool("place", nodeSelector={"disk": "ssd"}, startSeconds=10),
        "size": pool("size", resources={"limits": {"cpu": "8"}}, startSeconds=10),
        "right": pool("right", namespace="kube-system", startSeconds=10),
    }
    words = {
        "image": 'its pod does not start: ImagePullBackOff: Back-off pulling image "registry.example.com/none:1"',
        "place": "its pod is not scheduled: Unschedulable: 0/1 nodes fit",
        "size": "the cluster makes no pod: FailedCreate: .*maximum cpu usage per Container is 1",
        "right": "the cluster refuses what the service needs: jobs.batch is forbidden.*kube-system",
    }
    stacks = {f"{name}-stack.yaml": a_script(name, "true", workerPool=name) for name in pools}
    repo.commit({f"{name}.yaml": text for name, text in pools.items()} | stacks)

    def told(server: Server, status: str) -> dict[str, str]:
        return {
            str(run["stack"]).partition("/")[2]: str(run["message"]) for run in server.runs() if run["status"] == status
        }

    def all_told(server: Server, status: str) -> bool:
        found = told(server, status)
        return found.keys() >= words.keys() and all(re.match(words[name], found[name]) for name in words)

    try:
        with station.serving() as server:
            eventually(lambda: all_told(server, "planning"))
            eventually(lambda: all_told(server, "failed"))
            assert {run["reason"] for run in server.runs() if run["status"] == "failed"} == {"NeverStarted"}
    finally:
        cluster.kubectl("delete", "limitrange", "small", "-n", RUNS)


@pytest.mark.fault("cancel", engine="kubernetes")
def test_a_canceled_run_stops_its_tool_and_its_job_goes(
    repo: Repo, station: Station, cluster: Cluster, node: Node, tmp_path: Path
) -> None:
    seen = tmp_path / "seen"
    repo.commit({"p.yaml": pool(), "a.yaml": a_script("a", slow(tmp_path, 60), workerPool="pods")})
    with station.serving() as server:
        eventually(lambda: lines(seen) == ["began"], 90)
        server.api(f"/runs/{run_of(server)['id']}/cancel", "POST")
        eventually(lambda: statuses(server) == ["failed"])
        assert lines(seen) == ["began", "stopped"]
        eventually(lambda: jobs(cluster) == {"1-plan": "Complete"})


@pytest.mark.fault("late worker", engine="kubernetes")
def test_a_pod_that_comes_back_late_has_stopped_its_tool_and_nobody_hears_it(
    repo: Repo, station: Station, node: Node, tmp_path: Path
) -> None:
    seen = tmp_path / "seen"
    station.settings["worker_lease"] = 4
    repo.commit({"p.yaml": pool(), "a.yaml": a_script("a", slow(tmp_path, 60), workerPool="pods")})
    with station.serving() as server:
        eventually(lambda: lines(seen) == ["began"], 90)
        node.signal(signal.SIGSTOP)
        eventually(lambda: lines(seen) == ["began", "stopped"])
        eventually(lambda: statuses(server) == ["interrupted"], 60)
        node.signal(signal.SIGCONT)
        eventually(lambda: "not this worker's any more" in node.log())
        assert statuses(server) == ["interrupted"]
        assert lines(seen) == ["began", "stopped"]


@pytest.mark.parametrize("leg", ["plan", "apply"])
@pytest.mark.fault("worker killed", engine="kubernetes")
def test_a_lost_node_is_a_lost_worker(repo: Repo, station: Station, node: Node, tmp_path: Path, leg: str) -> None:
    seen = tmp_path / "seen"
    station.settings["worker_lease"] = 4
    # The first time it takes for ever.
    wait = f"test -e {seen} && exit 2; echo began >> {seen}; sleep 300"
    commands = {"plan": wait} if leg == "plan" else {"apply": slow(tmp_path, 300)}
    repo.commit(
        {"p.yaml": pool(), "a.yaml": a_script("a", commands.pop("apply", "true"), workerPool="pods", **commands)}
    )
    with station.serving() as server:
        eventually(lambda: lines(seen) == ["began"], 90)
        node.lose()
        if leg == "plan":
            eventually(lambda: server.all_synced(1), 90)
        else:
            eventually(lambda: statuses(server) == ["interrupted"], 60)
            assert "has not been heard of" in str(run_of(server)["message"])
        assert lines(seen) == ["began"]


def test_a_pod_that_is_killed_says_how_it_ended(repo: Repo, station: Station, node: Node, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    station.settings["worker_lease"] = 120
    repo.commit({"p.yaml": pool(), "a.yaml": a_script("a", slow(tmp_path, 300), workerPool="pods")})
    with station.serving() as server:
        eventually(lambda: lines(seen) == ["began"], 90)
        node.kill()
        eventually(lambda: statuses(server) == ["interrupted"], 60)
        assert run_of(server)["message"] == "its pod ended: Error (exit code 9)"
