"""Held changes and the audit, by whom they may be seen and what may be done about them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import text

from rbac.access.actions import Action
from rbac.admission.held import HeldChange
from reconciler.core.runs import RunStatus
from reconciler.runs.audit import Approvals
from reconciler.store.sql import SqlStore
from reconciler.store.stored import AuditEvent, ConfigurationState
from reconciler.web.api import admission
from reconciler.web.ports import Ports
from spaces.composition.holds import Because
from spaces.documents.changes import Verb
from spaces.names import Kind, ResourceRef, SpaceName
from tests.factories import NOW, REVISION, a_run, a_stack
from tests.integration.web import test_access
from tests.integration.web.client import Client

access = test_access.access
as_user = test_access.as_user
tree = test_access.tree

V1 = "/api/v1"
AsUser = Callable[..., Client]


def a_held(kind: Kind, space: str, name: str, missing: str, where: str) -> HeldChange:
    ref = ResourceRef(kind, SpaceName(space), name)
    lacking = (Action.parse(missing), SpaceName(where))
    return HeldChange(f"{name}-1", ref, Verb.UPDATE, "user:mallory", lacking, REVISION, "no role gives it")


STACK = a_held(Kind.STACK, "production", "network", "stack:update", "production")
VAULT = a_held(Kind.STACK, "secret", "vault", "stack:update", "secret")
SPACE = a_held(Kind.SPACE, "labs", "labs", "space:create", "production")
WHOLE = a_held(Kind.STACK, "production", "db", "stack:delete", "root")


@pytest.fixture
def held(store: SqlStore) -> None:
    with store.writing() as transaction:
        transaction.put_held_changes([STACK, VAULT, SPACE, WHOLE], NOW)


def names(client: Client) -> list[str]:
    return [item["name"] for item in client.get(f"{V1}/held").json()["items"]]


@pytest.mark.parametrize(
    ("name", "seen"),
    [
        ("rita", ["db", "labs", "network"]),
        ("sam", ["vault"]),
        ("nobody", []),
        ("all", ["db", "labs", "network", "vault"]),
    ],
)
@pytest.mark.usefixtures("held")
def test_one_sees_what_is_held_in_ones_spaces(as_user: AsUser, name: str, seen: list[str]) -> None:
    assert sorted(names(as_user(name))) == seen


def test_ones_own_held_change_is_seen_without_any_right_and_without_what_is_there(
    as_user: AsUser, store: SqlStore
) -> None:
    mine = replace(VAULT, person="user:nobody", file="secret/vault.yaml", missing=None, because=Because.BROKEN)
    with store.writing() as transaction:
        transaction.put_held_changes([mine, STACK], NOW)
        told = {"severity": "error", "code": "unknown-field", "line": 3, "column": 5}
        here = {**told, "file": "secret/vault.yaml", "hint": "did you mean secretive?"}
        transaction.put_configuration(
            ConfigurationState(
                diagnostics=(
                    {**here, "summary": "spec.foo is not known; Context secret/common is"},
                    {**told, "file": "secret/other.yaml", "summary": "secret/other is broken", "hint": None},
                    {**told, "file": None, "summary": "of everything", "hint": None},
                )
            )
        )
    nobody = as_user("nobody", held_diff=lambda _: "- what is in force")
    assert names(nobody) == ["vault"]
    shown = nobody.get(f"{V1}/held/{mine.id}").json()
    assert (shown["person"], shown["diff"]) == ("user:nobody", None)
    (diagnostic,) = nobody.get(f"{V1}/status").json()["diagnostics"]
    summary = "spec.foo is not known; a Context of another space is"
    assert diagnostic == {**here, "summary": summary, "hint": None}
    reader = as_user("rita", home=lambda file: SpaceName("production" if "other" in file else "secret"))
    (diagnostic,) = reader.get(f"{V1}/status").json()["diagnostics"]
    assert (diagnostic["file"], diagnostic["summary"]) == ("secret/other.yaml", "another stack is broken")


@pytest.mark.usefixtures("held")
@pytest.mark.parametrize(
    ("name", "asked", "seen"),
    [
        ("all", {"space": "production"}, ["db", "labs", "network"]),
        ("all", {"space": "root"}, []),
        ("all", {"space": "root", "subtree": True}, ["db", "labs", "network", "vault"]),
        ("rita", {"space": "production"}, ["db", "labs", "network"]),
    ],
)
def test_one_may_ask_for_one_space_and_those_below_it(
    as_user: AsUser, name: str, asked: dict[str, Any], seen: list[str]
) -> None:
    items = as_user(name).get(f"{V1}/held", **asked).json()["items"]
    assert sorted(item["name"] for item in items) == seen


@pytest.mark.usefixtures("held")
def test_a_space_that_one_does_not_see_cannot_be_asked_for(as_user: AsUser) -> None:
    hidden, absent = (as_user("rita").get(f"{V1}/held", space=each) for each in ("secret", "nowhere"))
    assert (hidden.status_code, hidden.text) == (404, absent.text.replace("nowhere", "secret"))


@pytest.mark.usefixtures("held")
def test_a_held_change_has_the_shape_that_programs_rely_on(as_user: AsUser) -> None:
    assert as_user("rita").get(f"{V1}/held/{STACK.id}").json() == {
        "id": STACK.id,
        "kind": "Stack",
        "space": "production",
        "name": "network",
        "verb": "update",
        "person": "user:mallory",
        "missing": {"action": "stack:update", "space": "production"},
        "because": "no-right",
        "revision": REVISION,
        "message": "no role gives it",
        "files": False,
        "file": None,
        "approvedBy": None,
        "diff": None,
    }


@pytest.mark.usefixtures("held")
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_held_change_that_one_may_not_see_does_not_exist(as_user: AsUser, method: str) -> None:
    client = as_user("rita")
    path = f"{V1}/held/{{}}" + ("/approve" if method == "POST" else "")
    hidden, absent = (client.request(method, path.format(each)) for each in (VAULT.id, "0" * 12))
    assert (hidden.status_code, hidden.text) == (404, absent.text.replace("0" * 12, VAULT.id))


@pytest.mark.usefixtures("held")
@pytest.mark.parametrize(
    ("name", "which", "status", "because"),
    [
        pytest.param("rita", STACK, 404, "", id="a reader"),
        pytest.param("otto", STACK, 404, "", id="an operator"),
        pytest.param("wanda", STACK, 200, "writer in production by binding production/team, through group team",
                     id="a writer"),
        pytest.param("wanda", SPACE, 404, "", id="a writer cannot let a space be made"),
        pytest.param("adele", SPACE, 200, "admin in production by binding production/adele", id="an admin can"),
        pytest.param("adele", WHOLE, 404, "", id="what would take too many stacks is for the root's admins"),
        pytest.param("root-admin", WHOLE, 200, "admin in root by binding root/root-admin", id="who are these"),
    ],
)  # fmt: skip
def test_who_may_approve(
    as_user: AsUser, store: SqlStore, woken: list[bool], name: str, *, which: HeldChange, status: int, because: str
) -> None:
    client = as_user(name)
    answer = client.post(f"{V1}/held/{which.id}/approve")
    assert answer.status_code == status, answer.text
    with store.reading() as reading:
        found = reading.approvals()
        (*_, last) = reading.audit(0, 100) or [None]
    if status == 404:
        assert (found, woken) == ([], [])
        assert answer.json()["detail"].startswith(f"there is no held change {which.id}")
        return
    assert [(each.held, each.subject, each.because, each.at) for each in found] == [
        (which.id, f"user:{name}", because, NOW)
    ]
    assert woken == [True]
    assert (answer.json()["approvedBy"], client.get(f"{V1}/held/{which.id}").json()["approvedBy"]) == (
        f"user:{name}",
        f"user:{name}",
    )
    assert last is not None
    assert (last.event.event, last.event.person) == ("approval-given", f"user:{name}")
    assert (last.event.details["held"], last.event.details["because"]) == (which.id, because)


@pytest.mark.usefixtures("held")
@pytest.mark.parametrize("refused", [None, "Stack secret/vault has that name already"])
def test_an_approval_is_answered_when_admission_has_judged_it(
    as_user: AsUser, store: SqlStore, refused: str | None
) -> None:
    def judge() -> None:
        """Do what the loop does, after an event that is about something else."""
        event = Approvals.REFUSED if refused else Approvals.ACCEPTED
        with store.writing() as transaction:
            transaction.remove_approvals([STACK.id])
            details = {"held": STACK.id, **({"refused": refused} if refused else {})}
            transaction.append_audit(
                [AuditEvent(Approvals.REFUSED, NOW, None, {"held": "another"}), AuditEvent(event, NOW, None, details)]
            )

    client = as_user("wanda", judges=True, wake=judge)
    answer = client.post(f"{V1}/held/{STACK.id}/approve")
    if refused is None:
        assert (answer.status_code, answer.json()["inForce"]) == (200, True)
        return
    assert (answer.status_code, answer.json()["reason"]) == (409, "ApprovalRefused")
    assert answer.json()["detail"] == f"{STACK.id} is still held: a Stack of another space has that name already"


@pytest.mark.usefixtures("held")
def test_an_approval_that_nobody_judges_soon_is_answered_too(as_user: AsUser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "_PATIENCE", 0.0)
    answer = as_user("wanda", judges=True).post(f"{V1}/held/{STACK.id}/approve")
    assert (answer.status_code, answer.json()["inForce"]) == (200, None)


@pytest.mark.usefixtures("held")
def test_held_changes_are_counted(client: Client) -> None:
    lines = client.get("/metrics").text.splitlines()
    assert 'stationkeeper_held_changes{kind="Stack",space="production"} 2.0' in lines
    assert 'stationkeeper_held_changes{kind="Space",space="labs"} 1.0' in lines


# The audit


def test_what_persons_ask_for_is_in_the_audit(as_user: AsUser, store: SqlStore) -> None:
    with store.writing() as transaction:
        transaction.put_stacks([a_stack("production/network")])
        run = a_run("production/network", status=RunStatus.UNCONFIRMED)
        transaction.add_runs([run])
    wanda, root = as_user("wanda"), as_user("root-admin")
    for path in (f"runs/{run.id}/confirm", "stacks/production/network/suspend", "stacks/production/network/resume"):
        assert wanda.post(f"{V1}/{path}").status_code == 200
    made = root.post(f"{V1}/tokens", json={"subject": "apiKey:ci", "seconds": 60}).json()
    assert root.request("DELETE", f"{V1}/tokens/{made['id']}").status_code == 200
    answer = as_user("all").get(f"{V1}/audit")
    rows = answer.json()["items"]
    by_wanda = [("user:wanda", event) for event in ("run-confirmed", "stack-suspended", "stack-resumed")]
    by_root = [("user:root-admin", event) for event in ("token-created", "token-revoked")]
    assert [(row["person"], row["event"]) for row in rows] == by_wanda + by_root
    assert rows[0]["details"] == {
        "run": run.id,
        "stack": "production/network",
        "revision": run.revision,
        "digest": run.digest,
        "because": "writer in production by binding production/team, through group team",
    }
    assert made["token"] not in answer.text
    assert [row["previous"] for row in rows] == ["", *(row["hash"] for row in rows[:-1])]


def test_the_audit_is_for_who_may_read_everything(as_user: AsUser, client: Client) -> None:
    for name, status in (("all", 200), ("root-admin", 200), ("adele", 404), ("nobody", 404)):
        for path in ("audit", "audit/check"):
            assert as_user(name).get(f"{V1}/{path}").status_code == status
    assert client.get(f"{V1}/audit/check").json() == {"whole": True, "fault": None, "head": "0:"}


def test_the_audit_in_pages(client: Client, as_user: AsUser, ports: Ports) -> None:
    for _ in range(5):
        client.post(f"{V1}/tokens", json={"subject": "apiKey:ci", "seconds": 60})
    numbers, cursor = [], None
    while True:
        page = client.get(f"{V1}/audit", limit=2, **({"cursor": cursor} if cursor else {})).json()
        numbers += [row["number"] for row in page["items"]]
        if (cursor := page["next"]) is None:
            break
    assert numbers == [1, 2, 3, 4, 5]
    assert client.get(f"{V1}/audit", cursor="x").status_code == 422


@pytest.mark.parametrize(
    "tampering",
    [
        "DELETE FROM audit WHERE number = 2",
        "DELETE FROM audit WHERE number = 3",
        "UPDATE audit SET body = replace(body, 'token-created', 'token-revoked') WHERE number = 1",
        "UPDATE audit SET hash = 'x' WHERE number = 2",
    ],
)
def test_tampering_is_found(client: Client, store: SqlStore, tampering: str) -> None:
    for _ in range(3):
        client.post(f"{V1}/tokens", json={"subject": "apiKey:ci", "seconds": 60})
    assert client.get(f"{V1}/audit/check").json()["whole"]
    with store._writers.begin() as connection:
        connection.execute(text(tampering))
    found = client.get(f"{V1}/audit/check").json()
    assert not found["whole"]
    assert "row" in found["fault"]


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ("the directory x belongs to secret, and user:m has no role that allows space:create in secret",
         "the directory x belongs to another space, and user:m has no role that allows space:create in another space"),
        ("Stack production/network depends on itself: production/network -> secret/db -> production/network",
         "Stack production/network depends on itself: production/network -> another stack -> production/network"),
        ("there is no Stack secret/guess for Stack production/network",
         "there is no Stack secret/guess for Stack production/network"),
        ("Stack production/network and Stack nowhere/db all have movedFrom production/old",
         "Stack production/network and a Stack of another space all have movedFrom production/old"),
    ],
    ids=["directory", "cycle", "what the author wrote", "others, whether they exist or not"],
)  # fmt: skip
def test_a_held_change_names_nothing_from_spaces_that_one_does_not_see(
    as_user: AsUser, store: SqlStore, message: str, told: str
) -> None:
    held = replace(STACK, message=message, missing=(Action.parse("space:create"), SpaceName("secret")))
    with store.writing() as transaction:
        transaction.put_held_changes([held], NOW)
    shown = as_user("rita").get(f"{V1}/held/{held.id}").json()
    assert shown["message"] == told
    assert shown["missing"] == {"action": "space:create", "space": "another space"}
    assert "in another space" in as_user("rita").post(f"{V1}/held/{held.id}/approve").text
    everything = as_user("all").get(f"{V1}/held/{held.id}").json()
    assert (everything["message"], everything["missing"]["space"]) == (message, "secret")
