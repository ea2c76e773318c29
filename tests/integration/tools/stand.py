"""A stack of Kubernetes to try things with: its namespace, its source, and what it leaves in the cluster."""

from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from reconciler.core.results import Applied, Planned
from reconciler.tools.base import ToolJob
from reconciler.tools.registry import tool
from tests.tools.cluster import Cluster

_numbers = itertools.count(1)


class Stand:
    """A stack with a namespace of its own in the cluster, and a source to write."""

    def __init__(self, place: Any, cluster: Cluster, binary: str) -> None:
        self.place, self.cluster = place, cluster
        self.namespace = f"stand-{next(_numbers)}"
        self.job = ToolJob(
            binary,
            place.work,
            place.scratch,
            {"namespace": self.namespace, "wait": 0},
            env={"KUBECONFIG": str(cluster.kubeconfig)},
            stack=f"root/{self.namespace}",
        )
        place.do.environment["KUBECONFIG"] = str(cluster.kubeconfig)
        self.tool = tool("kubernetes")
        self.client = cluster.client()
        self.client.post("/api/v1/namespaces", json={"metadata": {"name": self.namespace}}).raise_for_status()

    def write(self, **files: str) -> None:
        for path in self.place.work.rglob("*.yaml"):
            path.unlink()
        for name, text in files.items():
            file = self.place.work / f"{name.replace('__', '/')}.yaml"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)

    def plan(self, **options: Any) -> Planned:
        self.job = replace(self.job, options={**self.job.options, **options})
        self.tool.init(self.job, self.place.do)
        return self.tool.plan(self.job, self.place.do)

    def apply(self, **options: Any) -> Applied:
        self.plan(**options)
        return self.tool.apply(self.job, self.place.do)

    def apply_planned(self, **options: Any) -> Planned:
        planned = self.plan(**options)
        self.tool.apply(self.job, self.place.do)
        return planned

    def destroy(self) -> Planned:
        self.job = replace(self.job, destroy=True)
        planned = self.plan()
        self.tool.apply(self.job, self.place.do)
        return planned

    def kubectl(self, *arguments: str, stdin: str = "") -> str:
        return self.cluster.kubectl(f"--namespace={self.namespace}", *arguments, stdin=stdin)

    def config_maps(self) -> dict[str, dict[str, str]]:
        """Return those of the stack by name, each with its data."""
        items = self.client.get(f"/api/v1/namespaces/{self.namespace}/configmaps").json()["items"]
        return {
            item["metadata"]["name"]: item.get("data", {})
            for item in items
            if not item["metadata"]["name"].startswith("kube-root-ca")
        }

    def names(self) -> list[str]:
        return sorted(name for name in self.config_maps() if not name.startswith("stationkeeper."))

    def inventory(self) -> list[str]:
        name = f"stationkeeper.{self.job.stack.replace('/', '.')}"
        entries = json.loads(self.config_maps()[name]["objects.json"])
        return sorted(f"{entry['kind']}/{entry['name']}" for entry in entries)


@pytest.fixture
def stand(place: Any, cluster: Cluster) -> Iterator[Stand]:
    it = Stand(place, cluster, shutil.which("kubectl") or "")
    yield it
    it.client.close()
