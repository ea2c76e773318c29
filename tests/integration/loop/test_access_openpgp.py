"""Commits signed with OpenPGP keys, valid ones and expired ones, through a whole service."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.station import Repo, a_script, document
from tests.integration.loop.machine import Machine
from tests.needs import needs

pytestmark = needs("gpg")


@dataclass(frozen=True)
class Gpg:
    """A key ring, with a program that signs from it at a time of its own."""

    home: Path
    program: Path

    def run(self, *arguments: str) -> str:
        done = subprocess.run([self.program, "--batch", *arguments], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def commit(self, repo: Repo, date: str) -> None:
        repo.git("add", "-A")
        env = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "GIT_AUTHOR_DATE": date, "GIT_COMMITTER_DATE": date}
        lines = ("-c", "user.name=d", "-c", "user.email=dora@example.org", "-c", f"gpg.program={self.program}")
        done = subprocess.run(
            ["git", *lines, "-c", "user.signingKey=dora@example.org", "commit", "-q", "-S", "-m", "Signed"],
            cwd=repo.path,
            env=env,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr


@pytest.fixture
def new_gpg() -> Iterator[Callable[[str, str], Gpg]]:
    # An agent's socket needs a short path.
    folder = Path(tempfile.mkdtemp(prefix="gpg-"))

    def make(expires: str, clock: str) -> Gpg:
        home = folder / "home"
        home.mkdir(mode=0o700)
        program = folder / "gpg"
        program.write_text(f'#!/bin/sh\nexec gpg --homedir {home} {clock} "$@"\n')
        program.chmod(0o755)
        gpg = Gpg(home, program)
        gpg.run("--passphrase", "", "--quick-gen-key", "Dora <dora@example.org>", "ed25519", "sign", expires)
        return gpg

    yield make
    subprocess.run(["gpgconf", "--homedir", folder / "home", "--kill", "all"], check=False, capture_output=True)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.parametrize(
    ("expires", "clock", "person"),
    [
        pytest.param("never", "", None, id="valid"),
        pytest.param("1y", "--faked-system-time 20200101T000000!", "unverified (ExpiredKey)", id="expired since"),
    ],
)
def test_an_openpgp_key_counts_as_it_is_worth_now(  # noqa: PLR0917
    repo: Repo, machine: Machine, new_gpg: Callable[[str, str], Gpg], expires: str, clock: str, person: str | None
) -> None:
    gpg = new_gpg(expires, clock)
    public = gpg.run("--armor", "--export", "dora@example.org")
    repo.commit(
        {
            "a.yaml": a_script("a", "true"),
            "dora.yaml": document("User", "dora", {"signingKeys": [public]}),
            "b.yaml": document("RoleBinding", "b", {"role": "writer", "subjects": [{"user": "dora"}]}),
        }
    )
    assert machine.reconcile().problems == []
    (repo.path / "a.yaml").write_text(a_script("a", "echo 2"))
    gpg.commit(repo, "2020-01-02T00:00:00Z")
    look = machine.reconcile()
    with machine.service.store.reading() as reading:
        held = {str(each.ref): each.person for each in reading.held_changes()}
    assert held == ({"Stack root/a": person} if person else {})
    assert look.ran == ({} if person else {"root/a": "finished"})
