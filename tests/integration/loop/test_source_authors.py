"""Who changed a source in another repository counts as an author: real commits, signed with real keys."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from reconciler.core.runs import Run, RunStatus
from reconciler.core.state import ConditionType, SourceCommit
from reconciler.loop.desired import source_authors
from reconciler.web.app import create_app
from tests.e2e.station import Repo, a_script, document
from tests.integration.loop.access import Key, Signed, a_binding, a_user, audit
from tests.integration.loop.machine import Machine
from tests.integration.loop.test_access_approvals import ADA, BOB, CAROL, FOUR_EYES, approved_by
from tests.integration.web.client import Client
from tests.needs import needs

pytestmark = needs("ssh-keygen")

APP, RUN = "root/app", "live/run.sh"
NOBODY = "nobody"


@pytest.fixture
def signed(repo: Repo, keys: Mapping[str, Key]) -> Signed:
    return Signed(repo, keys)


@pytest.fixture
def infra(tmp_path: Path, keys: Mapping[str, Key]) -> Signed:
    """The repository that the stack's source lies in, with the stack's files and others."""
    there = Signed(Repo(tmp_path / "remotes" / "infra"), keys)
    there.commit("ada", {RUN: "echo 1\n", "other/run.sh": "echo 1\n"})
    return there


def a_repository(infra: Signed, **spec: Any) -> dict[str, str]:
    return {"infra.yaml": document("Repository", "infra", {"url": infra.repo.url, **spec})}


def an_app(**spec: Any) -> dict[str, str]:
    return {"app.yaml": a_script("app", "sh ./run.sh", source={"repository": "infra", "path": "live"}, **spec)}


@pytest.fixture
def follows(signed: Signed, infra: Signed, new_machine: Callable[..., Machine]) -> Callable[..., Machine]:
    """Begin a service whose stack was applied, and whose runs wait for one approval."""

    def begin(**spec: Any) -> Machine:
        people = {f"users/{name}.yaml": a_user(name, signed.keys[name]) for name in ("ada", "bob", "carol")}
        signed.commit(None, {**people, **FOUR_EYES, **a_repository(infra, **spec), **an_app()})
        machine = new_machine(signed.repo.url, admins=("ada",))
        machine.reconcile()
        assert approved_by(machine, APP, CAROL) == [True]
        return machine

    return begin


def waiting(machine: Machine) -> Run:
    return machine.run_of(APP, RunStatus.UNCONFIRMED)


def test_nobody_approves_what_they_changed_in_another_repository(
    follows: Callable[..., Machine], infra: Signed
) -> None:
    machine = follows()
    changed = infra.commit("bob", {RUN: "echo 2\n"}, claims=NOBODY)
    infra.commit("carol", {"README.md": "no part of it"})
    machine.reconcile()
    run = waiting(machine)
    assert (run.person, run.source) == (BOB, SourceCommit("root/infra", changed, BOB))
    assert approved_by(machine, APP, BOB, CAROL) == [False, True]
    assert machine.look().stacks[APP].applied is not None
    assert machine.look().stacks[APP].applied.source == run.source  # type: ignore[union-attr]
    (row,) = [row.event for row in audit(machine, runs=True) if row.event.details["run"] == run.id][-1:]
    assert row.details["source"] == {"repository": "root/infra", "revision": changed, "author": BOB}

    # What was applied is nobody's any more: the next change is its own author's alone.
    infra.commit("carol", {RUN: "echo 3\n"})
    machine.restart()
    machine.reconcile()
    assert approved_by(machine, APP, CAROL, BOB) == [False, True]


@pytest.mark.parametrize("apart", [pytest.param(False, id="one look"), pytest.param(True, id="two looks")])
def test_everybody_since_the_last_apply_counts(follows: Callable[..., Machine], infra: Signed, *, apart: bool) -> None:
    machine = follows()
    infra.commit("bob", {RUN: "echo 2\n"})
    if apart:
        machine.reconcile()
    infra.commit("carol", {RUN: "echo 3\n"})
    machine.reconcile()
    assert waiting(machine).person == CAROL
    assert approved_by(machine, APP, BOB, CAROL, ADA) == [False, False, True]


def test_the_writers_of_a_merged_branch_count_and_its_merger(follows: Callable[..., Machine], infra: Signed) -> None:
    machine = follows()
    infra.repo.git("checkout", "-q", "-b", "side")
    infra.commit("bob", {RUN: "echo 2\n"})
    infra.repo.git("checkout", "-q", "main")
    infra.commit("ada", {"other/run.sh": "echo 2\n"})
    infra.run("carol", "merge", "-q", "--no-ff", "-m", "Merge it", "side")
    machine.reconcile()
    source = waiting(machine).source
    assert source is not None
    assert (source.revision, source.author) == (infra.repo.head(), CAROL)
    assert approved_by(machine, APP, BOB, CAROL, ADA) == [False, False, True]


@pytest.mark.parametrize(
    ("identity", "signer", "claims", "author"),
    [
        pytest.param("named", None, "bob", BOB, id="named by an address"),
        pytest.param("named", "bob", "carol", BOB, id="a signature says more than a name"),
        pytest.param("signed", None, "bob", None, id="a name proves nothing"),
        pytest.param("signed", "bob", "carol", BOB, id="proven by a signature"),
        pytest.param("committer", "bob", "carol", CAROL, id="the committer's line"),
        pytest.param("named", "eve", NOBODY, None, id="nobody that is known"),
    ],
)
def test_how_authors_are_known(  # noqa: PLR0917
    follows: Callable[..., Machine],
    infra: Signed,
    identity: str,
    signer: str | None,
    claims: str,
    author: str | None,
) -> None:
    machine = follows(identity=identity)
    revision = infra.commit(signer, {RUN: "echo 2\n"}, claims=claims)
    machine.reconcile()
    assert (waiting(machine).person, waiting(machine).source) == (author, SourceCommit("root/infra", revision, author))
    assert approved_by(machine, APP, BOB) == [author != BOB]


def test_what_a_new_stack_takes_from_a_repository_is_its_writers(
    signed: Signed, follows: Callable[..., Machine], infra: Signed
) -> None:
    machine = follows()
    infra.commit("bob", {"other/run.sh": "echo evil\n"})
    machine.reconcile()
    new = a_script("new", "sh ./run.sh", source={"repository": "infra", "path": "other"})
    signed.commit("ada", {"new.yaml": new})
    machine.reconcile()
    run = machine.run_of("root/new", RunStatus.UNCONFIRMED)
    assert (run.person, run.source and run.source.author) == (ADA, BOB)
    assert approved_by(machine, "root/new", ADA, BOB, CAROL) == [False, False, True]


def test_nobody_hides_a_change_behind_many_commits(
    follows: Callable[..., Machine], infra: Signed, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = follows()
    monkeypatch.setattr(source_authors, "MOST_COMMITS", 2)
    infra.commit("bob", {RUN: "echo 2\n"})
    for number in range(2):
        infra.commit("carol", {"README.md": f"{number}\n"})
    infra.commit(None, {"README.md": "last\n"}, claims=NOBODY)
    machine.reconcile()
    # Carol, whose commit nobody looked into, counts too: that is the price.
    assert approved_by(machine, APP, BOB, CAROL, ADA) == [False, False, True]


def test_what_a_source_comes_to_use_is_its_writers(
    follows: Callable[..., Machine], signed: Signed, infra: Signed
) -> None:
    machine = follows()
    infra.commit("bob", {"other/evil.sh": "echo evil\n"})
    machine.reconcile()
    infra.commit("carol", {"README.md": "later"})
    machine.reconcile()
    app = an_app()["app.yaml"].replace('"path": "live"', '"path": "live", "include": ["other/**"]')
    signed.commit("ada", {"app.yaml": app})
    machine.reconcile()
    assert approved_by(machine, APP, ADA, BOB, CAROL) == [False, False, True]


def refusal(machine: Machine) -> str | None:
    found = machine.look().stacks[APP].conditions.get(ConditionType.SOURCE_VERIFIED)
    return found and f"{found.status} {found.reason}: {found.message}"


def told(machine: Machine) -> list[str]:
    diagnostics = machine.look().configuration.diagnostics
    return [f"{it['file']}: {it['code']}" for it in diagnostics if it["code"] == "source-unverified"]


SIGNERS = {"verify": {"signers": [{"user": "ada"}, {"group": "platform"}]}}
PLATFORM = {"platform.yaml": document("Group", "platform", {"members": ["bob"]})}


@pytest.fixture
def verified(signed: Signed, infra: Signed, new_machine: Callable[..., Machine]) -> Machine:
    """A service that follows the source only as far as Ada, or Bob by his group, signed it."""
    people = {f"users/{name}.yaml": a_user(name, signed.keys[name]) for name in ("ada", "bob", "carol")}
    theirs = {
        "theirs.yaml": document("Repository", "theirs", {"url": infra.repo.url}),
        "b.yaml": a_script("b", "sh ./run.sh", source={"repository": "theirs", "path": "live"}),
    }
    signed.commit(None, {**people, **PLATFORM, **a_repository(infra, **SIGNERS), **an_app(), **theirs})
    machine = new_machine(signed.repo.url, admins=("ada",))
    assert machine.reconcile().ran == {APP: "finished", "root/b": "finished"}
    return machine


@pytest.mark.parametrize(
    ("signer", "because"),
    [
        pytest.param(None, "is not signed by user:ada or group:platform: it has no signature", id="unsigned"),
        pytest.param("eve", "is not signed by user:ada or group:platform: ", id="nobody's key"),
        pytest.param("carol", "is signed by user:carol, not by user:ada or group:platform", id="somebody else"),
    ],
)
def test_a_revision_that_none_of_the_signers_signed_is_not_followed(
    verified: Machine, infra: Signed, signer: str | None, because: str
) -> None:
    infra.commit(signer, {RUN: "echo evil\n"})
    look = verified.reconcile()
    assert look.ran == {"root/b": "finished"}, "who does not ask for signatures goes on"
    assert look.sync == {APP: "Synced", "root/b": "Synced"}
    assert because in (refusal(verified) or "")
    assert told(verified) == ["infra.yaml: source-unverified"]
    verified.restart()
    assert verified.reconcile().runs == []
    assert because in (refusal(verified) or "")

    infra.commit("bob", {"README.md": "I have seen it"})
    assert verified.reconcile().ran == {APP: "finished"}
    assert (refusal(verified), told(verified)) == (None, [])


def test_the_writers_of_a_version_count_and_those_whose_version_is_left(
    follows: Callable[..., Machine], signed: Signed, infra: Signed
) -> None:
    machine = follows()
    infra.commit("bob", {RUN: "echo 2\n"})
    infra.repo.git("tag", "v1.1.0")
    signed.commit("ada", {"app.yaml": an_app()["app.yaml"].replace('"path": "live"', '"path": "live", "semver": "1"')})
    machine.reconcile()
    assert approved_by(machine, APP, BOB, CAROL) == [False, True]
    infra.commit("carol", {RUN: "echo 3\n"})
    infra.repo.git("tag", "v1.2.0")
    machine.reconcile()
    assert waiting(machine).source == SourceCommit("root/infra", infra.repo.head(), CAROL)
    assert approved_by(machine, APP, CAROL, BOB) == [False, True]
    infra.repo.git("tag", "-d", "v1.2.0")
    machine.reconcile()
    assert approved_by(machine, APP, CAROL, BOB) == [False, True], "what she wrote is taken back: that is hers, too"


def test_a_version_is_followed_if_its_commit_is_signed(signed: Signed, infra: Signed, verified: Machine) -> None:
    infra.repo.git("tag", "v1.0.0")
    signed.commit(None, {"app.yaml": an_app()["app.yaml"].replace('"path": "live"', '"path": "live", "semver": "1"')})
    verified.reconcile()
    infra.commit("carol", {RUN: "echo evil\n"})
    infra.repo.git("tag", "v1.1.0")
    look = verified.reconcile()
    assert (look.ran, told(verified)) == ({"root/b": "finished"}, ["infra.yaml: source-unverified"])
    assert "is signed by user:carol" in (refusal(verified) or "")
    infra.commit("bob", {"README.md": "I have seen it"})
    infra.repo.git("tag", "v1.1.1")
    assert verified.reconcile().ran == {APP: "finished"}
    assert (refusal(verified), told(verified)) == (None, [])


def test_a_refused_commit_that_is_taken_back_leaves_no_trace(verified: Machine, infra: Signed) -> None:
    infra.commit(None, {RUN: "echo evil\n"})
    verified.reconcile()
    verified.restart()
    infra.repo.git("reset", "-q", "--hard", "HEAD~1")
    verified.reconcile()
    assert (refusal(verified), told(verified)) == (None, [])


def test_a_source_that_was_never_signed_is_not_run(
    signed: Signed, infra: Signed, new_machine: Callable[..., Machine]
) -> None:
    infra.commit(None, {RUN: "echo evil\n"})
    users = {"users/ada.yaml": a_user("ada", signed.keys["ada"])}
    signed.commit(None, {**users, **PLATFORM, **a_repository(infra, **SIGNERS), **an_app()})
    machine = new_machine(signed.repo.url, admins=("ada",))
    look = machine.reconcile()
    ready = look.stacks[APP].conditions[ConditionType.READY]
    assert (look.ran, ready.reason) == ({}, "SourceUnverified")
    assert "is not signed by user:ada or group:platform" in ready.message
    infra.commit("ada", {RUN: "echo good\n"})
    assert machine.reconcile().ran == {APP: "finished"}


def test_signatures_that_are_asked_for_later_stop_what_comes_not_what_is(
    follows: Callable[..., Machine], signed: Signed, infra: Signed
) -> None:
    infra.commit(None, {RUN: "echo unsigned\n"})
    machine = follows()
    signed.commit("ada", {**PLATFORM, **a_repository(infra, **SIGNERS)})
    look = machine.reconcile()
    assert (look.ran, look.sync) == ({}, {APP: "Synced"})
    assert told(machine) == ["infra.yaml: source-unverified"]
    infra.commit("bob", {RUN: "echo signed\n"})
    machine.reconcile()
    assert waiting(machine).person == BOB
    assert told(machine) == []
    signed.commit("ada", a_repository(infra))
    infra.commit(None, {RUN: "echo unsigned again\n"}, claims="carol")
    machine.reconcile()
    run = waiting(machine)
    assert (run.person, run.source and run.source.author, refusal(machine)) == (ADA, CAROL, None)
    assert approved_by(machine, APP, ADA, BOB, CAROL) == [False, False, False], "Ada let it in, Carol wrote it"


def gives(name: str, value: str, **spec: Any) -> dict[str, str]:
    return {f"{name}.yaml": a_script(name, f"""printf '{{"x": "{value}"}}' > $STATION_OUTPUTS""", **spec)}


def passes(name: str, parent: str) -> dict[str, str]:
    """Write a stack that gives on what it gets."""
    needs = [{"stack": parent, "outputs": {"x": "X"}}]
    return {f"{name}.yaml": a_script(name, """printf '{"x": "%s"}' $X > $STATION_OUTPUTS""", dependsOn=needs)}


def test_a_run_for_a_changed_output_is_whose_change_it_comes_from(
    signed: Signed, new_machine: Callable[..., Machine]
) -> None:
    people = {f"users/{name}.yaml": a_user(name, signed.keys[name]) for name in ("ada", "bob", "carol")}
    writers = {"writers.yaml": a_binding("writers", "writer", "bob", "carol")}
    signed.commit(None, {**people, **writers, **gives("net", "1")})
    machine = new_machine(signed.repo.url, admins=("ada",))
    machine.reconcile()
    signed.commit("carol", {**passes("mid", "net"), **passes("app", "mid")})
    look = machine.reconcile()
    assert {str(run.stack): run.person for run in look.runs} == {"root/mid": CAROL, APP: CAROL}

    signed.commit("ada", FOUR_EYES)
    machine.reconcile()
    for stack in ("root/net", "root/mid", APP):
        assert approved_by(machine, stack, CAROL) == [True]
    signed.commit("bob", gives("net", "2"))
    persons = []
    for stack in ("root/net", "root/mid", APP):
        machine.reconcile()
        persons.append(machine.run_of(stack, RunStatus.UNCONFIRMED).person)
        assert approved_by(machine, stack, BOB, CAROL) == [False, True]
    assert persons == [BOB, BOB, BOB]


def test_the_commit_of_the_source_is_shown_everywhere(verified: Machine, signed: Signed, infra: Signed) -> None:
    signed.commit("ada", FOUR_EYES)
    verified.reconcile()
    revision = infra.commit("bob", {RUN: "echo 2\n"})
    verified.reconcile()
    source = {"repository": "root/infra", "revision": revision, "author": BOB}
    run, ports = waiting(verified), verified.service.ports
    with Client(create_app(ports), ports.operator_token) as client:
        assert client.get(f"/api/v1/runs/{run.id}").json()["source"] == source
        assert client.get(f"/api/v1/runs/{run.id}/policy-input").json()["input"]["run"]["source"] == source
        assert client.get("/api/v1/stacks/root/app").json()["source"] == source
        followed = client.get("/api/v1/status").json()["sources"]
    assert followed == [
        {
            "url": infra.repo.url,
            "branch": "main",
            "ref": "branch main",
            "tag": None,
            "verifiedFor": asking,
            "revision": revision,
        }
        for asking in ("root/infra", None)
    ]


def test_whoever_wrote_what_another_repository_document_brings_counts(
    follows: Callable[..., Machine], signed: Signed, infra: Signed
) -> None:
    machine = follows()
    infra.commit("carol", {RUN: "echo 2\n"})
    machine.reconcile()
    before = waiting(machine).source
    assert approved_by(machine, APP, BOB) == [True]
    files = {**a_repository(infra), **an_app()}
    signed.commit("ada", {name: text.replace('"infra"', '"other"') for name, text in files.items()})
    machine.reconcile()
    assert before is not None
    assert waiting(machine).source == replace(before, repository="root/other")
    assert approved_by(machine, APP, ADA, CAROL) == [False, False], "nothing says that it is the same repository"


def test_a_store_that_named_no_sources_blames_nobody_for_what_was_there(
    follows: Callable[..., Machine], infra: Signed
) -> None:
    machine = follows()
    machine.restart()
    with closing(sqlite3.connect(machine.settings.data_dir / "station.db")) as database, database:
        database.execute("UPDATE stacks SET body = json_remove(body, '$.desired.source')")
    infra.commit("bob", {RUN: "echo 2\n"})
    machine.reconcile()
    assert approved_by(machine, APP, BOB, ADA) == [False, True]
