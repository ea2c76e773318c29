"""A store of the last version that remembered single documents is taken over as it stands."""

from __future__ import annotations

import gzip
import json
import shutil
import sqlite3
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from rbac.identity import IdentityMode
from reconciler.core.state import Sync
from tests.integration.loop.machine import Machine

DATA = Path(__file__).parents[2] / "data" / "store_0006"


@pytest.fixture
def machine(tmp_path: Path, new_machine: Callable[..., Machine]) -> Machine:
    repository, data = tmp_path / "repository", tmp_path / "old"
    subprocess.run(["git", "clone", "-q", "-b", "main", DATA / "repository.bundle", repository], check=True)
    data.mkdir()
    (data / "station.db").write_bytes(gzip.decompress((DATA / "station.db.gz").read_bytes()))
    shutil.copy(DATA / "encryption.key", data)
    (data / "encryption.key").chmod(0o600)
    url = f"file://{repository}"
    with sqlite3.connect(data / "station.db") as database:
        (body,) = database.execute("SELECT body FROM configuration").fetchone()
        database.execute("UPDATE configuration SET body = ?", (json.dumps(json.loads(body) | {"url": url}),))
    database.close()
    return new_machine(
        url, "taken", admins=("ada@example.com",), identity=IdentityMode.COMMITTER,
        database_url=f"sqlite:///{data}/station.db", encryption_key_file=data / "encryption.key",
    )  # fmt: skip


def waiting(machine: Machine) -> set[tuple[str, str, str | None, str]]:
    with machine.service.store.reading() as reading:
        held = reading.held_changes()
    return {(str(each.ref), each.person, each.file, each.because.value) for each in held}


def test_what_was_held_kept_and_pinned_stays_so(machine: Machine) -> None:
    machine.look()
    look = machine.reconcile()
    assert look.ran == {}
    assert set(look.sync.values()) == {Sync.SYNCED}
    found = waiting(machine)
    assert {each[:3] for each in found if each[3] == "no-right"} == {
        ("Stack team/one", "user:eve", "team/stacks.yaml"),
        ("Stack team/three", "user:eve", "team/stacks.yaml"),
        ("Stack team/net", "user:eve", None),
    }
    assert {each[0] for each in found if each[3] == "broken"} == {"Stack team/two", "Stack team/late"}
    net = look.stacks["team/net"].desired
    assert net is not None
    assert net.source is not None
    assert net.source.repository is None
    assert net.source.revision != look.configuration.admitted_revision, "it is pinned"
    machine.restart()
    assert (machine.reconcile().ran, waiting(machine)) == ({}, found)


def test_it_goes_on_from_there(machine: Machine, tmp_path: Path) -> None:
    machine.reconcile()
    repository = tmp_path / "repository"
    stacks = repository / "team" / "stacks.yaml"
    stacks.write_text(stacks.read_text().replace("broken: yes\n", "").replace('"evil"', '"2"'))
    git = ["git", "-C", repository, "-c", "user.name=bob", "-c", "user.email=bob@example.com"]
    subprocess.run([*git, "commit", "-q", "-a", "-m", "Mend"], check=True)
    look = machine.reconcile()
    assert look.ran == {"team/one": "finished"}
    assert {each[0] for each in waiting(machine)} == {"Stack team/three", "Stack team/net", "Stack team/late"}
