"""Access from the branch's side: real commits, signed with real keys, through a whole service."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from rbac.access.subjects import Subject
from rbac.identity import Person, Stranger
from reconciler.git.objects import CommitInfo
from reconciler.loop.desired.persons import Persons
from reconciler.loop.service import utc_now
from reconciler.web.api_tokens import find_token, make_token
from spaces.documents.documents import PlacedDocuments
from tests.e2e.station import a_script, document
from tests.integration.loop.access import (
    APP,
    APP_2,
    BASE,
    BASE_2,
    GRANT,
    NET,
    RUNS,
    Files,
    Key,
    Signed,
    a_binding,
    a_user,
    approve,
    audit,
    first,
    held,
    waiting,
)
from tests.integration.loop.machine import Machine
from tests.needs import needs

pytestmark = needs("ssh-keygen")


@pytest.mark.parametrize("key", ["ada", "bob"])
def test_what_a_signer_may_do_is_done(service: Machine, signed: Signed, key: str) -> None:
    signed.commit(key, BASE_2, claims="nobody")
    look = service.reconcile()
    assert (look.ran, held(service)) == ({"platform/base": "finished"}, {})


@pytest.mark.parametrize(
    ("signer", "person"),
    [
        pytest.param(None, "unverified (Unsigned)", id="unsigned"),
        pytest.param("eve", "unverified (UnknownKey)", id="a key that nobody has"),
        pytest.param("carol", "user:carol", id="signed by somebody else"),
    ],
)
def test_author_and_committer_prove_nothing(service: Machine, signed: Signed, signer: str, person: str) -> None:
    signed.commit(signer, BASE_2, claims="ada")
    look = service.reconcile()
    assert (look.ran, held(service)) == ({}, {BASE: person})
    assert look.sync["platform/base"] == "Synced"
    (change,) = waiting(service)
    assert str(change.missing[0]) == "stack:update"
    if signer is None:
        assert "git commit -S" in change.message
        assert "identity = committer" in change.message


def test_a_commit_that_grants_and_uses_is_held_twice(service: Machine, signed: Signed) -> None:
    new = {"users/eve.yaml": a_user("eve", signed.keys["eve"])}
    signed.commit("eve", {**new, "b.yaml": a_binding("b", "admin", "eve"), **BASE_2})
    assert service.reconcile().ran == {}
    assert held(service) == dict.fromkeys([BASE, "RoleBinding root/b", "User root/eve"], "unverified (UnknownKey)")


def test_a_held_change_and_a_good_one_in_one_commit(service: Machine, signed: Signed) -> None:
    signed.commit("bob", {**GRANT, **BASE_2})
    look = service.reconcile()
    assert look.ran == {"platform/base": "finished"}
    assert held(service) == {"RoleBinding platform/mine": "user:bob"}


def test_grant_and_use_in_two_commits_of_one_push(service: Machine, signed: Signed) -> None:
    other = {"platform/c.yaml": a_binding("c", "writer", "carol")}
    signed.commit("ada", other)
    signed.commit("carol", BASE_2)
    assert service.reconcile().ran == {"platform/base": "finished"}
    assert held(service) == {}
    signed.commit("ada", {"platform/c.yaml": None})
    signed.commit("carol", {"platform/base.yaml": a_script("base", "echo 3")})
    assert service.reconcile().ran == {}
    assert held(service) == {BASE: "user:carol"}


def test_a_removed_key_with_a_backdated_commit(service: Machine, signed: Signed) -> None:
    signed.commit("ada", {"users/bob.yaml": a_user("bob", signed.keys["new"])})
    signed.commit("bob", BASE_2, date="2020-01-01T00:00:00Z")
    service.reconcile()
    assert held(service) == {BASE: "unverified (UnknownKey)"}
    signed.commit("new", {"platform/base.yaml": a_script("base", "echo 3")})
    assert service.reconcile().ran == {"platform/base": "finished"}
    assert held(service) == {}


def test_a_commit_that_adds_its_own_key_is_judged_without_it(service: Machine, signed: Signed) -> None:
    signed.commit("new", {"users/ada.yaml": a_user("ada", signed.keys["ada"], signed.keys["new"])})
    service.reconcile()
    assert held(service) == {"User root/ada": "unverified (UnknownKey)"}


@pytest.mark.parametrize(
    "files",
    [
        pytest.param({"platform/common.yaml": document("Context", "common", {"env": {"A": "2"}})}, id="context"),
        pytest.param({"platform/new.yaml": document("Repository", "r", {"url": "https://example.org/r"})}, id="repository"),
        pytest.param({"role.yaml": document("Role", "r", {"actions": ["*:*"]})}, id="role"),
        pytest.param({"platform/bindings.yaml": a_binding("writers", "writer", "bob", "carol")}, id="binding"),
        pytest.param({"platform/team/space.yaml": document("Space", "team", {"inherit": False})}, id="inherit"),
        pytest.param({"platform/team/space.yaml": document("Space", "team", {"inherit": True}, labels={"a": "b"})}, id="labels"),
        pytest.param({"platform/team/space.yaml": document("Space", "team", {"inherit": True, "parent": "root"})}, id="parent"),
        pytest.param({"platform/base.yaml": None, "platform/team/base.yaml": a_script("base", "true", movedFrom="platform/base")}, id="move"),
    ],
)  # fmt: skip
def test_the_admin_of_a_child_changes_nothing_above(service: Machine, signed: Signed, files: Files) -> None:
    signed.commit("carol", {**files, **APP_2})
    look = service.reconcile()
    assert (look.ran, set(held(service).values())) == ({"team/app": "finished"}, {"user:carol"})
    assert len(held(service)) == 1
    assert set(look.sync) == {"platform/net", "platform/base", "team/app"}


def test_the_parents_admin_may(service: Machine, signed: Signed) -> None:
    signed.commit("ada", {"platform/team/space.yaml": document("Space", "team", {"inherit": False}, labels={"a": "b"})})
    service.reconcile()
    assert held(service) == {}


def test_a_binding_beyond_what_its_writer_holds(service: Machine, signed: Signed) -> None:
    bindings = a_binding("admins", "admin", "carol")
    more = (
        a_binding("more", "admin", "bob", space="team") + "---\n" + a_binding("up", "reader", "bob", space="platform")
    )
    signed.commit("carol", {"platform/team/bindings.yaml": bindings + "---\n" + more})
    service.reconcile()
    assert held(service) == {"RoleBinding platform/up": "user:carol"}


def test_the_files_of_a_stack_belong_to_it(service: Machine, signed: Signed, tmp_path: Path) -> None:
    signed.commit("carol", {"platform/net/net.sh": f"echo evil >> {tmp_path}/ran\n", **APP_2})
    look = service.reconcile()
    assert (look.ran, held(service)) == ({"team/app": "finished"}, {NET: "user:carol"})
    service.restart()
    assert service.reconcile().ran == {}
    signed.commit("ada", {"README.md": "no matter"})
    assert (service.reconcile().ran, held(service)) == ({}, {NET: "user:carol"})
    signed.commit("bob", {"platform/net/net.sh": f"echo good >> {tmp_path}/ran\n"})
    assert service.reconcile().ran == {"platform/net": "finished"}
    assert ((tmp_path / "ran").read_text(), held(service)) == ("good\n", {})


HOOK = "platform/net/hook.sh"


@pytest.mark.parametrize(
    "rightful",
    [
        pytest.param({HOOK: "echo fine >&2\n"}, id="another file"),
        pytest.param(
            {"platform/net.yaml": a_script("net", "sh net.sh", source={"path": "./net", "include": ["platform/*.md"]})},
            id="another include",
        ),
    ],
)
def test_held_files_do_not_come_in_by_a_rightful_change_beside_them(
    service: Machine, signed: Signed, tmp_path: Path, rightful: Files
) -> None:
    signed.commit("carol", {"platform/net/net.sh": f"echo evil >> {tmp_path}/ran\n"})
    service.reconcile()
    signed.commit("bob", rightful)
    service.reconcile()
    assert (held(service), (tmp_path / "ran").exists()) == ({NET: "user:carol"}, False)
    service.restart()
    service.reconcile()
    assert (held(service), (tmp_path / "ran").exists()) == ({NET: "user:carol"}, False)
    signed.commit("carol", {"platform/net/net.sh": "true\n"})
    service.reconcile()
    assert (held(service), (tmp_path / "ran").exists()) == ({}, False)


def test_a_source_elsewhere_leaves_held_files_behind(service: Machine, signed: Signed, tmp_path: Path) -> None:
    signed.commit("carol", {"platform/net/net.sh": f"echo evil >> {tmp_path}/ran\n"})
    service.reconcile()
    moved = a_script("net", "sh net.sh", source={"path": "./new"})
    signed.commit("bob", {"platform/net.yaml": moved, "platform/new/net.sh": f"echo new >> {tmp_path}/ran\n"})
    assert service.reconcile().ran == {"platform/net": "finished"}
    assert ((tmp_path / "ran").read_text(), held(service)) == ("new\n", {})


def test_the_mounted_files_of_a_context_belong_to_it(service: Machine, signed: Signed, tmp_path: Path) -> None:
    context = document("Context", "trust", {"attach": {}, "files": {"ca.pem": {"source": "./ca.pem"}}})
    show = a_script("show", f"cat ca.pem >> {tmp_path}/ran")
    signed.commit(
        "bob", {"platform/trust.yaml": context, "platform/show.yaml": show, "platform/ca.pem": "of the authority\n"}
    )
    assert service.reconcile().ran["platform/show"] == "finished"
    signed.commit("carol", {"platform/ca.pem": "evil\n", **APP_2})
    look = service.reconcile()
    assert (look.ran, held(service)) == ({"team/app": "finished"}, {"Context platform/trust": "user:carol"})
    assert tuple(map(str, waiting(service)[0].missing)) == ("context:update", "platform")
    service.restart()
    assert (service.reconcile().ran, len(waiting(service))) == ({}, 1)
    signed.commit("bob", {"platform/show.yaml": show.replace("cat ca.pem", "cat  ca.pem")})
    assert service.reconcile().ran == {"platform/show": "finished"}
    approve(service, "user:bob")
    assert service.reconcile().ran.keys() == {"platform/base", "platform/net", "platform/show", "team/app"}
    assert ((tmp_path / "ran").read_text().splitlines(), held(service)) == (
        ["of the authority", "of the authority", "evil"],
        {},
    )


def test_a_hold_survives_a_restart_and_ends_by_a_revert(service: Machine, signed: Signed) -> None:
    before = waiting(service)
    signed.commit("carol", BASE_2)
    service.reconcile()
    found = waiting(service)
    service.restart()
    assert service.reconcile().ran == {}
    assert waiting(service) == found != before
    signed.commit(None, {"platform/base.yaml": a_script("base", "true")})
    assert service.reconcile().ran == {}
    assert held(service) == {}


def test_the_first_revision_is_trusted_and_noted(service: Machine, signed: Signed) -> None:
    (row,) = audit(service)
    assert (row.event.event, row.event.details["revision"]) == ("trusted", signed.repo.head())
    signed.commit("bob", BASE_2)
    service.reconcile()
    (_, row) = audit(service)
    assert (row.event.event, row.event.person) == ("admitted", "user:bob")
    assert row.event.details["changes"] == ["update Stack platform/base"]


def test_runs_and_applies_are_in_the_audit(service: Machine, signed: Signed) -> None:
    signed.commit("bob", BASE_2, claims="ada")
    service.reconcile()
    rows = [row.event for row in audit(service, runs=True)][-3:]
    assert [row.event for row in rows] == list(RUNS)
    assert {(row.person, row.details["stack"], row.details["revision"]) for row in rows} == {
        ("user:bob", "platform/base", signed.repo.head())
    }
    assert rows[-1].details["status"] == "finished"
    assert rows[-1].details["planDigest"] == rows[1].details["planDigest"]


def test_an_evil_merge_is_the_mergers(service: Machine, signed: Signed) -> None:
    repo = signed.repo
    repo.git("checkout", "-q", "-b", "side")
    signed.commit("bob", {"platform/base.yaml": a_script("base", "echo side")})
    repo.git("checkout", "-q", "main")
    signed.commit("ada", {"README.md": "on main"})
    signed.run("carol", "merge", "-q", "--no-ff", "--no-commit", "side")
    (repo.path / "platform/net.yaml").write_text(a_script("net", "echo evil", source={"path": "./net"}))
    signed.commit("carol", {})
    assert service.reconcile().ran == {}
    assert held(service) == {BASE: "user:carol", NET: "user:carol"}


def test_a_merge_is_what_its_merger_may(service: Machine, signed: Signed) -> None:
    signed.repo.git("checkout", "-q", "-b", "side")
    signed.commit(None, {"platform/base.yaml": a_script("base", "echo side")})
    signed.repo.git("checkout", "-q", "main")
    signed.run("bob", "merge", "-q", "--no-ff", "-m", "Merge it", "side")
    assert service.reconcile().ran == {"platform/base": "finished"}


def test_after_a_plain_pull_and_push_all_that_differs_is_the_mergers(service: Machine, signed: Signed) -> None:
    repo = signed.repo
    repo.git("checkout", "-q", "-b", "local")
    signed.commit(None, {**APP_2, "platform/base.yaml": a_script("base", "echo local")})
    repo.git("checkout", "-q", "main")
    signed.commit("ada", {"README.md": "on main"})
    service.reconcile()
    repo.git("checkout", "-q", "local")
    signed.run("carol", "merge", "-q", "--no-ff", "-m", "Pull", "main")
    repo.git("branch", "-q", "-f", "main", "HEAD")
    look = service.reconcile()
    assert (look.halted, look.ran) == (None, {"team/app": "finished"})
    assert held(service) == {BASE: "user:carol"}
    assert service.reconcile().ran == {}


def test_the_last_admin_cannot_be_locked_out(service: Machine, signed: Signed) -> None:
    signed.commit("ada", {"users/ada.yaml": None, **BASE_2})
    assert service.reconcile().ran == {"platform/base": "finished"}
    assert held(service) == {"User root/ada": "user:ada"}
    signed.commit("ada", APP_2)
    assert service.reconcile().ran == {"team/app": "finished"}


def test_a_key_of_the_settings_is_an_admin_whatever_the_repository_says(
    signed: Signed, keys: Mapping[str, Key], new_machine: Callable[..., Machine]
) -> None:
    signed.commit(None, {**first(keys), "users/bob.yaml": a_user("bob", keys["eve"])})
    machine = new_machine(signed.repo.url, admins=(keys["eve"].public,))
    machine.reconcile()
    signed.commit("eve", {**BASE_2, "role.yaml": document("Role", "r", {"actions": ["*:*"]})})
    assert machine.reconcile().ran == {"platform/base": "finished"}
    assert audit(machine)[-1].event.person.startswith("admin:SHA256:")


def test_what_a_mailbox_says_counts_only_where_the_operator_says_so(
    signed: Signed, keys: Mapping[str, Key], new_machine: Callable[..., Machine]
) -> None:
    signed.commit(None, first(keys))
    machine = new_machine(signed.repo.url, admins=("ada",), identity="committer")
    assert machine.reconcile().problems == ["None: warning: identity-not-proven"]
    signed.commit(None, BASE_2, claims="bob")
    signed.commit("ada", APP_2, claims="bob")
    assert machine.reconcile().ran == {"platform/base": "finished", "team/app": "finished"}
    signed.commit("ada", {"platform/base.yaml": a_script("base", "echo 3")}, claims="carol")
    machine.reconcile()
    assert held(machine) == {BASE: "user:carol"}


def test_a_forges_key_lets_a_line_count(
    signed: Signed, keys: Mapping[str, Key], new_machine: Callable[..., Machine]
) -> None:
    signed.commit(None, first(keys))
    machine = new_machine(signed.repo.url, admins=("ada",), identity_forges=(f"author {keys['eve'].public}",))
    machine.reconcile()
    signed.commit("eve", BASE_2, claims="bob")
    signed.commit("new", APP_2, claims="carol")
    assert machine.reconcile().ran == {"platform/base": "finished"}
    assert held(machine) == {APP: "unverified (UnknownKey)"}


def test_more_than_the_destruction_budget_is_held_whole(service: Machine, signed: Signed) -> None:
    signed.commit("bob", {f"platform/s{n}.yaml": a_script(f"s{n}", "true") for n in range(4)})
    service.reconcile()
    signed.commit("bob", {**{f"platform/s{n}.yaml": None for n in range(4)}, **BASE_2})
    look = service.reconcile()
    assert (look.ran, set(held(service))) == ({}, {BASE, *(f"Stack platform/s{n}" for n in range(4))})
    assert len(look.sync) == 7
    service.restart()
    assert set(held(service)) == {BASE, *(f"Stack platform/s{n}" for n in range(4))}
    signed.commit("bob", {"platform/base.yaml": a_script("base", "true")} | {
        f"platform/s{n}.yaml": a_script(f"s{n}", "true") for n in range(4)
    })  # fmt: skip
    service.reconcile()
    assert held(service) == {}


def test_an_emptied_branch_hides_nothing(service: Machine, signed: Signed) -> None:
    files = {path: text for path, text in first(signed.keys).items() if path.endswith(".yaml")}
    signed.commit("carol", dict.fromkeys(files))
    assert service.reconcile().halted == "BranchEmptied"
    signed.commit("carol", {"platform/net/net.sh": "echo evil\n"})
    assert service.reconcile().halted == "BranchEmptied"
    signed.commit("ada", files)
    look = service.reconcile()
    assert (look.halted, look.ran) == (None, {})
    assert held(service) == {NET: "user:carol"}


def test_a_commit_that_cannot_be_judged_halts_until_another_comes(
    service: Machine, signed: Signed, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = Persons.of
    signed.commit("carol", APP_2)
    bad = signed.repo.head()

    def fails(persons: Persons, commit: CommitInfo, documents: PlacedDocuments, now: datetime) -> Person | Stranger:
        if commit.revision == bad:
            raise ValueError("odd")
        return known(persons, commit, documents, now)

    monkeypatch.setattr(Persons, "of", fails)
    look = service.reconcile()
    assert (look.halted, look.ran) == ("CannotBeJudged", {})
    signed.commit("ada", BASE_2)
    look = service.reconcile()
    # What it held cannot be told apart from what came next, and is nobody's.
    assert (look.halted, look.ran) == (None, {})
    assert set(held(service).values()) == {"unverified (Unreadable)"}
    signed.commit("ada", {**APP_2, **BASE_2, "platform/more.yaml": a_script("more", "true")})
    assert service.reconcile().ran == {"platform/more": "finished"}


def test_until_access_is_set_up_the_service_says_so(signed: Signed, new_machine: Callable[..., Machine]) -> None:
    signed.commit(None, {"a.yaml": a_script("a", "true")})
    machine = new_machine(signed.repo.url)
    codes = [it["code"] for it in machine.reconcile().configuration.diagnostics]
    assert codes == ["access-not-configured"]
    signed.commit(None, {"a.yaml": a_script("a", "echo 2")})
    assert machine.reconcile().ran == {"root/a": "finished"}
    signed.commit(None, {"u.yaml": a_user("ada", signed.keys["ada"]), "b.yaml": a_binding("b", "admin", "ada")})
    assert machine.reconcile().problems == []
    signed.commit(None, {"a.yaml": a_script("a", "echo 3")})
    assert (machine.reconcile().ran, held(machine)) == ({}, {"Stack root/a": "unverified (Unsigned)"})
    signed.commit("ada", {"a.yaml": a_script("a", "echo 4")})
    assert machine.reconcile().ran == {"root/a": "finished"}


Tree = dict[bytes, tuple[bytes, str]]
"""Name to mode and id."""


def write(signed: Signed, kind: str, data: bytes) -> str:
    command = ["git", "hash-object", "-t", kind, "-w", "--literally", "--stdin"]
    return (
        subprocess.run(command, cwd=signed.repo.path, input=data, capture_output=True, check=True)
        .stdout.decode()
        .strip()
    )


def read_tree(signed: Signed, name: str) -> Tree:
    command = ["git", "ls-tree", name]
    out = subprocess.run(command, cwd=signed.repo.path, capture_output=True, check=True).stdout
    lines = (line.partition(b"\t") for line in out.splitlines())
    return {name: (head.split()[0].lstrip(b"0"), head.split()[2].decode()) for head, _, name in lines}


def write_tree(signed: Signed, tree: Tree) -> str:
    parts = (mode + b" " + name + b"\0" + bytes.fromhex(object_id) for name, (mode, object_id) in tree.items())
    return write(signed, "tree", b"".join(parts))


def commit_tree(signed: Signed, who: str, tree: str) -> None:
    """Put a commit of this very tree on main, signed."""
    key = signed.keys[who].path
    options = ("user.name=x", "user.email=x@example.org", "gpg.format=ssh", f"user.signingKey={key}")
    words = [word for option in options for word in ("-c", option)]
    revision = signed.repo.git(*words, "commit-tree", "-S", tree, "-p", "HEAD", "-m", "Change it")
    signed.repo.git("update-ref", "refs/heads/main", revision)


@pytest.mark.parametrize("name", [b"platform/base.yaml", b"./platform/base.yaml"])
def test_a_file_behind_a_name_with_a_slash_is_judged(service: Machine, signed: Signed, name: bytes) -> None:
    platform, top = read_tree(signed, "HEAD:platform"), read_tree(signed, "HEAD")
    sound = platform[b"base.yaml"]
    platform[b"base.yaml"] = (b"100644", write(signed, "blob", a_script("base", "echo evil").encode()))
    top[b"platform"] = (b"40000", write_tree(signed, platform))
    top[name] = sound
    commit_tree(signed, "eve", write_tree(signed, top))
    assert service.reconcile().ran == {}
    assert held(service) == {"Stack platform/base": "unverified (UnknownKey)"}
    service.restart()
    assert service.reconcile().ran == {}


def test_a_module_that_was_missing_belongs_to_the_stack(service: Machine, signed: Signed) -> None:
    stack = document("Stack", "tf", {"tool": "terraform", "source": {"path": "./tf"}})
    code = 'module "m" {\n  source = "../module"\n}\n'
    signed.commit("ada", {"platform/tf.yaml": stack, "platform/tf/main.tf": code})
    service.reconcile()
    signed.commit("eve", {"platform/module/main.tf": 'resource "terraform_data" "x" {}\n'})
    service.reconcile()
    assert held(service) == {"Stack platform/tf": "unverified (UnknownKey)"}
    service.restart()
    assert service.reconcile().ran == {}
    signed.commit("bob", {"platform/module/main.tf": 'resource "terraform_data" "y" {}\n'})
    assert "platform/tf" in service.reconcile().ran
    assert held(service) == {}


@pytest.mark.parametrize("theirs", ["key", "address"])
def test_nobody_makes_a_key_or_an_address_prove_nobody(service: Machine, signed: Signed, theirs: str) -> None:
    clerk = {
        "role.yaml": document("Role", "clerk", {"actions": ["user:*"]}),
        "c.yaml": a_binding("c", "clerk", "carol"),
    }
    signed.commit("ada", clerk)
    own, ada, bob = (signed.keys[name] for name in ("carol", "ada", "bob"))
    for name, key in (("ada", ada), ("bob", bob)):
        text = a_user("carol", own, key) if theirs == "key" else a_user("carol", own).replace("carol@", f"{name}@")
        signed.commit("carol", {"users/carol.yaml": text})
        service.reconcile()
        assert held(service) == {"User root/carol": "user:carol"}
    signed.commit("carol", {"users/carol.yaml": a_user("carol", own, signed.keys["new"])})
    signed.commit("ada", BASE_2)
    assert service.reconcile().ran == {"platform/base": "finished"}
    assert held(service) == {}


def test_files_are_judged_while_nothing_can_run_from_them(service: Machine, signed: Signed) -> None:
    stack = document("Stack", "tf", {"tool": "terraform", "source": {"path": "./tf"}})
    code = 'module "m" {\n  source = "../module"\n}\n'
    signed.commit("ada", {"platform/tf.yaml": stack, "platform/tf/main.tf": code})
    signed.commit("eve", {"platform/tf/more.tf": 'resource "terraform_data" "x" {}\n'})
    service.reconcile()
    assert held(service) == {"Stack platform/tf": "unverified (UnknownKey)"}
    signed.commit("bob", {"platform/tf/more.tf": None})
    service.reconcile()
    assert held(service) == {}


@pytest.mark.parametrize("looks", [1, 2], ids=["between two looks", "one look each"])
def test_the_tokens_of_somebody_who_left_open_nothing_for_the_next_of_the_name(
    service: Machine, signed: Signed, keys: Mapping[str, Key], looks: int
) -> None:
    store, now = service.service.store, utc_now()
    with store.writing() as transaction:
        until = now + timedelta(hours=1)
        text, token = make_token(transaction, Subject.parse("bob"), "operator", now, until)
        made, _ = make_token(transaction, Subject.parse("carol"), "user:bob", now, until, token.id)
        other, _ = make_token(transaction, Subject.parse("carol"), "operator", now, until)
    for content in (None, a_user("bob", keys["new"])):
        signed.commit("ada", {"users/bob.yaml": content})
        if looks == 2:
            service.reconcile()
    service.reconcile()
    assert service.service.ports.access().knows(Subject.parse("bob"))
    assert [find_token(store, each, now) is not None for each in (text, made, other)] == [False, False, True]
    assert [row.event.event for row in audit(service)].count("token-revoked") == 2
