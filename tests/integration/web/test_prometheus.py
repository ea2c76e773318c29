"""A real Prometheus scrapes a service, and every query of the dashboard and of the alert rules has something to say."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from ruamel.yaml import YAML

from reconciler.core.state import Sync
from reconciler.metrics import Metrics
from reconciler.store.sql import SqlStore
from reconciler.web.ports import Ports
from reconciler.web.server import HttpServer
from spaces.effective.rollouts import RolloutRule
from spaces.names import SpaceName
from tests.factories import NOW, REVISION, a_desired, a_stack
from tests.integration.web.pages.fleet import documents, put_fleet
from tests.needs import needs

pytestmark = [needs("prometheus"), pytest.mark.slow]

_DEPLOY = Path(__file__).parents[3] / "deploy"
_COMPARES = re.compile(r"(?<![<>=!~])(==|!=|>=|<=|>|<)(?= )")
_PATIENCE = 30.0


@pytest.fixture
def ports(ports: Ports, store: SqlStore) -> Ports:
    """A service in which everything has happened once."""
    put_fleet(store)
    with store.writing() as transaction:
        state = transaction.configuration()
        transaction.put_configuration(replace(state, branch="main", admitted_revision=REVISION))
        rule = RolloutRule(SpaceName("production"), most=1, failures=1, canaries=False)
        waits = a_stack("production/later", desired=a_desired(rollout=rule), sync=Sync.OUT_OF_SYNC)
        transaction.put_stacks([waits.evolve(turn="it waits for its turn")])
    there, metrics = documents(), Metrics()
    metrics.show_workers(lambda: {("default", "idle"): 1, ("default", "busy"): 1})
    metrics.follow(["config"])
    metrics.fetched("config", 0.1, NOW)
    metrics.fetch_failed("config", 1.0)
    metrics.run_claimed(1.0, "default")
    metrics.phase_ended("tracked", "plan", 1.0)
    metrics.run_ended("production", "network", "tracked", "finished")
    metrics.applied(1.0)
    metrics.pass_ended("success", 1.0, NOW)
    return replace(ports, metrics=metrics, holder="here", documents=lambda: there)


@pytest.fixture
def prometheus(server: HttpServer, tmp_path: Path) -> Iterator[httpx.Client]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    target = server.url.removeprefix("http://")
    config = {
        "global": {"scrape_interval": "250ms", "scrape_timeout": "250ms"},
        "rule_files": [str(_DEPLOY / "prometheus" / "alerts.yaml")],
        "scrape_configs": [{"job_name": "stationkeeper", "static_configs": [{"targets": [target]}]}],
    }
    (tmp_path / "prometheus.yml").write_text(json.dumps(config), encoding="utf-8")
    options = [
        f"--config.file={tmp_path / 'prometheus.yml'}",
        f"--storage.tsdb.path={tmp_path / 'tsdb'}",
        f"--web.listen-address={address}",
        "--log.level=error",
    ]
    with subprocess.Popen(["prometheus", *options], stderr=subprocess.PIPE) as process:
        try:
            with httpx.Client(base_url=f"http://{address}") as client:
                yield client
        finally:
            process.terminate()


def queries() -> list[str]:
    """Every query of the dashboard as it is; of the rules what they compare, which has a value also while none fires."""
    board = json.loads((_DEPLOY / "grafana" / "dashboard.json").read_text(encoding="utf-8"))
    rules = YAML(typ="safe").load(_DEPLOY / "prometheus" / "alerts.yaml")
    written = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    for rule in (rule for group in rules["groups"] for rule in group["rules"]):
        # Both sides of `unless` and `and`; and what is not absent.
        sides = re.split(r" (?:unless|and)(?: on \([\w, ]+\))? ", rule["expr"])
        written += [side.removeprefix("absent(").removesuffix(")") if "absent(" in side else side for side in sides]
    return [_COMPARES.sub(r"\1 bool", each).replace("$space", ".*").replace("$stack", ".*") for each in written]


def ask(client: httpx.Client, query: str) -> list[object]:
    try:
        answer = client.get("/api/v1/query", params={"query": query})
    except httpx.TransportError:
        return []
    if answer.status_code == 503:
        return []  # it is starting
    said = answer.json()
    assert said["status"] == "success", (query, said)
    found: list[object] = said["data"]["result"]
    return found


def test_every_query_of_the_dashboard_and_of_the_rules_returns_a_series(prometheus: httpx.Client) -> None:
    waiting, end = queries(), time.monotonic() + _PATIENCE
    assert len(waiting) > 30
    while waiting and time.monotonic() < end:
        waiting = [query for query in waiting if not ask(prometheus, query)]
        time.sleep(0.1)
    assert waiting == []
    (info,) = ask(prometheus, 'stationkeeper_stack_info{stack="base"}')
    assert isinstance(info, dict)
    assert (info["metric"]["space"], info["metric"]["job"]) == ("production", "stationkeeper")
    # The rules are loaded, and none that is about the service itself fires.
    alerts = prometheus.get("/api/v1/alerts").json()["data"]["alerts"]
    firing = {alert["labels"]["alertname"] for alert in alerts if alert["state"] == "firing"}
    assert not firing & {"StationDown", "StationHalted"}
