"""What the service counts of a pass, a fetch and an apply."""

from __future__ import annotations

import logging
import shutil
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import pygit2
import pytest

from tests.e2e.station import Repo, a_script, document, eventually
from tests.integration.loop.machine import Machine

DAY = 86400


def _read(machine: Machine, name: str, **labels: str) -> float:
    return machine.service.ports.metrics.registry.get_sample_value(f"stationkeeper_{name}", labels) or 0.0


def _new_year(year: int) -> int:
    return int(datetime(year, 1, 1, tzinfo=UTC).timestamp())


def test_the_time_from_a_commit_to_its_apply_is_that_of_the_commit_which_caused_the_run(
    repo: Repo, machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    infra = Repo(tmp_path / "infra")
    with monkeypatch.context() as long_ago:
        years = iter((2019, 2020))
        long_ago.setattr(
            Repo, "signature", lambda _: pygit2.Signature("Ada", "ada@example.org", _new_year(next(years)))
        )
        infra.commit({"live/run.sh": "echo a\n"})
        repo.commit(
            {
                "infra.yaml": document("Repository", "infra", {"url": infra.url}),
                "a.yaml": a_script("a", "sh ./run.sh", source={"repository": "infra", "path": "live"}),
            }
        )
    assert machine.reconcile().ran == {"root/a": "finished"}
    new = _read(machine, "merge_to_applied_seconds_sum")
    assert abs(new - (time.time() - _new_year(2020))) < DAY, "the stack is new with the commit of the configuration"
    infra.commit({"live/run.sh": "echo b\n"})
    assert machine.reconcile().ran == {"root/a": "finished"}
    assert _read(machine, "merge_to_applied_seconds_count") == 2
    assert _read(machine, "merge_to_applied_seconds_sum") - new < DAY, "and what changed now is the source"


def test_a_halt_and_a_fetch_that_fails_are_counted_and_logged_until_they_are_over(
    repo: Repo, machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    repo.commit({"a.yaml": a_script("a", "true")})
    first = repo.head()
    repo.commit({"b.yaml": a_script("b", "true")})
    machine.reconcile()
    loop = machine.service.loop
    assert _read(machine, "git_fetch_failures_total", repository=repo.url) == 0
    second = repo.head()
    repo.git("reset", "-q", "--hard", first)
    caplog.set_level(logging.INFO)
    worker = threading.Thread(target=loop.run)
    worker.start()
    try:
        eventually(lambda: _read(machine, "reconcile_total", result="halted") > 0)
        repo.git("reset", "-q", "--hard", second)
        shutil.move(repo.path, repo.path.with_name("away"))
        eventually(lambda: _read(machine, "git_fetch_failures_total", repository=repo.url) > 2)
        fetched = _read(machine, "git_last_fetch_success_timestamp_seconds", repository=repo.url)
        shutil.move(repo.path.with_name("away"), repo.path)
        loop.wake()
        eventually(lambda: _read(machine, "git_last_fetch_success_timestamp_seconds", repository=repo.url) > fetched)
        succeeded = _read(machine, "reconcile_total", result="success")
        loop.wake()
        eventually(lambda: _read(machine, "reconcile_total", result="success") > succeeded)
    finally:
        loop.stop()
        worker.join()
    failing = [each.getMessage() for each in caplog.records if "cannot be fetched" in each.getMessage()]
    # A fetch that is under way while the repository is moved fails for a reason of its own.
    assert len(set(failing)) == len(failing) <= 2, "it is said once, not with every attempt"
    assert f"{repo.url} branch main" in failing[0]
    assert any("fetched again, after" in each.getMessage() for each in caplog.records)
