"""Questions about access in a clone: at any revision, and before a merge. Commits are signed with real keys."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from rbac.access.access import Access
from rbac.access.grants import AccessDocuments
from rbac.access.subjects import Subject
from reconciler.metrics import Metrics
from reconciler.web.api_tokens import make_token
from reconciler.web.ports import AdmissionSettings, Ports
from reconciler.web.server import HttpServer
from spaces.model.people import UserSpec
from tests.e2e.station import Repo
from tests.factories import NOW
from tests.integration.cli.conftest import Stage, Station
from tests.integration.web.client import OPERATOR_TOKEN
from tests.integration.web.warm import WarmApp
from tests.needs import needs

pytestmark = needs("git", "ssh-keygen")


class Clone(Repo):
    """A repository with the keys of three people: ada is admin by a binding, bob writes in team, eve is nobody."""

    def __init__(self, path: Path, keys: Path) -> None:
        super().__init__(path)
        self.keys = keys
        keys.mkdir()

    def key(self, name: str) -> str:
        path = self.keys / name
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", path], check=True)
        return path.with_name(f"{name}.pub").read_text().strip()

    def commit_as(self, signer: str | None, files: dict[str, str | None], message: str = "Change it") -> str:
        if signer is None:
            return self.commit(files, message)
        self.git("config", "gpg.format", "ssh")
        self.git("config", "user.signingKey", str(self.keys / signer))
        return self.commit(files, message, "-S")


def document(kind: str, name: str, spec: str, space: str | None = None) -> str:
    where = f", space: {space}" if space else ""
    return f"apiVersion: stationkeeper/v1\nkind: {kind}\nmetadata: {{name: {name}{where}}}\nspec: {spec}\n---\n"


def stack(name: str, apply: str = "'true'") -> str:
    return document("Stack", name, f"{{tool: script, script: {{apply: {apply}}}}}")


def binding(name: str, role: str, space: str, user: str) -> str:
    return document("RoleBinding", name, f"{{role: {role}, subjects: [{{user: {user}}}]}}", space)


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    made = Clone(tmp_path / "clone", tmp_path / "keys")
    users = "".join(
        document("User", name, f"{{signingKeys: ['{made.key(name)}'], emails: [{name}@example.com]}}")
        for name in ("ada", "bob", "eve")
    )
    made.commit_as(
        "ada",
        {
            "access.yaml": users + binding("admins", "admin", "root", "ada"),
            "team/space.yaml": document("Space", "team", "{}"),
            "team/web.yaml": stack("web"),
            "team/access.yaml": binding("devs", "writer", "team", "bob"),
            "other/space.yaml": document("Space", "other", "{}"),
            "other/db.yaml": stack("db"),
        },
    )
    made.git("checkout", "-q", "-b", "change")
    return made


def diff(station: Station, clone: Clone, *arguments: str) -> dict:
    result = station("diff", "--repository", clone.path, "-o", "json", *arguments)
    assert result.code in {0, 2}, result.err + result.out
    return json.loads(result.out)


# At any revision


@pytest.mark.parametrize(
    ("subject", "action", "space", "code", "says"),
    [
        ("bob", "stack:update", "team", 0, "allowed: writer in team by binding team/devs"),
        ("user:ada", "stack:update", "team", 0, "allowed: admin in root by binding root/admins"),
        ("bob", "stack:update", "other", 2, "not allowed: user:bob has no role that allows stack:update in other"),
        ("bob", "stack:update", "absent", 2, "not allowed: user:bob has no role that allows stack:update in absent"),
    ],
)
def test_can(station: Station, clone: Clone, subject: str, action: str, space: str, *, code: int, says: str) -> None:
    result = station("access", "can", subject, action, space, "--ref", "main", "--repository", clone.path)
    assert (result.code, result.out.strip()) == (code, says)


def test_the_answer_is_that_of_the_revision(station: Station, clone: Clone) -> None:
    clone.commit_as("ada", {"team/access.yaml": None})
    asked = ("access", "can", "bob", "stack:update", "team", "--repository", clone.path, "-o", "json", "--ref")
    assert json.loads(station(*asked, "main").out)["allowed"]
    assert not json.loads(station(*asked, "change").out)["allowed"]


def test_who_and_of(station: Station, clone: Clone) -> None:
    where = ("--ref", "HEAD", "--repository", clone.path, "-o", "json")
    found = json.loads(station("access", "who", "stack:update", "team", *where).out)
    assert [each["subject"] for each in found if each["subject"].startswith("user:")] == ["user:ada", "user:bob"]
    (held,) = json.loads(station("access", "of", "bob", *where).out)
    assert (held["role"], held["space"], held["because"]) == (
        "writer", "team", "writer in team by binding team/devs",
    )  # fmt: skip


def test_admins_of_the_settings_count(station: Station, clone: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STATION_ADMINS", "eve")
    result = station("access", "can", "eve", "user:delete", "root", "--ref", "main", "--repository", clone.path)
    assert (result.code, result.out.strip()) == (0, "allowed: admin in root by the service's settings")


@pytest.mark.parametrize(
    "arguments",
    [
        ["can", "bob", "stack:*", "team", "--ref", "main"],
        ["can", "bob\n", "stack:read", "team", "--ref", "main"],
        ["can", "bob", "stack:read", "team", "--ref", "absent"],
        ["can", "bob", "stack:read", "team", "--ref=--upload-pack=x"],
        ["of", "robot:x", "--ref", "main"],
        ["of", "bob"],
    ],
)
def test_what_cannot_be_asked_is_one_line(station: Station, clone: Clone, arguments: list[str]) -> None:
    result = station("access", *arguments, "--repository", clone.path)
    assert (result.code, result.out) == (1, "")
    assert result.err.startswith("error: ")
    assert result.err.count("\n") == 1


# Before a merge


def test_who_gains_and_who_loses(station: Station, clone: Clone) -> None:
    clone.commit_as("ada", {"team/access.yaml": binding("devs", "writer", "team", "eve")})
    found = diff(station, clone)
    rows = {(each["subject"], each["action"], each["space"], each["verb"], each["because"]) for each in found["access"]}
    because = "writer in team by binding team/devs"
    assert ("user:eve", "stack:update", "team", "gains", because) in rows
    assert ("user:bob", "stack:update", "team", "loses", because) in rows
    assert {subject for subject, *_ in rows} == {"user:eve", "user:bob"}
    assert found["held"] == []
    text = station("diff", "--repository", clone.path).out
    assert "user:eve gains " in text
    assert f"on team: {because}" in text


@pytest.mark.parametrize(
    ("signer", "person", "held"),
    [
        pytest.param("bob", (), ["db"], id="the signer, whatever the author line says"),
        pytest.param("ada", (), [], id="a signer with the right"),
        pytest.param(None, (), ["db", "web"], id="nobody signed"),
        pytest.param("eve", (), ["db", "web"], id="a signer without any right"),
        pytest.param(None, ("--as", "bob"), ["db"], id="for a person"),
        pytest.param("ada", ("--as", "user:eve"), ["db", "web"], id="for a person, whoever signed"),
    ],
)
def test_what_would_be_held(
    station: Station, clone: Clone, signer: str | None, person: tuple[str, ...], held: list[str]
) -> None:
    clone.commit_as(signer, {"team/web.yaml": stack("web", "uptime"), "other/db.yaml": stack("db", "uptime")})
    found = diff(station, clone, *person)
    assert [each["name"] for each in found["held"]] == held
    assert [each["id"] for each in found["stacks"]] == [
        each for each in ("other/db", "team/web") if each.partition("/")[2] not in held
    ]
    for each in found["held"]:
        assert each["missing"] == {"action": "stack:update", "space": each["space"]}
        assert (each["kind"], each["verb"]) == ("Stack", "update")
        assert all(each[name] for name in ("id", "person", "message", "revision"))
    if held:
        assert "held\n  ! update Stack other/db" in station("diff", "--repository", clone.path, *person).out


def test_each_commit_of_a_branch_counts_for_itself(station: Station, clone: Clone) -> None:
    clone.commit_as("ada", {"other/access.yaml": binding("bob", "writer", "other", "bob")})
    clone.commit_as("bob", {"other/db.yaml": stack("db", "uptime")})
    clone.commit_as("ada", {"other/access.yaml": None})
    clone.commit_as("bob", {"other/late.yaml": stack("late")})
    assert [each["name"] for each in diff(station, clone)["held"]] == ["late"]


def test_a_branch_that_fell_behind_is_judged_as_one_merge(station: Station, clone: Clone) -> None:
    clone.commit_as("bob", {"other/db.yaml": stack("db", "uptime")})
    clone.git("checkout", "-q", "main")
    clone.commit_as("ada", {"team/new.yaml": stack("new")})
    found = diff(station, clone, "--ref", "change")
    assert [each["name"] for each in found["held"]] == ["db"]
    assert found["stacks"] == []


def test_files_that_a_stack_refers_to_count(station: Station, clone: Clone) -> None:
    clone.git("checkout", "-q", "main")
    code = "{tool: script, source: {path: ./code}, script: {apply: ./go}}"
    clone.commit_as("ada", {"other/app.yaml": document("Stack", "app", code), "other/code/go": "one"})
    clone.git("checkout", "-q", "-B", "change")
    clone.commit_as("bob", {"other/code/go": "two"})
    found = diff(station, clone)
    assert [(each["name"], each["verb"]) for each in found["held"]] == [("app", "update")]
    assert found["stacks"] == []


def test_nobody_is_judged_where_access_is_not_set_up(station: Station, clone: Clone) -> None:
    clone.git("checkout", "-q", "--orphan", "bare")
    clone.git("rm", "-rqf", ".")
    clone.commit_as(None, {"web.yaml": stack("web")})
    clone.git("checkout", "-q", "-b", "next")
    clone.commit_as(None, {"web.yaml": stack("web", "uptime")})
    found = diff(station, clone, "--base", "bare")
    assert (found["held"], [each["id"] for each in found["stacks"]]) == ([], ["root/web"])


@pytest.mark.parametrize("known", ["--admins", "the environment", "the service", "not all", "nothing", "unreachable"])
def test_the_services_own_admins_count(
    station: Station,
    clone: Clone,
    ports: Ports,
    stage: tuple[Stage, HttpServer],
    *,
    known: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Eve is one of them, which only the service's settings say."""
    clone.commit_as("eve", {"other/db.yaml": stack("db", "uptime")})
    ports = replace(ports, admission=AdmissionSettings(admins=("eve", "zoe")), metrics=Metrics())
    if known == "not all":
        with ports.store.writing() as transaction:
            text, _ = make_token(transaction, Subject.parse("user:zoe"), "operator", NOW, NOW + timedelta(hours=1))
        granted = Access.compile(AccessDocuments(users={"zoe": UserSpec()}), ports.tree(), (), NOW)
        ports = replace(ports, access=lambda: granted)
        monkeypatch.setenv("STATION_TOKEN", text)
    arguments: tuple[str, ...] = ()
    match known:
        case "--admins":
            arguments = ("--admins", "eve")
        case "the environment":
            monkeypatch.setenv("STATION_ADMINS", "eve")
        case "nothing":
            pass
        case "unreachable":
            monkeypatch.setenv("STATION_URL", "http://127.0.0.1:1")
        case _:
            stage[0].app = WarmApp(ports)
            monkeypatch.setenv("STATION_URL", stage[1].url)
            if known == "the service":
                monkeypatch.setenv("STATION_TOKEN", OPERATOR_TOKEN)
    found = diff(station, clone, *arguments)
    if known in {"--admins", "the environment", "the service"}:
        assert (found["held"], found["assumed"]) == ([], None)
        return
    assert [each["name"] for each in found["held"]] == ["db"]
    assumed = {
        "not all": "the service has no first admins but zoe: it names others only to who may read the root's bindings",
        "nothing": "the service has no first admins beside those of the repository and the settings here; name others "
        "with --admins, or the service with --url",
        "unreachable": "the service has the settings that are here, since it could not be asked: http://127.0.0.1:1 ",
    }[known]
    assert found["assumed"].startswith(assumed)
    assert f"\nassumed: {assumed}" in station("diff", "--repository", clone.path).out
