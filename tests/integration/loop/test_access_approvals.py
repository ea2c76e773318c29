"""Who may approve a held change, and who a run, when everybody's commits are signed."""

from __future__ import annotations

import threading
from pathlib import Path

import httpx
import pytest

from reconciler.core.runs import RunStatus
from tests.e2e.station import a_script, document
from tests.integration.loop.access import (
    ADA,
    BASE,
    BASE_2,
    BOB,
    CAROL,
    FOUR_EYES,
    Files,
    Signed,
    approve,
    approved_by,
    audit,
    held,
    waiting,
)
from tests.integration.loop.machine import Machine
from tests.needs import needs

pytestmark = needs("ssh-keygen")


def test_an_approval_is_for_the_files_that_were_seen(service: Machine, signed: Signed, tmp_path: Path) -> None:
    stack = a_script("late", "sh late.sh", source={"path": "./late"})
    signed.commit("carol", {"platform/late.yaml": stack, "platform/late/late.sh": "true\n"})
    service.reconcile()
    approve(service, "user:bob")
    signed.commit("carol", {"platform/late/late.sh": f"echo evil > {tmp_path}/ran\n"})
    assert service.reconcile().ran == {}
    assert held(service) == {"Stack platform/late": "user:carol"}
    assert "its files were changed by user:carol since" in waiting(service)[0].message
    assert audit(service)[-1].event.event == "approval-refused"
    approve(service, "user:bob")
    assert service.reconcile().ran == {"platform/late": "finished"}


def test_an_approval_by_someone_with_the_right(service: Machine, signed: Signed) -> None:
    signed.commit("carol", BASE_2)
    service.reconcile()
    approve(service, "user:carol")
    assert service.reconcile().ran == {}
    assert held(service) == {BASE: "user:carol"}
    approve(service, "user:bob")
    assert service.reconcile().ran == {"platform/base": "finished"}
    assert held(service) == {}
    service.restart()
    assert service.reconcile().ran == {}
    told = [(row.event.event, row.event.person) for row in audit(service)]
    assert told == [
        ("trusted", None),
        ("held", "user:carol"),
        ("approval-refused", "user:carol"),
        ("approved", "user:bob"),
    ]


def test_an_approval_through_the_api_is_answered_when_it_is_in_force(service: Machine, signed: Signed) -> None:
    signed.commit("bob", {"top.yaml": a_script("top", "true")})
    service.reconcile()
    (change,) = waiting(service)
    running = service.service
    worker = threading.Thread(target=running.loop.run)
    url, token = running.server.url(), running.ports.operator_token
    worker.start()
    try:
        answer = httpx.post(
            f"{url}/api/v1/held/{change.id}/approve", headers={"Authorization": f"Bearer {token}"}, timeout=30
        )
    finally:
        running.loop.stop()
        worker.join()
    assert (answer.status_code, answer.json()["inForce"]) == (200, True), answer.text
    assert waiting(service) == []


def ask_for_approval(machine: Machine, signed: Signed) -> None:
    """Have every stack's runs wait for one approval, and let those go on that this alone starts."""
    signed.commit("ada", FOUR_EYES)
    machine.reconcile()
    for stack in ("platform/net", "platform/base", "team/app"):
        assert approved_by(machine, stack, CAROL) == [True]


@pytest.mark.parametrize("apart", [pytest.param(False, id="one look"), pytest.param(True, id="two looks")])
@pytest.mark.parametrize(
    ("mine", "others", "stack"),
    [
        pytest.param(BASE_2, {"other.yaml": a_script("other", "true", suspended=True)}, "platform/base", id="elsewhere"),
        pytest.param(BASE_2, {"platform/base.yaml": a_script("base", "echo 3")}, "platform/base", id="the same stack"),
        pytest.param({"platform/net/net.sh": "echo 2\n"}, {"other.yaml": a_script("other", "true", suspended=True)}, "platform/net", id="files"),
    ],
)  # fmt: skip
def test_nobody_approves_what_they_changed_because_another_commit_came_after_it(
    service: Machine, signed: Signed, mine: Files, others: Files, stack: str, *, apart: bool
) -> None:
    ask_for_approval(service, signed)
    signed.commit("bob", mine)
    if apart:
        service.reconcile()
    signed.commit("ada", others)
    service.reconcile()
    assert approved_by(service, stack, BOB, CAROL) == [False, True]


def test_whose_held_change_was_approved_does_not_approve_its_run(service: Machine, signed: Signed) -> None:
    ask_for_approval(service, signed)
    signed.commit("carol", BASE_2)
    service.reconcile()
    approve(service, "user:bob")
    service.reconcile()
    assert approved_by(service, "platform/base", CAROL, BOB, ADA) == [False, False, True]


def test_a_bystander_of_the_same_look_may_approve(service: Machine, signed: Signed) -> None:
    ask_for_approval(service, signed)
    signed.commit("bob", BASE_2)
    signed.commit("carol", {"platform/net/net.sh": "echo held\n"})
    service.reconcile()
    assert service.run_of("platform/base", RunStatus.UNCONFIRMED).person == BOB
    assert approved_by(service, "platform/base", CAROL) == [True]


def test_a_destruction_is_of_what_was_applied_and_by_everyone_who_let_it_come(
    service: Machine, signed: Signed, tmp_path: Path
) -> None:
    ran, stack = tmp_path / "ran", "platform/base"
    spec = {"onDelete": "destroy", "contexts": ["common"], "destroy": f"echo $A >> {ran}"}
    ask_for_approval(service, signed)
    signed.commit("carol", {"platform/common.yaml": document("Context", "common", {"env": {"A": "held"}})})
    signed.commit("ada", {"platform/base.yaml": a_script("base", "true", **spec)})
    service.reconcile()
    assert approved_by(service, stack, BOB) == [True]
    approve(service, ADA)
    assert service.reconcile().sync[stack] == "OutOfSync", "in force at the same revision, and never applied"
    signed.commit("carol", {"platform/base.yaml": None})
    service.reconcile()
    approve(service, ADA)
    service.reconcile()
    assert approved_by(service, stack, CAROL, ADA, BOB) == [False, False, True]
    assert ran.read_text() == "1\n"
