"""A plan in part, in the place of a whole one: what was chosen is applied, and the rest waits for a person."""

from __future__ import annotations

import pytest

from reconciler import operations, replanning
from reconciler.core.runs import Run, RunStatus
from reconciler.loop.service import utc_now
from reconciler.refusals import OperationRefused
from spaces.names import StackId
from tests.e2e.station import Repo, a_script, a_terraform
from tests.integration.loop.machine import Machine
from tests.needs import needs

NET = StackId.parse("root/net")


def code(value: str) -> str:
    return "\n".join(f'resource "terraform_data" "{name}" {{ input = "{value}" }}' for name in ("one", "two"))


def replan(machine: Machine, run: Run, *targets: str) -> Run:
    return replanning.replan(machine.service.store, run.id, targets, "ada", utc_now())


@needs("terraform")
def test_the_chosen_part_is_applied_and_the_rest_waits(repo: Repo, machine: Machine) -> None:
    below = a_script("app", "true", dependsOn=["net"])
    repo.commit({"net/main.tf": code("a"), "n.yaml": a_terraform("net", "./net", autodeploy=False), "a.yaml": below})
    machine.reconcile()
    whole = machine.run_of("root/net", RunStatus.UNCONFIRMED)
    with pytest.raises(OperationRefused, match=r"changes nothing of terraform_data\.three"):
        replan(machine, whole, "terraform_data.one", "terraform_data.three")
    part = replan(machine, whole, "terraform_data.one")
    assert part.targets == ("terraform_data.one",)
    look = machine.reconcile()
    assert [(str(run.status), run.changes.create) for run in look.runs if run.stack == NET] == [
        ("superseded", 2),
        ("unconfirmed", 1),
    ]
    machine.confirm("root/net")
    look = machine.reconcile()
    state = look.stacks["root/net"]
    assert (str(state.sync), state.reason) == ("OutOfSync", "PartlyApplied")
    assert look.stacks["root/app"].reason == "WaitsForDependency"
    assert machine.reconcile().runs == []

    operations.request_run(machine.service.store, NET, "ada", utc_now())
    machine.reconcile()
    machine.confirm("root/net")
    machine.reconcile()
    look = machine.reconcile()
    assert look.sync == {"root/net": "Synced", "root/app": "Synced"}
    assert machine.run_of("root/net", RunStatus.FINISHED).changes.create == 1


def test_a_tool_that_plans_all_or_nothing_is_refused(repo: Repo, machine: Machine) -> None:
    repo.commit({"n.yaml": a_script("net", "true", autodeploy=False)})
    machine.reconcile()
    with pytest.raises(OperationRefused, match="script plans all or nothing"):
        replan(machine, machine.run_of("root/net", RunStatus.UNCONFIRMED), "x")
