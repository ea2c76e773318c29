"""What monitors the service speaks of metrics that the service has, with labels that they have."""

import json
import re
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from reconciler.gauges import Gauges, StackGauge
from reconciler.metrics import Metrics
from reconciler.settings import Settings
from tests.needs import needs
from tests.tools.cluster import PROGRAMS, Cluster

ROOT = Path(__file__).parents[2]
PROMETHEUS = ROOT / "deploy" / "prometheus"
METRIC = re.compile(r"stationkeeper_[a-z_]+")
SELECTOR = re.compile(r"(stationkeeper_[a-z_]+)\{([^}]*)\}")


def exposed() -> dict[str, set[str]]:
    """Every sample name with its labels, of a service in which everything has happened once."""
    metrics = Metrics()
    stack = StackGauge("s", "n", "script", "Synced", "True", 1, datetime.now(UTC).timestamp(), 0)
    gauges = Gauges(
        "main",
        "r",
        {"Stack": 1},
        {},
        (stack,),
        {("tracked", "queued"): 1},
        {("s", "n"): datetime.now(UTC)},
        {"default": 1},
        {("s", "Stack"): 1},
        datetime.now(UTC),
        {"HistoryRewritten": False},
        {"s": 1},
    )
    metrics.show(lambda: gauges)
    metrics.show_workers(lambda: {("default", "idle"): 1})
    metrics.follow(["url"])
    metrics.fetch_failed("url", 1.0)
    metrics.run_claimed(1.0, "default")
    metrics.phase_ended("tracked", "plan", 1.0)
    metrics.run_ended("s", "n", "tracked", "finished")
    metrics.applied(1.0)
    metrics.pass_ended("success", 1.0, datetime.now(UTC))
    metrics.access_decided("stack:read", allowed=True)
    metrics.policy_decided("plan", "deny")
    return {sample.name: set(sample.labels) for family in metrics.registry.collect() for sample in family.samples}


def expressions() -> list[str]:
    rules = YAML(typ="safe").load(PROMETHEUS / "alerts.yaml")
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


@needs("promtool")
def test_every_alert_fires_when_it_should_and_only_then():
    rules = PROMETHEUS / "alerts.yaml"
    for command in (["check", "rules", rules.name], ["test", "rules", "alerts_test.yaml"]):
        done = subprocess.run(["promtool", *command], cwd=PROMETHEUS, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    cases = YAML(typ="safe").load(PROMETHEUS / "alerts_test.yaml")["tests"]
    tried = {(each["alertname"], bool(each["exp_alerts"])) for case in cases for each in case["alert_rule_test"]}
    names = {rule["alert"] for group in YAML(typ="safe").load(rules)["groups"] for rule in group["rules"]}
    assert tried == {(name, fires) for name in names for fires in (True, False)}


PROMISED = """
build_info config_revision_info{branch,revision} config_documents{kind} config_diagnostics{severity}
held_changes{space,kind} git_fetch_duration_seconds{repository} git_fetch_failures_total{repository}
git_last_fetch_success_timestamp_seconds{repository} access_decisions_total{action,allowed}
stack_info{space,stack,tool,sync,ready} stacks{space,tool,sync} stack_resources{space,stack}
stack_drifted_resources{space,stack} stack_last_applied_timestamp_seconds{space,stack}
runs_total{space,stack,kind,status} runs_active{kind,status} run_duration_seconds{kind,phase} run_queue_depth{pool}
run_queue_wait_seconds{pool} merge_to_applied_seconds reconcile_total{result} halted{reason}
held_since_timestamp_seconds runs_waiting_since_timestamp_seconds{space,stack} reconcile_duration_seconds
reconcile_last_success_timestamp_seconds policy_decisions_total{type,result} workers{pool,state}
"""
"""What dashboards of users ask for. More may come, and none of these may go or get another name or label."""


def test_every_metric_that_dashboards_may_rely_on_is_there_with_its_labels():
    samples = exposed()
    for name, labels in re.findall(r"(\w+)(?:\{([\w,]+)\})?", PROMISED):
        found = samples.get(f"stationkeeper_{name}", samples.get(f"stationkeeper_{name}_count"))
        assert found == (set(labels.split(",")) - {""} | ({"version"} if name == "build_info" else set())), name


KUBERNETES = ROOT / "deploy" / "kubernetes"


def test_what_starts_the_service_sets_settings_that_exist_and_waits_longer_than_it_drains():
    compose = YAML(typ="safe").load(ROOT / "deploy" / "compose.yaml")["services"]["station"]
    base = dict(line.split("=", 1) for line in (KUBERNETES / "station.env").read_text().splitlines())
    pod = YAML(typ="safe").load(KUBERNETES / "statefulset.yaml")["spec"]["template"]["spec"]
    for given in (compose["environment"], base):
        named = {name.removeprefix("STATION_").lower(): value for name, value in given.items()}
        assert named.keys() <= Settings.model_fields.keys()
        plain = {name: value for name, value in named.items() if "$" not in str(value)}
        assert Settings.model_validate(plain).drain_timeout == 3600
    assert compose["stop_grace_period"] == "65m"
    assert pod["terminationGracePeriodSeconds"] > 3600
    mounts = {each["mountPath"] for each in pod["containers"][0]["volumeMounts"]}
    assert mounts == {"/data", "/seen", "/secrets", "/tmp"}
    assert {each.partition(":")[0] for each in compose["volumes"]} >= {"data", "seen"}


@pytest.mark.xdist_group("kubernetes")
@needs(*PROGRAMS)
def test_a_cluster_takes_the_manifests(cluster: Cluster):
    cluster.kubectl("apply", "--server-side", "--kustomize", str(KUBERNETES))
    found = cluster.kubectl("--namespace", "stationkeeper", "get", "statefulset,service,networkpolicy", "-o", "name")
    assert sorted(line.rpartition("/")[2] for line in found.split()) == ["station"] * 3
    # What is refused at admission never becomes a pod: the same template as one.
    template = json.loads(
        cluster.kubectl("--namespace", "stationkeeper", "get", "statefulset", "station", "-o", "json")
    )
    spec = template["spec"]["template"]["spec"]
    claims = [{"name": name, "emptyDir": {}} for name in ("data", "seen")]
    spec["volumes"] += claims
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "station-check"}, "spec": spec}
    cluster.kubectl("--namespace", "stationkeeper", "create", "-f", "-", "--dry-run=server", stdin=json.dumps(pod))


def test_the_files_of_the_systemd_unit_are_explained():
    unit = (ROOT / "deploy" / "systemd" / "station.service").read_text()
    named = {path.removesuffix("/data") for path in re.findall(r"=-?(/[\w./-]+)", unit)}
    install = (ROOT / "docs" / "install.md").read_text()
    assert len(named) >= 3
    assert {path for path in named if path not in install} == set()
