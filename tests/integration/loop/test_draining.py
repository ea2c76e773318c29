"""A service that is told to stop and waits for its runs, as one in a container that takes them along."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from reconciler.core.runs import RunStatus
from tests.e2e.station import Repo, a_script, eventually
from tests.integration.loop.machine import Machine


@pytest.mark.parametrize("seconds", [60.0, 0.01], ids=["until they end", "not for ever"])
def test_a_service_that_drains_starts_nothing_and_waits_for_its_runs(
    repo: Repo, new_machine: Callable[..., Machine], tmp_path: Path, seconds: float
) -> None:
    machine = new_machine(repo.url, parallelism=1)
    go = tmp_path / "go"
    waits = f"touch {tmp_path}/started; until test -e {go}; do sleep 0.05; done"
    repo.commit({f"{name}.yaml": a_script(name, waits) for name in ("a", "b")})
    loop = machine.service.loop
    thread = threading.Thread(target=loop.run)
    thread.start()
    try:
        eventually((tmp_path / "started").exists)
        loop.drain(seconds)
        if seconds > 1:
            go.touch()
        thread.join(60)
        assert not thread.is_alive()
        statuses = sorted(str(run.status) for run in machine.look().runs)
        assert statuses == (["finished", "queued"] if seconds > 1 else ["applying", "queued"])
    finally:
        go.touch()
        loop.stop()
        thread.join()
    machine.restart()
    assert {run.status for run in machine.reconcile().runs} <= {RunStatus.FINISHED}
    assert set(machine.look().sync.values()) == {"Synced"}
