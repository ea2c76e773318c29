"""Instances that people order: commits that the service makes, each of which counts as exactly one person's."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rbac.access.subjects import Subject
from reconciler.git.errors import GitError, GitReason
from reconciler.git.mirror import Mirror
from reconciler.loop.service import utc_now
from reconciler.metrics import Metrics
from reconciler.web.api_tokens import make_token
from spaces.names import Revision
from tests.e2e.station import Repo, document
from tests.factories import later
from tests.integration.git.http_server import GitServer
from tests.integration.loop.access import Key, Signed, a_binding, first, held
from tests.integration.loop.machine import Machine
from tests.integration.loop.test_blueprints_access import WEB, service, signed
from tests.integration.web.client import Client
from tests.integration.web.warm import WarmApp
from tests.needs import needs

__all__ = ["service", "signed"]

pytestmark = needs("ssh-keygen")


LOOK = {"platform/look.yaml": a_binding("look", "reader", "carol", "eve")}
"""Whoever orders reads the blueprint."""


@pytest.fixture
def shop(service: Machine, signed: Signed) -> Machine:
    signed.commit("ada", LOOK)
    service.reconcile()
    return service


@pytest.fixture
def ask() -> Iterator[Callable[..., Any]]:
    """Order as somebody; gives the answer with its status."""
    clients: list[Client] = []

    def order(machine: Machine, person: str, name: str = "i", app: str = "made", space: str | None = "team") -> Any:
        with machine.service.store.writing() as transaction:
            token, _ = make_token(transaction, Subject.parse(f"user:{person}"), "operator", utc_now(), later(10**9))
        clients.append(Client(WarmApp(replace(machine.service.ports, metrics=Metrics())), token))
        wanted = {"version": "1", "space": space, "name": name, "inputs": {"app": app}}
        answer = clients[-1].post("/api/v1/blueprints/platform/web/order", json=wanted)
        return {**answer.json(), "status": answer.status_code}

    yield order
    for client in clients:
        client.__exit__()


def test_an_order_is_a_commit_of_the_person_who_ordered(shop: Machine, signed: Signed, ask: Callable[..., Any]) -> None:
    main = signed.repo.head()
    made = ask(shop, "carol")
    assert made["branch"].startswith("station/team-i-")
    assert (made["status"], made["target"], made["inForce"]) == (200, "main", False)
    git = signed.repo.git
    assert git("log", "-1", "--format=%an <%ae> %cn%n%P", made["branch"]).split("\n") == [
        "carol <carol@example.org> Stationkeeper",
        main,
    ]
    assert git("diff", "--name-only", main, made["branch"]) == "platform/team/i.yaml"
    # The watched branch is as it was, and the same order is the same commit.
    assert signed.repo.head() == main
    assert ask(shop, "carol")["commit"] == made["commit"]
    assert shop.reconcile().ran == {}

    git("merge", "-q", "--ff-only", made["branch"])
    assert (shop.reconcile().ran, held(shop)) == ({"team/made": "finished"}, {})
    assert (again := ask(shop, "carol"))["reason"] == "NothingToOrder", again
    with shop.service.store.reading() as reading:
        rows = [row.event for row in reading.audit(0, 1000) if row.event.person == "user:carol"][:2]
    assert [(row.event, row.person) for row in rows] == [
        ("blueprint-ordered", "user:carol"),
        ("admitted", "user:carol"),
    ]
    assert "ordered, in a commit that the service made" in rows[1].details["because"]

    # An instance in force is changed in its file, whatever else stands there.
    signed.commit("carol", {"platform/team/i.yaml": f"# ours\n{git('show', 'HEAD:platform/team/i.yaml')}\n"})
    assert held(shop) == {}
    shop.reconcile()
    changed = ask(shop, "carol", app="other")
    text = git("show", f"{changed['branch']}:platform/team/i.yaml")
    assert text.startswith("# ours\n")
    assert "app: other" in text

    # What was merged and has left is not brought back by the commit that was merged.
    signed.commit("carol", {"platform/team/i.yaml": None})
    shop.reconcile()
    back = ask(shop, "carol")
    assert (back["commit"] != made["commit"], ask(shop, "carol")["commit"]) == (True, back["commit"])
    git("merge", "-q", "--ff-only", back["branch"])
    assert (shop.reconcile().ran, held(shop), ask(shop, "carol")["reason"]) == ({}, {}, "NothingToOrder")

    # Nothing else that stands in its place is taken away.
    team = signed.repo.path / "platform/team"
    for wrong, place in (("i.yaml is not a file", team / "i.yaml"), ("team is not a directory", team)):
        git("rm", "-q", "-r", str(place))
        place.symlink_to("web.yaml")
        signed.commit(None, {})
        shop.reconcile()
        assert wrong in ask(shop, "carol", app="linked")["detail"]


def test_an_order_that_names_no_space_is_asked_for_one(service: Machine, ask: Callable[..., Any]) -> None:
    assert ask(service, "carol", space=None)["errors"][0]["field"] == "space"
    assert ask(service, "carol", space="platform")["detail"] == "there is no space platform"


def test_an_order_is_worth_what_its_person_may_and_nothing_more(
    shop: Machine, signed: Signed, ask: Callable[..., Any]
) -> None:
    git = signed.repo.git
    assert ask(shop, "bob", name="b")["status"] == 200
    assert ask(shop, "eve", name="no app")["errors"][0]["field"] == "name"
    made = ask(shop, "eve")
    git("merge", "-q", "--ff-only", made["branch"])
    assert (shop.reconcile().ran, held(shop)) == ({}, {"BlueprintInstance team/i": "user:eve"})
    signed.commit("ada", {"platform/team/i.yaml": None})
    shop.reconcile()

    # Somebody else's order with the same signature is worth nothing, nor is one that the service does not know.
    carols = ask(shop, "carol")
    stolen = (
        git("cat-file", "commit", carols["commit"])
        .replace("carol", "eve")
        .replace(git("rev-parse", f"{carols['commit']}^"), signed.repo.head())
    )
    forged = subprocess.run(
        ["git", "hash-object", "-t", "commit", "-w", "--stdin"],
        input=stolen + "\n",
        cwd=signed.repo.path,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    git("merge", "-q", "--ff-only", forged)
    shop.reconcile()
    assert held(shop) == {"BlueprintInstance team/i": "unverified (UnknownKey)"}
    signed.commit("ada", {"platform/team/i.yaml": None})
    shop.reconcile()
    unknown = ask(shop, "carol", app="unknown")
    with shop.service.store.writing() as transaction:
        transaction.remove_order(Revision(unknown["commit"]))
    git("merge", "-q", "--ff-only", unknown["branch"])
    shop.reconcile()
    assert held(shop) == {"BlueprintInstance team/i": "unverified (NotOrdered)"}
    signed.commit("ada", {"platform/team/i.yaml": None})
    shop.reconcile()

    # Who leaves takes their orders along, and so does a namesake who comes later.
    left = ask(shop, "carol", app="left")
    document_of_carol = (signed.repo.path / "users/carol.yaml").read_text()
    signed.commit("ada", {"users/carol.yaml": None})
    shop.reconcile()
    signed.commit("ada", {"users/carol.yaml": document_of_carol})
    shop.reconcile()
    with shop.service.store.reading() as reading:
        assert reading.order(Revision(left["commit"])) is None


def _git(where: Path, *arguments: str) -> None:
    subprocess.run(["git", *arguments], cwd=where, check=True, capture_output=True)


def test_an_order_goes_to_a_server_with_the_services_credentials(
    signed: Signed,
    keys: Mapping[str, Key],
    new_machine: Callable[..., Machine],
    ask: Callable[..., Any],
    tmp_path: Path,
) -> None:
    signed.commit(None, first(keys) | LOOK | {"platform/web.yaml": WEB, "platform/code/it.sh": "true\n"})
    bare = tmp_path / "served.git"
    _git(tmp_path, "clone", "-q", "--bare", str(signed.repo.path), str(bare))
    server = GitServer(tmp_path, "station:push")
    try:
        (tmp_path / "password").write_text("push")
        (tmp_path / "password").chmod(0o600)
        access = {"config_username": "station", "config_password_file": tmp_path / "password"}
        machine = new_machine(f"{server.url}/served.git", admins=("ada",), identity="committer", **access)
        machine.reconcile()
        refused = ask(machine, "carol")
        assert (refused["status"], refused["reason"]) == (409, "NotPushed")
        assert "may not push to the configuration repository" in refused["detail"]
        with machine.service.store.reading() as reading:
            assert reading.orders(None, "", None, 10) == []
        _git(bare, "config", "http.receivepack", "true")
        hook = bare / "hooks" / "post-receive"
        hook.write_text(f"#!/bin/sh\necho visit http://evil.example/x {server.url}/served/merge\n")
        hook.chmod(0o755)
        made = ask(machine, "carol")
        assert (made["status"], made["link"]) == (200, f"{server.url}/served/merge")
        # Addresses prove nothing of it, either.
        _git(bare, "update-ref", "refs/heads/main", made["commit"])
        assert (machine.reconcile().ran, held(machine)) == ({"team/made": "finished"}, {})
        machine.restart(order_branches="")
        machine.reconcile()
        assert ask(machine, "carol", app="more")["reason"] == "OrdersOff"
    finally:
        server.stop()


def test_a_branch_of_the_service_may_not_be_the_watched_one(repo: Repo, new_machine: Callable[..., Machine]) -> None:
    repo.commit({"root.yaml": document("Context", "c", {})})
    with pytest.raises(Exception, match="must not begin with"):
        new_machine(repo.url, config_branch="station/main").reconcile()


def test_an_order_whose_push_was_not_answered_is_not_lost(
    shop: Machine, signed: Signed, ask: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def unanswered(*arguments: Any) -> str:
        push(*arguments)
        raise GitError(GitReason.PUSH_FAILED, "no answer came")

    push = Mirror.push
    with monkeypatch.context() as patch:
        patch.setattr(Mirror, "push", unanswered)
        assert ask(shop, "carol")["reason"] == "NotPushed"
    made = ask(shop, "carol")
    assert made["commit"] == signed.repo.git("rev-parse", made["branch"])
    signed.repo.git("merge", "-q", "--ff-only", made["branch"])
    shop.reconcile()
    assert held(shop) == {}
