"""What monitors the service speaks of metrics that the service has, with labels that they have."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path

from ruamel.yaml import YAML

from reconciler.metrics import Gauges, Metrics, StackGauge

ROOT = Path(__file__).parents[2]
METRIC = re.compile(r"stationkeeper_[a-z_]+")
SELECTOR = re.compile(r"(stationkeeper_[a-z_]+)\{([^}]*)\}")


def exposed() -> dict[str, set[str]]:
    """Every sample name with its labels, of a service in which everything has happened once."""
    metrics = Metrics()
    stack = StackGauge("s", "n", "script", "Synced", "True", 1, None)
    gauges = Gauges("main", "r", {"Stack": 1}, {}, (stack,), {("tracked", "queued"): 1}, {"default": 1})
    metrics.show(lambda: gauges)
    metrics.fetch_failed("url", 1.0)
    metrics.run_claimed(1.0)
    metrics.phase_ended("tracked", "plan", 1.0)
    metrics.run_ended("s", "n", "tracked", "finished")
    metrics.applied(1.0)
    metrics.pass_ended("success", 1.0, datetime.now(UTC))
    return {sample.name: set(sample.labels) for family in metrics.registry.collect() for sample in family.samples} | {
        "stationkeeper_git_last_fetch_success_timestamp_seconds": {"repository"}
    }


def expressions() -> list[str]:
    rules = YAML(typ="safe").load(ROOT / "deploy" / "prometheus" / "alerts.yaml")
    board = json.loads((ROOT / "deploy" / "grafana" / "dashboard.json").read_text())
    found = [rule["expr"] for group in rules["groups"] for rule in group["rules"]]
    return found + [target["expr"] for panel in board["panels"] for target in panel["targets"]]


def test_only_metrics_that_exist_are_asked_for():
    samples, found = exposed(), expressions()
    assert found
    for expression in found:
        names = METRIC.findall(expression)
        assert names, expression
        assert not set(names) - samples.keys(), expression
        for name, selector in SELECTOR.findall(expression):
            assert set(re.findall(r"(\w+)\s*(?:=|!)", selector)) <= samples[name], expression
