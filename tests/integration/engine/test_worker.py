"""What a worker does about the runs whose files it still has."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from reconciler.engine.local import LocalEngine
from reconciler.engine.placing import Machine
from reconciler.runner.contract.directory import RunDirectory
from reconciler.runner.tfstate.backlog import Spool
from reconciler.worker.worker import Worker


class EverythingIsOver:
    """A service to which no run is at work any more."""

    def claim(self, _pool: str, _worker: str, kept: list[str], **_presence: object) -> tuple[None, list[str]]:
        return None, kept


def test_what_is_over_goes_but_a_tfstate_that_nobody_else_has_stays(tmp_path: Path) -> None:
    engine = LocalEngine(tmp_path, sandbox=False)
    directories = [RunDirectory.of(tmp_path, name) for name in ("over", "unsent")]
    for each in directories:
        each.make()
        each.log.write_text("x")
    over, unsent = directories
    Spool(unsent.pending_tfstate).add("POST", "", b"{}")
    worker = Worker("a/b", "w", 1, cast("Any", EverythingIsOver()), engine, Machine(tmp_path, ""))
    worker._ask()
    engine.close()
    assert not over.root.exists()
    assert [path.read_bytes() for path in unsent.pending_tfstate.iterdir()], "it was removed with its run"
