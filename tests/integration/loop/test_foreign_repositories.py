"""A Repository document reads with its own credentials, and only what the operator lets it read of the machine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.station import Repo, a_script, document, lines
from tests.integration.git.http_server import GitServer
from tests.integration.loop.machine import Look, Machine


def uses(name: str, repository: str) -> str:
    return a_script(name, "sh ./run.sh", source={"repository": repository, "path": "live"})


def problem(look: Look, stack: str) -> str:
    desired = look.stacks[stack].desired
    assert desired is not None
    return f"{desired.problem.reason}: {desired.problem.message}" if desired.problem else ""


@pytest.fixture
def private(tmp_path: Path, ran: Path) -> Iterator[GitServer]:
    repo = Repo(tmp_path / "served" / "infra")
    repo.commit({"live/run.sh": f"echo read >> {ran}\n"})
    server = GitServer(tmp_path / "served", "station:open-sesame")
    yield server
    server.stop()


def test_the_url_of_a_private_repository_opens_nothing_without_its_credentials(
    repo: Repo, new_machine: Callable[..., Machine], private: GitServer, tmp_path: Path, ran: Path
) -> None:
    secrets = tmp_path / "secrets" / "root"
    secrets.mkdir(parents=True)
    (secrets / "token").write_text("open-sesame")
    (secrets / "token").chmod(0o600)
    machine = new_machine(repo.url, secrets_dir=tmp_path / "secrets")
    url = f"{private.url}/infra/.git"
    credentials = {"username": "station", "password": {"file": "token"}}
    repo.commit(
        {
            "owner.yaml": document("Repository", "owner", {"url": url, "credentials": credentials}),
            "thief.yaml": document("Repository", "thief", {"url": url}),
            "a.yaml": uses("a", "owner"),
            "b.yaml": uses("b", "thief"),
        }
    )
    look = machine.reconcile()
    assert (look.sync["root/a"], look.sync["root/b"]) == ("Synced", "Unknown")
    assert "has not been fetched yet" in problem(look, "root/b")
    assert lines(ran) == ["read"]


@pytest.mark.parametrize("way", ["plain", "link", "dots", "encoded"])
def test_repositories_of_the_machine_are_only_read_where_the_operator_says(
    repo: Repo, new_machine: Callable[..., Machine], tmp_path: Path, ran: Path, way: str
) -> None:
    shared, hidden = tmp_path / "shared", tmp_path / "hidden"
    for folder in (shared, hidden):
        Repo(folder / "infra").commit({"live/run.sh": f"echo {folder.name} >> {ran}\n"})
    (shared / "link").symlink_to(hidden / "infra")
    places = {
        "plain": hidden / "infra",
        "link": shared / "link",
        "dots": f"{shared}/../hidden/infra",
        "encoded": f"{shared}/%2e%2e/hidden/infra",
    }
    repo.commit(
        {
            "good.yaml": document("Repository", "good", {"url": f"file://{shared}/infra"}),
            "bad.yaml": document("Repository", "bad", {"url": f"file://{places[way]}"}),
            "a.yaml": uses("a", "good"),
            "b.yaml": uses("b", "bad"),
        }
    )
    look = new_machine(repo.url, file_repositories=(shared,)).reconcile()
    assert look.sync == {"root/a": "Synced", "root/b": "Unknown"}
    assert "SourceRefused: Repository root/bad: " in problem(look, "root/b")
    assert "setting file_repositories" in problem(look, "root/b")
    assert lines(ran) == ["shared"]
