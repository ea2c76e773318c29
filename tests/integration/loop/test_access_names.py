"""A second document of a name, by somebody without the right: whole services, with real signed commits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from rbac.admission.held import HeldChange
from reconciler.loop.service import utc_now
from reconciler.store.stored import StoredApproval
from tests.e2e.station import a_script, document
from tests.integration.loop.access import (
    Signed,
    audit,
    held,
    waiting,
)
from tests.integration.loop.machine import Machine
from tests.needs import needs

pytestmark = needs("ssh-keygen")

BASE = "Stack platform/base"


def base(command: str) -> str:
    return a_script("base", command, space="platform")


def look(machine: Machine) -> Mapping[str, str]:
    """One pass, and another by a fresh process that finds the same."""
    ran = machine.reconcile().ran
    found = waiting(machine)
    machine.restart()
    assert machine.reconcile().ran == {}
    assert waiting(machine) == found
    return ran


def approve(machine: Machine, change: HeldChange, subject: str) -> None:
    with machine.service.store.writing() as transaction:
        transaction.add_approval(StoredApproval(change.id, subject, "a test", utc_now()))


@pytest.mark.parametrize("signer", ["carol", "eve", None])
def test_the_owner_goes_on_beside_a_second_document(service: Machine, signed: Signed, signer: str | None) -> None:
    signed.commit(signer, {"mallory/x.yaml": base("echo evil")})
    assert look(service) == {}
    (change,) = waiting(service)
    assert (str(change.ref), change.file) == (BASE, "mallory/x.yaml")
    assert "declared more than once" in change.message
    for number in (2, 3):
        signed.commit("bob", {"platform/base.yaml": base(f"echo {number}")})
        assert look(service) == {"platform/base": "finished"}
    assert waiting(service) == [change]
    approve(service, change, "user:bob")
    assert service.reconcile().ran == {}
    assert "platform/base.yaml" in audit(service)[-1].event.details["refused"]
    signed.commit("bob", {"platform/base.yaml": None})
    assert "platform/base" not in service.reconcile().sync
    assert look(service) == {}
    assert waiting(service) == [change]
    approve(service, change, "user:bob")
    assert service.reconcile().ran == {"platform/base": "finished"}
    assert held(service) == {}


def test_the_owner_goes_on_after_a_document_was_put_elsewhere(service: Machine, signed: Signed) -> None:
    signed.commit("carol", {"platform/base.yaml": None, "platform/team/base.yaml": base("echo evil")})
    assert look(service) == {}
    signed.commit("bob", {"platform/base.yaml": base("echo 2")})
    assert look(service) == {"platform/base": "finished"}
    assert held(service) == {BASE: "user:carol"}
    signed.commit(None, {"platform/team/base.yaml": None})
    assert look(service) == {}
    assert held(service) == {}


def test_of_two_with_the_right_the_one_in_force_goes_on(service: Machine, signed: Signed) -> None:
    signed.commit("bob", {"platform/other.yaml": base("echo 2")})
    found = service.reconcile()
    assert (found.ran, held(service)) == ({}, {BASE: "user:bob"})
    assert found.sync["platform/base"] == "Synced"
    signed.commit("bob", {"platform/base.yaml": base("echo 3")})
    assert look(service) == {"platform/base": "finished"}
    signed.commit("bob", {"platform/base.yaml": None})
    assert look(service) == {"platform/base": "finished"}
    assert held(service) == {}


def test_the_owners_space_goes_on_beside_a_second_one(service: Machine, signed: Signed) -> None:
    second = document("Space", "platform", {"parent": "team"})
    signed.commit("carol", {"platform/team/sub/space.yaml": second, "mallory.yaml": document("Space", "platform", {})})
    signed.commit("eve", {"platform/space.yml": document("Space", "evil", {})})
    assert look(service) == {}
    assert {each.file for each in waiting(service)} == {
        "platform/team/sub/space.yaml",
        "mallory.yaml",
        "platform/space.yml",
    }
    signed.commit("bob", {"platform/base.yaml": a_script("base", "echo 2")})
    labelled = document("Space", "platform", {}, labels={"env": "prod"})
    signed.commit("ada", {"platform/space.yaml": labelled, "platform/team/sub/new.yaml": a_script("new", "true")})
    assert look(service) == {"platform/base": "finished", "team/new": "finished"}
    assert len(waiting(service)) == 3


def test_two_services_agree(
    service: Machine, signed: Signed, new_machine: Callable[..., Machine], tmp_path: Path
) -> None:
    """One walks commit by commit, the other follows it, and a third starts from what is stored."""
    service.close()
    (tmp_path / "shared").mkdir()
    (service.settings.data_dir / "station.db").rename(tmp_path / "shared" / "station.db")
    url = f"sqlite:///{tmp_path}/shared/station.db"
    service.restart(database_url=url)
    other = new_machine(signed.repo.url, "two", admins=("ada",), database_url=url)
    other.reconcile()
    for who, files in (
        ("carol", {"mallory/x.yaml": base("echo evil")}),
        ("bob", {"platform/base.yaml": base("echo 2")}),
        ("carol", {"platform/base.yaml": base("echo worse")}),
        ("bob", {"platform/base.yaml": None}),
    ):
        signed.commit(who, files)
        service.reconcile()
        other.reconcile()
        third = new_machine(signed.repo.url, f"three-{signed.repo.head()}", admins=("ada",), database_url=url)
        third.reconcile()
        found = [state(each) for each in (service, other, third)]
        assert found[1:] == found[:1] * 2
    assert held(service) == {BASE: "user:carol"}
    assert BASE not in state(service)[0]


def state(machine: Machine) -> tuple[object, ...]:
    admission = machine.service.loop.follower.world.admission
    assert admission is not None
    placed = admission.in_force.documents.placed
    contents = {str(ref): it.resource.content for ref in admission.in_force.documents.refs() if (it := placed(ref))}
    return contents, admission.held_changes, admission.held.to_records(), admission.writes


@pytest.mark.parametrize("upgraded", [False, True], ids=["noted", "by an earlier version"])
def test_what_is_retained_of_a_space_that_left_is_not_for_whoever_takes_its_name(
    service: Machine, signed: Signed, *, upgraded: bool
) -> None:
    signed.commit(
        "ada",
        {"platform/pay/space.yaml": document("Space", "pay", {}), "platform/pay/db.yaml": a_script("db", "true")},
    )
    assert service.reconcile().ran == {"pay/db": "finished"}
    signed.commit("ada", {"platform/pay/space.yaml": None, "platform/pay/db.yaml": None})
    look = service.reconcile()
    assert look.stacks["pay/db"].desired is None
    if upgraded:
        with service.service.store.writing() as transaction:
            transaction.put_configuration(replace(transaction.configuration(), former=None))
    service.restart()
    signed.commit("carol", {"platform/team/x.yaml": a_script("x", "true", movedFrom="pay/db")})
    signed.commit("carol", {"platform/team/pay/space.yaml": document("Space", "pay", {})})
    look = service.reconcile()
    assert held(service) == {"Stack team/x": "user:carol", "Space pay": "user:carol"}
    assert (look.ran, look.stacks["pay/db"].desired) == ({}, None)
    space = "root" if upgraded else "platform"
    assert {str(each.missing[1]) for each in waiting(service) if each.missing} == {space}
