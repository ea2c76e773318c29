"""Sources in other repositories: followed for themselves, and only their users run."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.station import Repo, a_script, document
from tests.integration.git.http_server import GitServer
from tests.integration.loop.machine import Machine


@pytest.fixture
def infra(tmp_path: Path) -> Repo:
    repo = Repo(tmp_path / "remotes" / "infra")
    repo.commit({"live/a/run.sh": "echo a\n", "live/b/run.sh": "echo b\n", "shared/x/lib.sh": "echo lib\n"})
    return repo


def _from(repository: str, path: str, name: str, **source: object) -> str:
    where = {"repository": repository, "path": path, **source}
    return a_script(name, "sh ./run.sh", source=where)


def test_commits_there_run_exactly_their_users(repo: Repo, machine: Machine, infra: Repo) -> None:
    repo.commit(
        {
            "infra.yaml": document("Repository", "infra", {"url": infra.url}),
            "a.yaml": _from("infra", "live/a", "a"),
            "b.yaml": _from("infra", "live/b", "b", include=["shared/**"]),
            "c.yaml": a_script("c", "echo c"),
        }
    )
    first = machine.reconcile()
    assert first.sync == {"root/a": "Synced", "root/b": "Synced", "root/c": "Synced"}
    infra.commit({"README.md": "unrelated"})
    assert machine.reconcile().runs == []
    infra.commit({"live/a/run.sh": "echo changed\n"})
    look = machine.reconcile()
    assert (look.ran, look.why("root/a")) == ({"root/a": "finished"}, ["source: 1 file under live/a"])
    infra.commit({"shared/x/lib.sh": "echo changed\n", "shared/y.sh": "echo new\n"})
    look = machine.reconcile()
    assert look.ran == {"root/b": "finished"}
    machine.restart()
    infra.commit({"live/b/run.sh": "echo again\n"})
    assert machine.reconcile().ran == {"root/b": "finished"}


def test_a_branch_of_its_own_is_followed(repo: Repo, machine: Machine, infra: Repo, ran: Path) -> None:
    infra.git("checkout", "-q", "-b", "next")
    infra.commit({"live/a/run.sh": f"echo next >> {ran}\n"})
    infra.git("checkout", "-q", "main")
    repo.commit(
        {
            "infra.yaml": document("Repository", "infra", {"url": infra.url}),
            "a.yaml": _from("infra", "live/a", "a", branch="next"),
            "b.yaml": _from("infra", "live/b", "b"),
        }
    )
    assert machine.reconcile().sync == {"root/a": "Synced", "root/b": "Synced"}
    assert ran.read_text() == "next\n"
    infra.commit({"live/a/run.sh": "exit 1\n"})
    assert machine.reconcile().runs == [], "main is not what this stack follows"
    infra.git("checkout", "-q", "next")
    infra.commit({"live/a/run.sh": f"echo later >> {ran}\n"})
    assert machine.reconcile().ran == {"root/a": "finished"}


@pytest.mark.parametrize("restarted", [False, True], ids=["same service", "after a restart"])
@pytest.mark.parametrize("accident", ["gone", "rewound", "no branch"])
def test_a_source_that_is_gone_keeps_its_last_revision_and_says_so(
    *, repo: Repo, machine: Machine, infra: Repo, tmp_path: Path, accident: str, restarted: bool
) -> None:
    repo.commit(
        {
            "infra.yaml": document("Repository", "infra", {"url": infra.url}),
            "a.yaml": _from("infra", "live/a", "a"),
            "c.yaml": a_script("c", "echo c"),
        }
    )
    infra.commit({"live/a/run.sh": "echo second\n"})
    machine.reconcile()
    shutil.copytree(infra.path, tmp_path / "backup")
    match accident:
        case "gone":
            shutil.rmtree(infra.path)
        case "rewound":
            infra.git("reset", "-q", "--hard", "HEAD~1")
        case _:
            infra.git("branch", "-q", "-m", "main", "trunk")
    if restarted:
        machine.restart()
    repo.commit({"c.yaml": a_script("c", "echo other")})
    look = machine.reconcile()
    assert (look.halted, look.ran) == (None, {"root/c": "finished"})
    assert look.sync == {"root/a": "Synced", "root/c": "Synced"}
    assert any(": warning: source-" in problem for problem in look.problems)
    shutil.rmtree(infra.path, ignore_errors=True)
    shutil.copytree(tmp_path / "backup", infra.path)
    infra.commit({"live/a/run.sh": "echo third\n"})
    back = machine.reconcile()
    assert (back.ran, back.problems) == ({"root/a": "finished"}, [])


def test_a_source_that_was_never_there_is_that_stack_s_trouble_until_it_comes(
    repo: Repo, machine: Machine, tmp_path: Path
) -> None:
    url = f"file://{tmp_path}/remotes/late"
    repo.commit(
        {
            "late.yaml": document("Repository", "late", {"url": url}),
            "a.yaml": _from("late", "live/a", "a"),
            "c.yaml": a_script("c", "echo c"),
        }
    )
    look = machine.reconcile()
    assert (look.sync, look.ran) == ({"root/a": "Unknown", "root/c": "Synced"}, {"root/c": "finished"})
    (told,) = [it for it in look.configuration.diagnostics if it["code"].startswith("source-")]
    assert "stays in use" not in json.dumps(told)
    late = Repo(tmp_path / "remotes" / "late")
    late.commit({"live/a/run.sh": "echo a\n"})
    assert machine.reconcile().ran == {"root/a": "finished"}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[GitServer]:
    (tmp_path / "remotes").mkdir(exist_ok=True)
    server = GitServer(tmp_path / "remotes", user_and_password="bot:s3cret")
    yield server
    server.stop()


def test_credentials_come_from_a_file_and_are_nowhere_to_be_seen(
    *,
    repo: Repo,
    new_machine: Callable[..., Machine],
    infra: Repo,
    server: GitServer,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    secrets = tmp_path / "secrets"
    (secrets / "root").mkdir(parents=True)
    secret = secrets / "root" / "bot"
    machine = new_machine(repo.url, secrets_dir=secrets)
    credentials = {"username": "bot", "password": {"file": "bot"}}
    repo.commit(
        {
            "infra.yaml": document(
                "Repository", "infra", {"url": f"{server.url}/infra/.git", "credentials": credentials}
            ),
            "a.yaml": _from("infra", "live/a", "a"),
            "c.yaml": a_script("c", "echo c"),
        }
    )
    look = machine.reconcile()
    assert look.sync == {"root/a": "Unknown", "root/c": "Synced"}, "there is no such secret yet"
    secret.write_text("wrong\n")
    secret.chmod(0o600)
    look = machine.reconcile()
    assert look.sync["root/a"] == "Unknown"
    secret.write_text("s3cret\n")
    look = machine.reconcile()
    assert (look.sync["root/a"], look.problems) == ("Synced", [])
    told = caplog.text + repr(look) + (machine.settings.data_dir / "station.db").read_bytes().decode(errors="replace")
    assert "s3cret" not in told
    mirrors = "".join(p.read_text() for p in machine.settings.data_dir.glob("mirrors/**/config"))
    assert "s3cret" not in mirrors
