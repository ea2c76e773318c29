"""Freeze windows over real runs: plans go on, applies wait, and who holds the role lets a run through."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from reconciler import operations
from reconciler.core.runs import RunStatus
from reconciler.loop.service import utc_now
from reconciler.refusals import OperationRefused
from tests.e2e.station import Repo, a_script, document, lines
from tests.integration.loop.machine import Machine


def space(*windows: dict[str, object]) -> str:
    return document("Space", "root", {"windows": list(windows)})


def open_now() -> dict[str, object]:
    """Give a window that opened an hour ago and lasts for three."""
    began = utc_now() - timedelta(hours=1)
    return {"deny": {"cron": f"{began.minute} {began.hour} * * *", "duration": "3h"}, "override": "admin"}


def test_nothing_is_applied_until_the_window_ends_or_somebody_lets_a_run_through(
    repo: Repo, machine: Machine, ran: Path
) -> None:
    stacks = {f"{name}.yaml": a_script(name, f"echo {name} >> {ran}", plan="exit 2") for name in "ab"}
    repo.commit({"space.yaml": space(open_now()), **stacks})
    first = machine.reconcile()
    assert first.ran == {"root/a": "unconfirmed", "root/b": "unconfirmed"}
    assert {str(run.reason) for run in first.runs} == {"Frozen"}
    digests = {name: state.desired.digest for name, state in first.stacks.items() if state.desired is not None}
    assert lines(ran) == []
    store, run = machine.service.store, machine.run_of("root/a", RunStatus.UNCONFIRMED)
    with pytest.raises(OperationRefused, match="needs no confirmation: it goes on by itself"):
        operations.confirm(store, run.id, "user:ada", utc_now())
    operations.let_through(store, run.id, "user:ada", utc_now(), lambda _window: "admin in root")
    assert machine.reconcile().stacks["root/a"].sync == "Synced"
    assert lines(ran) == ["a"]
    with store.reading() as reading:
        (row,) = [it.event for it in reading.audit(0, 100) if it.event.event == "run-let-through"]
    assert (row.person, row.details["because"], row.details["windows"]) == ("user:ada", "admin in root", ["root"])
    # The window goes: nothing is planned anew, and what waits goes on.
    repo.commit({"space.yaml": space()})
    last = machine.reconcile()
    assert {name: state.desired.digest for name, state in last.stacks.items() if state.desired} == digests
    assert (last.ran, lines(ran)) == ({"root/b": "finished"}, ["a", "b"])
    with pytest.raises(OperationRefused, match="no freeze window is open"):
        operations.let_through(store, run.id, "user:ada", utc_now(), lambda _window: "")
