from __future__ import annotations

from datetime import UTC, datetime

from prometheus_client.parser import text_string_to_metric_families

from reconciler.gauges import Gauges, StackGauge
from reconciler.metrics import Metrics
from reconciler.run_counts import EXPECTED_ENDS

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)


def lines(metrics: Metrics) -> list[str]:
    return b"".join(metrics.expose()).decode().splitlines()


def test_what_happened_is_counted() -> None:
    metrics = Metrics()
    metrics.fetched("root/infra", 0.2, NOW)
    metrics.fetch_failed("root/infra", 3)
    metrics.run_claimed(2, "default")
    metrics.phase_ended("tracked", "apply", 40)
    metrics.run_ended("production", "network", "tracked", "finished")
    metrics.applied(70)
    metrics.pass_ended("success", 0.004, NOW)
    metrics.pass_ended("failure", 0.004, NOW)
    shown = lines(metrics)
    for line in (
        'stationkeeper_git_fetch_duration_seconds_count{repository="root/infra"} 2.0',
        'stationkeeper_git_fetch_failures_total{repository="root/infra"} 1.0',
        'stationkeeper_git_last_fetch_success_timestamp_seconds{repository="root/infra"} 1.7723664e+09',
        'stationkeeper_run_queue_wait_seconds_sum{pool="default"} 2.0',
        'stationkeeper_run_duration_seconds_bucket{kind="tracked",le="60.0",phase="apply"} 1.0',
        'stationkeeper_run_duration_seconds_bucket{kind="tracked",le="30.0",phase="apply"} 0.0',
        'stationkeeper_runs_total{kind="tracked",space="production",stack="network",status="finished"} 1.0',
        "stationkeeper_merge_to_applied_seconds_sum 70.0",
        'stationkeeper_reconcile_total{result="success"} 1.0',
        'stationkeeper_reconcile_total{result="failure"} 1.0',
        "stationkeeper_reconcile_duration_seconds_count 2.0",
        "stationkeeper_reconcile_last_success_timestamp_seconds 1.7723664e+09",
    ):
        assert line in shown


def test_a_clock_that_was_set_back_counts_as_nothing() -> None:
    metrics = Metrics()
    metrics.applied(-5)
    metrics.run_claimed(-5, "default")
    assert "stationkeeper_merge_to_applied_seconds_sum 0.0" in lines(metrics)


def test_gauges_are_read_at_every_scrape() -> None:
    metrics = Metrics()
    stacks: list[StackGauge] = []
    metrics.show(lambda: Gauges(stacks=tuple(stacks)))
    assert not any(line.startswith("stationkeeper_stack_info{") for line in lines(metrics))
    stacks.append(StackGauge("production", "network", "script", "Synced", "True", 3, NOW.timestamp()))
    assert 'stationkeeper_stack_resources{space="production",stack="network"} 3.0' in lines(metrics)


def test_gauges_that_cannot_be_read_are_left_out_and_the_rest_is_there() -> None:
    metrics = Metrics()
    metrics.show(lambda: None)
    shown = lines(metrics)
    assert any(line.startswith("stationkeeper_build_info") for line in shown)
    assert not any(line.startswith("stationkeeper_stacks") for line in shown)


def test_two_services_in_one_process_do_not_meet() -> None:
    one, two = Metrics(), Metrics()
    one.pass_ended("success", 1, NOW)
    assert 'stationkeeper_reconcile_total{result="success"} 1.0' not in lines(two)


def test_a_label_cannot_break_out_of_its_line() -> None:
    metrics = Metrics()
    metrics.fetch_failed('a"} 1\nevil 2', 0)
    assert not any(line.startswith("evil") for line in lines(metrics))


def test_counters_begin_at_0_before_anything_happens() -> None:
    metrics = Metrics()
    metrics.expect_decisions(["stack:read"])
    metrics.expect_verdicts({"plan": ["deny", "error"]})
    metrics.follow(["root/infra", "root/modules"])
    metrics.show(Gauges, lambda: [("production", "network")])
    shown = lines(metrics)
    for line in (
        'stationkeeper_access_decisions_total{action="stack:read",allowed="false"} 0.0',
        'stationkeeper_policy_decisions_total{result="error",type="plan"} 0.0',
        'stationkeeper_git_fetch_failures_total{repository="root/infra"} 0.0',
        'stationkeeper_git_last_fetch_success_timestamp_seconds{repository="root/infra"} 0.0',
        'stationkeeper_reconcile_total{result="halted"} 0.0',
        'stationkeeper_runs_total{kind="tracked",space="production",stack="network",status="failed"} 0.0',
        'stationkeeper_runs_total{kind="destroy",space="production",stack="network",status="interrupted"} 0.0',
        "stationkeeper_merge_to_applied_seconds_count 0.0",
    ):
        assert line in shown
    assert not [line for line in shown if "_created" in line], "a series that nobody asked for beside each counter"


def test_runs_are_counted_from_one_scrape_to_the_next() -> None:
    metrics, stacks = Metrics(), [("a", "one"), ("a", "two")]
    metrics.show(Gauges, lambda: stacks)

    def counted() -> dict[str, float]:
        """Return the counts that are not 0, after a check that each stack in force has all that is expected."""
        families = {family.name: family for family in text_string_to_metric_families("\n".join(lines(metrics)) + "\n")}
        samples = families["stationkeeper_runs"].samples
        found = {(it.labels["space"], it.labels["stack"], it.labels["kind"], it.labels["status"]) for it in samples}
        assert len(found) == len(samples)
        assert {
            (*stack, kind, end) for stack in stacks for kind, ends in EXPECTED_ENDS.items() for end in ends
        } <= found
        return {
            "/".join(it.labels[name] for name in ("stack", "kind", "status")): it.value for it in samples if it.value
        }

    assert counted() == {}
    metrics.run_ended("a", "one", "tracked", "finished")
    metrics.run_ended("a", "two", "proposed", "finished")
    assert counted() == {"one/tracked/finished": 1, "two/proposed/finished": 1}
    metrics.run_ended("a", "one", "tracked", "finished")
    # What was counted stays when the stack has left, and is there with all the rest when it comes back.
    del stacks[0]
    assert counted() == {"one/tracked/finished": 2, "two/proposed/finished": 1}
    stacks.append(("a", "one"))
    assert counted() == {"one/tracked/finished": 2, "two/proposed/finished": 1}


def test_a_repository_that_is_no_longer_followed_is_not_told_of() -> None:
    metrics = Metrics()
    metrics.follow(["root/infra", "root/modules"])
    metrics.fetched("root/infra", 0.1, NOW)
    metrics.follow(["root/modules"])
    assert not [line for line in lines(metrics) if "root/infra" in line]
