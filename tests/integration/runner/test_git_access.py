"""Git in a run signs in to the repositories that it may sign in to, and to no others."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.runner.contract.directory import RunDirectory
from reconciler.runner.contract.job import GitAccess
from reconciler.runner.leg.git_access import lay_out, take_away
from tests.e2e.station import Repo
from tests.integration.git.http_server import GitServer

PASSWORD = "hunter2-hunter2"


@pytest.fixture
def directory(tmp_path: Path) -> RunDirectory:
    # A path that a shell, a helper or ssh could stumble over.
    made = RunDirectory(tmp_path / "it's a PATH of 100%")
    made.make()
    return made


@pytest.fixture
def server(tmp_path: Path) -> Iterator[GitServer]:
    for name in ("modules", "modules-too", "other"):
        repo = Repo(tmp_path / "work" / name, {"main.tf": f"# {name}"})
        repo.git("clone", "-q", "--bare", ".", str(tmp_path / "served" / "platform" / f"{name}.git"))
    server = GitServer(tmp_path / "served", user_and_password=f"bot:{PASSWORD}")
    yield server
    server.stop()


def git(env: dict[str, str], tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    clean = {"PATH": env.pop("PATH", "/usr/bin:/bin"), "HOME": str(tmp_path), "GIT_CONFIG_NOSYSTEM": "1"}
    return subprocess.run(
        ["git", *arguments], env=clean | env, cwd=tmp_path, capture_output=True, text=True, check=False
    )


def test_over_http_exactly_one_repository_is_signed_in_to(
    directory: RunDirectory, server: GitServer, tmp_path: Path
) -> None:
    access = GitAccess(f"{server.url}/platform/modules.git", "bot", password=PASSWORD)
    env = lay_out([access], directory, directory, {"GIT_CONFIG_COUNT": "1"})
    assert env["GIT_CONFIG_COUNT"] == "7", "behind what a document has set"
    env |= {"GIT_CONFIG_KEY_0": "advice.detachedHead", "GIT_CONFIG_VALUE_0": "false"}
    assert PASSWORD not in repr(env)
    assert {path.stat().st_mode & 0o777 for path in directory.git.iterdir()} == {0o600}
    assert directory.git.stat().st_mode & 0o777 == 0o700
    done = git({**env}, tmp_path, "clone", f"{server.url}/platform/modules.git", "one")
    assert (done.returncode, (tmp_path / "one" / "main.tf").is_file()) == (0, True), done.stderr
    assert PASSWORD not in done.stdout + done.stderr + (tmp_path / "one/.git/config").read_text()
    server.authorizations.clear()
    for other in ("other", "modules-too", "modules.git/x"):
        done = git({**env}, tmp_path, "ls-remote", f"{server.url}/platform/{other}")
        assert done.returncode != 0
    assert set(server.authorizations) == {None}, "nobody else was told"
    take_away(directory)
    assert not directory.git.exists()


def test_another_server_is_not_told_where_the_first_one_redirects_to(
    directory: RunDirectory, server: GitServer, tmp_path: Path
) -> None:
    elsewhere = GitServer(server.root, user_and_password=f"bot:{PASSWORD}")
    server.redirect_to = elsewhere.url
    access = GitAccess(f"{server.url}/platform/modules.git", "bot", password=PASSWORD)
    done = git(lay_out([access], directory, directory, {}), tmp_path, "ls-remote", access.url)
    elsewhere.stop()
    assert done.returncode != 0
    assert elsewhere.authorizations != []
    assert set(elsewhere.authorizations) == {None}


SSH = """#!/bin/sh
printf '%s\\n' "$@" >> "$SAID"
for last; do :; done
exec git upload-pack "$SERVED/platform/modules.git"
"""


@pytest.mark.parametrize(
    ("wanted", "signs_in"),
    [
        ("git@git.example.com:platform/modules.git", True),
        ("git@git.example.com:platform/modules", True),
        ("ssh://git@git.example.com/platform/modules.git", True),
        ("ssh://git@git.example.com:22/platform/modules", True),
        ("ssh://git@git.example.com:2222/platform/modules.git", False),
        ("git@Git.Example.com:platform/modules.git", True),
        ("git@git.example.com:platform/other.git", False),
        ("git@git.example.com:platform/modules/x.git", False),
        ("git@evil.example.com:platform/modules.git", False),
        ("git@git.example.com.evil:platform/modules.git", False),
    ],
)
def test_over_ssh_the_key_is_for_exactly_one_repository(
    directory: RunDirectory, server: GitServer, tmp_path: Path, wanted: str, *, signs_in: bool
) -> None:
    access = GitAccess("git@git.EXAMPLE.com:platform/modules.git", "git", ssh_key="a key", known_hosts="known\n")
    env = lay_out([access], directory, directory, {})
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "ssh").write_text(SSH)
    (tmp_path / "bin" / "ssh").chmod(0o700)
    said = tmp_path / "said"
    env |= {"PATH": f"{tmp_path}/bin:/usr/bin:/bin", "SAID": str(said), "SERVED": str(server.root)}
    done = git(env, tmp_path, "ls-remote", wanted)
    assert "refs/heads/main" in done.stdout, done.stderr
    words = said.read_text().splitlines()
    assert (words[:2] == ["-F", str(directory.git / "config-0")]) is signs_in
    assert (directory.git / "key-0").read_text() == "a key\n"
    config = (directory.git / "config-0").read_text()
    assert f'IdentityFile "{directory.git}/key-0"'.replace("%", "%%") in config
    assert "StrictHostKeyChecking yes" in config
