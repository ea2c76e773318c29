"""The Kubernetes API that the tests start is a real one, with controllers behind it, and stops when they are done."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.tools.cluster import Cluster, lives, missing, running_cluster

pytestmark = [
    pytest.mark.xdist_group("kubernetes"),
    pytest.mark.skipif(bool(missing()), reason=f"{', '.join(missing())} not on PATH; `make tools` builds them"),
]


def _wait_for(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_it_is_ready_and_has_its_namespaces(cluster: Cluster) -> None:
    with cluster.client() as client:
        assert client.get("/readyz").text == "ok"
    names = cluster.kubectl("get", "namespaces", "--output=name").split()
    assert {"namespace/default", "namespace/kube-system"} <= set(names)


def test_nobody_gets_in_without_the_token(cluster: Cluster) -> None:
    with cluster.client() as client:
        assert client.get("/api/v1/namespaces", headers={"Authorization": "Bearer wrong"}).status_code == 401


def test_controllers_act_on_what_is_applied(cluster: Cluster) -> None:
    cluster.kubectl("create", "namespace", "shop")
    cluster.kubectl("create", "deployment", "web", "--namespace=shop", "--image=example.invalid/web", "--replicas=2")
    pods = ("get", "pods", "--namespace=shop", "--output=name")
    _wait_for(lambda: len(cluster.kubectl(*pods).split()) == 2)
    cluster.kubectl("delete", "namespace", "shop", "--timeout=60s")
    assert "namespace/shop" not in cluster.kubectl("get", "namespaces", "--output=name").split()


def test_two_run_beside_each_other_and_stop(cluster: Cluster, tmp_path: Path) -> None:
    with running_cluster(tmp_path) as other:
        other.kubectl("create", "namespace", "only-here")
        assert "only-here" not in cluster.kubectl("get", "namespaces", "--output=name")
        assert all(lives(it.pid) for it in other.programs)
    assert not any(lives(it.pid) for it in other.programs)
