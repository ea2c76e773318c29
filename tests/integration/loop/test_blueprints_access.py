"""Who may make what by a blueprint, with real signatures, through a whole service."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tests.e2e.station import Repo, document
from tests.integration.loop.access import Key, Signed, a_binding, approve, first, held, waiting
from tests.integration.loop.machine import Machine
from tests.needs import needs

pytestmark = needs("ssh-keygen")

STACK = {
    "kind": "Stack",
    "metadata": {"name": "${{ inputs.app }}"},
    "spec": {"tool": "script", "source": {"path": "./code"}, "script": {"apply": "sh it.sh"}},
}
WEB = document(
    "Blueprint", "web", {"version": "1", "inputs": [{"name": "app", "default": "made"}], "template": [STACK]}
)
ORDER = {"platform/team/i.yaml": document("BlueprintInstance", "i", {"blueprint": "web", "version": "1"})}
INSTANCE = "BlueprintInstance team/i"


@pytest.fixture
def signed(repo: Repo, keys: Mapping[str, Key]) -> Signed:
    return Signed(repo, keys)


@pytest.fixture
def service(signed: Signed, new_machine: Callable[..., Machine], keys: Mapping[str, Key]) -> Machine:
    """Bob writes platform; Carol is admin of team; Eve may only order by blueprints there."""
    role = document("Role", "orders", {"actions": ["blueprintInstance:*"]})
    files = first(keys) | {
        "orders.yaml": role,
        "users/eve.yaml": document("User", "eve", {"signingKeys": [keys["eve"].public]}),
        "platform/web.yaml": WEB,
        "platform/code/it.sh": "echo one\n",
        "platform/team/orders.yaml": a_binding("orders", "orders", "eve"),
    }
    signed.commit(None, files)
    machine = new_machine(signed.repo.url, admins=("ada",))
    assert machine.reconcile().problems == []
    return machine


def test_a_held_instance_waits_over_a_restart_and_comes_by_an_approval(service: Machine, signed: Signed) -> None:
    signed.commit("eve", ORDER)
    look = service.reconcile()
    assert (look.ran, held(service)) == ({}, {INSTANCE: "user:eve"})
    assert waiting(service)[0].message.startswith(
        "user:eve may not create BlueprintInstance team/i: it would create Stack team/made, and user:eve has no role"
    )
    found = waiting(service)
    service.restart()
    assert (service.reconcile().ran, waiting(service)) == ({}, found)
    approve(service, "user:eve")
    assert (service.reconcile().ran, held(service)) == ({}, {INSTANCE: "user:eve"})
    approve(service, "user:carol")
    assert service.reconcile().ran == {"team/made": "finished"}
    service.restart()
    assert (service.reconcile().ran, held(service)) == ({}, {})


def test_whoever_may_write_stacks_orders_them(service: Machine, signed: Signed) -> None:
    signed.commit("carol", ORDER)
    assert service.reconcile().ran == {"team/made": "finished"}
    signed.commit("eve", {"platform/team/i.yaml": None})
    look = service.reconcile()
    assert (look.sync.get("team/made"), held(service)) == ("Synced", {INSTANCE: "user:eve"})


def test_the_files_of_a_template_belong_to_the_stacks_that_it_makes(service: Machine, signed: Signed) -> None:
    signed.commit("carol", ORDER)
    assert service.reconcile().ran == {"team/made": "finished"}
    signed.commit("eve", {"platform/code/it.sh": "echo evil\n"})
    assert (service.reconcile().ran, held(service)) == ({}, {"Stack team/made": "user:eve"})
    signed.commit("bob", {"platform/code/it.sh": "echo two\n"})
    assert (service.reconcile().ran, held(service)) == ({"team/made": "finished"}, {})


def test_an_approval_is_for_the_files_that_were_seen(service: Machine, signed: Signed, tmp_path: Path) -> None:
    signed.commit("eve", ORDER)
    service.reconcile()
    approve(service, "user:carol")
    signed.commit("eve", {"platform/code/it.sh": f"echo evil > {tmp_path}/ran\n"})
    assert (service.reconcile().ran, held(service)) == ({}, {INSTANCE: "user:eve"})
    assert "its files were changed by user:eve since" in waiting(service)[0].message
    assert not (tmp_path / "ran").exists()


def test_a_blueprint_is_for_who_may_change_what_it_makes(service: Machine, signed: Signed) -> None:
    signed.commit("carol", ORDER)
    service.reconcile()
    more = {"platform/web.yaml": WEB.replace("sh it.sh", "echo more")}
    signed.commit("bob", more)
    assert (service.reconcile().ran, held(service)) == ({}, {"Blueprint platform/web@1": "user:bob"})
    signed.commit("ada", {"platform/web.yaml": WEB.replace("sh it.sh", "echo other")})
    assert (service.reconcile().ran, held(service)) == ({"team/made": "finished"}, {})
