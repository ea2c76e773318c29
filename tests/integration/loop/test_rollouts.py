"""Rollouts over real runs: canaries first, a failure pauses the rest, and a person resumes it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from reconciler import rollouts
from reconciler.loop.service import utc_now
from reconciler.refusals import OperationRefused
from reconciler.web.gauges import read_gauges
from spaces.names import SpaceName
from tests.e2e.station import Repo, a_script, document, lines
from tests.integration.loop.machine import Machine

ROOT = SpaceName("root")
RULE = {"maxParallel": 2, "pauseAfterFailures": 1, "canary": {"matchLabels": {"ring": "first"}}}


def fleet(ran: Path, words: str, bad: str = "") -> dict[str, str]:
    """Give stacks a to f: b depends on nothing and goes first, and it needs f."""
    files = {"space.yaml": document("Space", "root", {"rollout": RULE})}
    for name in "abcdef":
        apply = f"echo {name} {words} >> {ran}" if name not in bad else f"echo {name} {words} >> {ran}; false"
        extra = {"labels": {"ring": "first"}} if name == "b" else {}
        needs = {"dependsOn": ["f"]} if name == "b" else {}
        files[f"{name}.yaml"] = a_script(name, apply, **extra, **needs)
    return files


def paused(machine: Machine) -> Mapping[str, int]:
    """Return what the metric says."""
    gauges = read_gauges(machine.service.store, "one", utc_now())
    assert gauges is not None
    return gauges.paused


def test_canaries_go_first_a_failure_pauses_the_rest_and_a_person_resumes_it(
    repo: Repo, machine: Machine, ran: Path
) -> None:
    repo.commit(fleet(ran, "one"))
    machine.reconcile()
    assert lines(ran)[:2] == ["f one", "b one"], "the canary, after what it depends on"
    assert sorted(lines(ran)) == [f"{name} one" for name in "abcdef"]
    ran.unlink()
    repo.commit(fleet(ran, "two", bad="b"))
    look = machine.reconcile()
    assert lines(ran) == ["f two", "b two"]
    assert look.stacks["root/a"].reason == "WaitsForRollout"
    store = machine.service.store
    with store.reading() as reading:
        (view,) = rollouts.under_way(reading)
    assert view.paused == "its rollout is paused: a stack that goes first has failed"
    assert (view.id.space, {str(part): count for part, count in view.progress.every.items()}) == (
        "root",
        {"done": 1, "failed": 1, "waiting": 4},
    )
    assert paused(machine) == {"root": 1}
    rollouts.resume(store, ROOT, "user:ada", utc_now(), "operator in root")
    machine.reconcile()
    assert paused(machine) == {}
    assert sorted(lines(ran)) == [f"{name} two" for name in "abcdef"]
    with pytest.raises(OperationRefused, match="no rollout of root is paused"):
        rollouts.resume(store, ROOT, "user:ada", utc_now())
    with store.reading() as reading:
        assert [it.event.person for it in reading.audit(0, 100) if it.event.event == "rollout-resumed"] == ["user:ada"]
