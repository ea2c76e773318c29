"""Tools that fetch private code with the credentials of Repository documents."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.station import Repo, a_script, a_terraform, document
from tests.integration.git.http_server import GitServer
from tests.integration.loop.machine import Machine
from tests.needs import needs

PASSWORD = "hunter2-hunter2"
MODULE = 'output "where" { value = "from the module" }\n'


@pytest.fixture
def server(tmp_path: Path) -> Iterator[GitServer]:
    repo = Repo(tmp_path / "modules", {"net/main.tf": MODULE})
    repo.git("clone", "-q", "--bare", ".", str(tmp_path / "served" / "modules.git"))
    server = GitServer(tmp_path / "served", user_and_password=f"bot:{PASSWORD}")
    yield server
    server.stop()


@pytest.fixture
def machine(repo: Repo, new_machine: Callable[..., Machine], tmp_path: Path) -> Machine:
    (tmp_path / "secrets" / "root").mkdir(parents=True)
    secret = tmp_path / "secrets" / "root" / "token"
    secret.write_text(f"{PASSWORD}\n")
    secret.chmod(0o600)
    return new_machine(repo.url, secrets_dir=tmp_path / "secrets")


def modules(server: GitServer) -> dict[str, str]:
    spec = {"url": f"{server.url}/modules.git", "credentials": {"username": "bot", "password": {"file": "token"}}}
    return {"modules.yaml": document("Repository", "modules", spec)}


@needs("terraform", "git")
def test_terraform_init_fetches_a_private_module(repo: Repo, machine: Machine, server: GitServer) -> None:
    code = (
        f'module "net" {{ source = "git::{server.url}/modules.git//net" }}\n'
        'resource "terraform_data" "a" { input = module.net.where }\n'
    )
    repo.commit({**modules(server), "a.yaml": a_terraform("a", "./code"), "code/main.tf": code})
    look = machine.reconcile()
    assert (look.ran, look.runs[0].reason) == ({"root/a": "failed"}, "ToolFailed")
    assert "could not read Username" in machine.log(look.runs[0]), "nobody is asked"
    repo.commit({"a.yaml": a_terraform("a", "./code", gitCredentials=["modules"])})
    look = machine.reconcile()
    assert look.ran == {"root/a": "finished"}, machine.log(look.runs[0])
    kept = machine.log(look.runs[0]) + repr(look)
    assert PASSWORD not in kept
    assert not list(machine.settings.data_dir.glob("runs/*/git"))


def test_a_context_brings_them_and_what_a_hook_prints_of_them_is_masked(
    repo: Repo, machine: Machine, server: GitServer
) -> None:
    script = (
        f"git clone -q {server.url}/modules.git ./here && cat ./here/net/main.tf; "
        f"printf 'url={server.url}/modules.git\\n\\n' | git credential fill"
    )
    context = document("Context", "code", {"attach": {}, "gitCredentials": ["modules"]})
    repo.commit({**modules(server), "code.yaml": context, "a.yaml": a_script("a", script)})
    look = machine.reconcile()
    log = machine.log(look.runs[0])
    assert look.ran == {"root/a": "finished"}, log
    assert "from the module" in log
    assert "password=***" in log
    # What it signs in with is read anew each time, and starts nothing.
    repo.commit(modules(server) | {"modules.yaml": modules(server)["modules.yaml"].replace("bot", "robot")})
    assert machine.reconcile().runs == []
    other = document("Repository", "other", {"url": "https://git.example.com/other.git"})
    repo.commit({"other.yaml": other, "code.yaml": context.replace('["modules"]', '["modules", "other"]')})
    assert machine.reconcile().why("root/a") == ["contexts: context root/code: git credentials of root/other added"]


def test_a_repository_that_does_not_flow_there_is_as_one_that_does_not_exist(
    repo: Repo, machine: Machine, server: GitServer
) -> None:
    child = document("Space", "team", {"parent": "root"})
    stack = a_script("a", "true", gitCredentials=["root/modules"], space="team")
    repo.commit({**modules(server), "team/space.yaml": child, "a.yaml": stack, "b.yaml": a_script("b", "true")})
    look = machine.reconcile()
    assert (look.ran, look.problems) == ({"root/b": "finished"}, ["a.yaml: error: unknown-repository"])
    (told,) = [it for it in look.configuration.diagnostics if it["code"] == "unknown-repository"]
    hidden = told["summary"]
    repo.commit({"a.yaml": stack.replace("root/modules", "root/nothing")})
    (told,) = [it for it in machine.reconcile().configuration.diagnostics if it["code"] == "unknown-repository"]
    assert told["summary"].replace("nothing", "modules") == hidden


def test_credentials_that_cannot_be_read_are_that_stack_s_problem(
    repo: Repo, machine: Machine, server: GitServer, tmp_path: Path
) -> None:
    (tmp_path / "secrets" / "root" / "token").unlink()
    repo.commit({**modules(server), "a.yaml": a_script("a", "true", gitCredentials=["modules"])})
    look = machine.reconcile()
    assert (look.ran, look.stacks["root/a"].reason) == ({}, "SecretUnreadable")
