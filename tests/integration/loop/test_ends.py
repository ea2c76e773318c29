"""Stacks whose time is over are destroyed: by themselves, those above others last, and not made again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from reconciler import locks, operations
from reconciler.core.runs import RunKind, RunStatus
from reconciler.loop.service import utc_now
from reconciler.refusals import OperationRefused, Refusal
from spaces.names import StackId
from tests.e2e.station import Repo, a_script, lines
from tests.integration.loop.machine import Machine


def just_now() -> str:
    return (datetime.now(UTC) - timedelta(seconds=2)).isoformat(timespec="seconds")


def made(name: str, ran: Path, **spec: object) -> str:
    return a_script(name, f"echo {name} >> {ran}", destroy=f"echo {name} gone >> {ran}", **spec)


def test_it_is_destroyed_without_being_asked_and_not_made_again(repo: Repo, machine: Machine, ran: Path) -> None:
    repo.commit({"a.yaml": made("a", ran, ttl="14d")})
    machine.reconcile()
    repo.commit({"a.yaml": made("a", ran, destroyAt=just_now())})
    look = machine.reconcile()
    assert [(it.kind, it.status, it.occasion) for it in look.runs] == [
        (RunKind.DESTROY, RunStatus.FINISHED, "the time of its stack is over")
    ]
    assert lines(ran) == ["a", "a gone"]
    stack = look.stacks["root/a"]
    assert (stack.applied, stack.conditions["Expired"].reason) == (None, "Expired")
    assert machine.reconcile().runs == []
    locks.resume(machine.service.store, stack.id, "ada", utc_now())
    assert machine.reconcile().runs == []
    repo.commit({"a.yaml": made("a", ran)})
    machine.reconcile()
    assert lines(ran) == ["a", "a gone", "a"]


def test_dependents_go_first_and_what_is_protected_stays(repo: Repo, machine: Machine, ran: Path) -> None:
    below = {"dependsOn": ["base"]}
    repo.commit({"base.yaml": made("base", ran), "top.yaml": made("top", ran, **below)})
    machine.reconcile()
    repo.commit({"base.yaml": made("base", ran, destroyAt=just_now())})
    look = machine.reconcile()
    assert (look.runs, look.stacks["root/base"].conditions["Expired"].reason) == ([], "HasDependents")
    with pytest.raises(OperationRefused) as refused:
        operations.request_run(machine.service.store, StackId.parse("root/base"), "ada", utc_now())
    assert refused.value.reason is Refusal.EXPIRED
    repo.commit({"top.yaml": made("top", ran, protected=True, destroyAt=just_now(), **below)})
    assert machine.reconcile().stacks["root/top"].conditions["Expired"].reason == "Protected"
    assert lines(ran) == ["base", "top"]
    repo.commit({"top.yaml": made("top", ran, destroyAt=just_now(), **below)})
    machine.reconcile()
    assert lines(ran) == ["base", "top", "top gone", "base gone"]
