"""People who sign commits with keys of their own, and a service in which they have rights."""

from __future__ import annotations

import os
import shutil
import subprocess
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from rbac.admission.held import HeldChange
from reconciler import operations
from reconciler.core.runs import RunStatus
from reconciler.core.verdicts import Review
from reconciler.loop.service import utc_now
from reconciler.store.stored import AuditRow, StoredApproval
from tests.e2e.station import Repo, a_script, document
from tests.integration.loop.machine import Machine

Files = Mapping[str, str | None]


@dataclass(frozen=True)
class Key:
    path: Path

    @property
    def public(self) -> str:
        return self.path.with_suffix(".pub").read_text().strip()


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Key]:
    """An SSH key for each person, made once: of every kind that ssh-keygen makes without a device."""
    folder = tmp_path_factory.mktemp("keys")
    made = {}
    for name, kind in {"ada": "ed25519", "bob": "ecdsa", "carol": "rsa", "eve": "ed25519", "new": "ed25519"}.items():
        path = folder / name
        subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-C", name, "-f", path], check=True)
        made[name] = Key(path)
    return made


class Signed:
    """A repository that several people commit to."""

    def __init__(self, repo: Repo, keys: Mapping[str, Key]) -> None:
        self.repo = repo
        self.keys = keys

    def commit(
        self, who: str | None, files: Files, *options: str, claims: str | None = None, date: str | None = None
    ) -> str:
        """Commit the files, signed by `who` (None: not at all), with the lines of `claims`, or of Ada."""
        for name, text in files.items():
            target = self.repo.path / name
            if text is None:
                target.unlink()
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(textwrap.dedent(text), encoding="utf-8")
        self.repo.stage()
        self.run(who, "commit", "-q", "--allow-empty", "-m", "Change it", *options, claims=claims, date=date)
        return self.repo.head()

    def run(self, who: str | None, *arguments: str, claims: str | None = None, date: str | None = None) -> None:
        """Run a Git command that makes a commit."""
        sign = [] if who is None else ["-c", "gpg.format=ssh", "-c", f"user.signingKey={self.keys[who].path}"]
        sign += ["-c", f"commit.gpgSign={'false' if who is None else 'true'}"]
        name = claims or "ada"
        lines = ("-c", f"user.name={name}", "-c", f"user.email={name}@example.org")
        env = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1"}
        if date is not None:
            env |= {"GIT_AUTHOR_DATE": date, "GIT_COMMITTER_DATE": date}
        done = subprocess.run(
            ["git", *lines, *sign, *arguments], cwd=self.repo.path, env=env, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr


@pytest.fixture
def signed(repo: Repo, keys: Mapping[str, Key]) -> Signed:
    return Signed(repo, keys)


def a_user(name: str, *keys: Key) -> str:
    spec = {"emails": [f"{name}@example.org"], "signingKeys": [key.public for key in keys]}
    return document("User", name, spec)


def a_binding(name: str, role: str, *users: str, **more: Any) -> str:
    space = {"space": more.pop("space")} if "space" in more else {}
    return document(
        "RoleBinding", name, {"role": role, "subjects": [{"user": user} for user in users], **more}, **space
    )


def first(keys: Mapping[str, Key]) -> dict[str, str]:
    """A repository in which Ada may do everything, Bob writes platform, and Carol administers team below it."""
    return {
        "users/ada.yaml": a_user("ada", keys["ada"]),
        "users/bob.yaml": a_user("bob", keys["bob"]),
        "users/carol.yaml": a_user("carol", keys["carol"]),
        "platform/space.yaml": document("Space", "platform", {}),
        "platform/bindings.yaml": a_binding("writers", "writer", "bob"),
        "platform/common.yaml": document("Context", "common", {"env": {"A": "1"}}),
        "platform/net.yaml": a_script("net", "sh net.sh", source={"path": "./net"}),
        "platform/net/net.sh": "true\n",
        "platform/base.yaml": a_script("base", "true"),
        "platform/team/space.yaml": document("Space", "team", {"inherit": True}),
        "platform/team/bindings.yaml": a_binding("admins", "admin", "carol"),
        "platform/team/app.yaml": a_script("app", "true"),
    }


@pytest.fixture(scope="session")
def seen_once(
    keys: Mapping[str, Key], blank_database: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path]:
    """Make the repository, and the data of a service that has seen its first revision, and a copy that nobody uses.

    What is remembered names the repository by its path, so every test gets the copy at the place of the first.
    """
    place = tmp_path_factory.mktemp("first") / "world"
    signed = Signed(Repo(place / "repo"), keys)
    signed.commit(None, first(keys))
    machine = Machine(place / "one", signed.repo.url, blank_database, admins=("ada",))
    assert machine.reconcile().problems == []
    machine.close()
    kept = place.with_name("kept")
    shutil.copytree(place, kept, symlinks=True)
    return place, kept


@pytest.fixture
def service(signed: Signed, seen_once: tuple[Path, Path], blank_database: Path) -> Iterator[Machine]:
    """A service that has seen the first revision; Ada is the settings' admin. `signed` is its repository from then on."""
    place, kept = seen_once
    shutil.rmtree(place)
    shutil.copytree(kept, place, symlinks=True)
    signed.repo = Repo.at(place / "repo")
    machine = Machine(place / "one", signed.repo.url, blank_database, admins=("ada",))
    machine.reconcile()
    yield machine
    machine.close()


def waiting(machine: Machine) -> list[HeldChange]:
    with machine.service.store.reading() as reading:
        return reading.held_changes()


def held(machine: Machine) -> dict[str, str]:
    return {str(each.ref): each.person for each in waiting(machine)}


RUNS = ("run-queued", "apply-started", "apply-ended")


def audit(machine: Machine, *, runs: bool = False) -> list[AuditRow]:
    """Give the rows about admission, or those about runs, of an audit that is whole."""
    with machine.service.store.reading() as reading:
        assert reading.audit_fault() is None
        return [row for row in reading.audit(0, 1000) if (row.event.event in RUNS) is runs]


NET, BASE, APP = "Stack platform/net", "Stack platform/base", "Stack team/app"
GRANT = {"platform/mine.yaml": a_binding("mine", "admin", "bob")}
BASE_2 = {"platform/base.yaml": a_script("base", "echo 2")}
APP_2 = {"platform/team/app.yaml": a_script("app", "echo 2")}
ONE = "package stationkeeper\napprove if count([r | some r in input.reviews; r.approve]) >= 1\n"
FOUR_EYES = {"yes.yaml": document("Policy", "yes", {"type": "approval", "rego": ONE})}
ADA, BOB, CAROL = "user:ada", "user:bob", "user:carol"


def approve(machine: Machine, subject: str) -> None:
    (change,) = waiting(machine)
    with machine.service.store.writing() as transaction:
        transaction.add_approval(StoredApproval(change.id, subject, "a test", utc_now()))


def approved_by(machine: Machine, stack: str, *persons: str) -> list[bool]:
    """Have each of them approve the stack's run, one after the other, and say after each whether it went on."""
    went_on = []
    for person in persons:
        run = machine.run_of(stack, RunStatus.UNCONFIRMED)
        operations.review(machine.service.store, run.id, Review(person, approves=True, note="", at=utc_now()))
        went_on.append(machine.reconcile().ran[stack] == "finished")
    return went_on
