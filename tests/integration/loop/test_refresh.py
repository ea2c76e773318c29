"""What the real world has is taken over into the tfstate, by a saved plan, and nothing else changes."""

from __future__ import annotations

import json
from pathlib import Path

from reconciler import operations
from reconciler.core.results import Action, Planned, ResourceChange
from reconciler.core.runs import RunStatus
from reconciler.core.state import ConditionType
from reconciler.loop.service import utc_now
from reconciler.tools.terraform.plan import as_refresh
from spaces.names import StackId
from tests.e2e.station import Repo, a_terraform
from tests.integration.loop.machine import Machine
from tests.needs import needs

NET = StackId.parse("root/net")
CODE = """
data "terraform_remote_state" "world" {{
  backend = "local"
  config = {{ path = "{world}" }}
}}
output "size" {{ value = data.terraform_remote_state.world.outputs.size }}
"""


def change_the_world(world: Path, size: str) -> None:
    """Write a tfstate of somebody else's, whose output the stack reads."""
    outputs = {"size": {"value": size, "type": "string"}}
    document = {"version": 4, "terraform_version": "1.0.0", "serial": 1, "lineage": "x", "outputs": outputs}
    world.write_text(json.dumps({**document, "resources": []}))


def size(machine: Machine) -> object:
    with machine.service.store.reading() as reading:
        return {output.name: output.value for output in reading.outputs(NET)}.get("size")


@needs("terraform")
def test_what_the_world_has_is_taken_over(repo: Repo, machine: Machine, tmp_path: Path) -> None:
    world = tmp_path / "world.tfstate"
    change_the_world(world, "s")
    repo.commit({"net/main.tf": CODE.format(world=world), "n.yaml": a_terraform("net", "./net", autodeploy=False)})
    machine.reconcile()
    machine.confirm("root/net")
    before = machine.reconcile().stacks["root/net"].applied
    change_the_world(world, "m")
    operations.request_refresh(machine.service.store, NET, "ada", utc_now())
    assert machine.reconcile().ran == {"root/net": "unconfirmed"}
    assert size(machine) == "s"
    machine.confirm("root/net")
    state = machine.reconcile().stacks["root/net"]
    assert machine.run_of("root/net", RunStatus.FINISHED).refreshes
    assert (size(machine), state.applied, str(state.sync)) == ("m", before, "Synced")
    assert ConditionType.DRIFTED not in state.conditions
    assert machine.reconcile().runs == []


def test_what_drifted_is_what_a_refresh_takes_over_and_what_is_gone_it_forgets() -> None:
    gone = ResourceChange("a.gone", "a", "p", Action.DELETE)
    other = ResourceChange("a.other", "a", "p", Action.UPDATE, {"size": 1}, {"size": 2})
    assert as_refresh(Planned(has_changes=True, drifted=(gone, other))) == Planned(
        has_changes=True, changes=(ResourceChange("a.gone", "a", "p", Action.FORGET), other)
    )
