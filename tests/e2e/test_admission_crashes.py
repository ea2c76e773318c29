"""Kills while admission is being recorded: the old rules are fully in force, or the new ones."""

from __future__ import annotations

import os
import random
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from reconciler.store.encryption import Keys
from reconciler.store.sql import open_store
from tests.e2e.station import Repo, Station, a_script, document

pytestmark = [pytest.mark.chaos, pytest.mark.slow]


def _state(station: Station) -> tuple[str | None, int, int, int, str | None]:
    """Give the admitted revision, how many bindings are in force, what is held, the audit's rows and its fault."""
    store = open_store(
        f"sqlite:///{station.data_dir}/station.db", Keys.load_or_create(station.data_dir / "encryption.key")
    )
    try:
        with store.reading() as reading:
            state = reading.configuration()
            held = reading.held_changes()
            rows = [row for row in reading.audit(0, 1000) if row.event.event in ("trusted", "admitted", "held")]
            bindings = state.documents.get("RoleBinding", 0)
            return state.admitted_revision, bindings, len(held), len(rows), reading.audit_fault()
    finally:
        store.close()


def test_a_kill_leaves_the_old_rules_or_the_new_ones(
    repo: Repo, new_station: Callable[..., Station], tmp_path: Path
) -> None:
    binding = {"role": "writer", "subjects": [{"user": "bob"}]}
    base = {f"s{n}.yaml": a_script(f"s{n}", "true", suspended=True) for n in range(30)}
    repo.commit(
        {
            **base,
            "ada.yaml": document("User", "ada", {"emails": ["ada@example.org"]}),
            "bob.yaml": document("User", "bob", {}),
        }
    )
    station = new_station(repo.url, admins="root-admin,ada", identity="committer")
    assert station.reconcile().code == 0
    old = _state(station)
    repo.commit({"b.yaml": document("RoleBinding", "b", binding)})
    repo.git("-c", "user.email=eve@example.org", "commit", "-q", "--allow-empty", "-m", "nothing")
    (repo.path / "s1.yaml").write_text(a_script("s1", "echo evil", suspended=True))
    repo.git("add", "-A")
    repo.git("-c", "user.email=eve@example.org", "commit", "-q", "-m", "Eve's")
    new = (repo.head(), 1, 1, old[3] + 2, None)
    saved = tmp_path / "saved"
    shutil.copytree(station.data_dir, saved)
    started = time.monotonic()
    assert station.reconcile().code == 0
    longest = time.monotonic() - started
    assert _state(station) == new
    for _ in range(4):
        shutil.rmtree(station.data_dir)
        shutil.copytree(saved, station.data_dir)
        # Each start is the first one after the commit, and none is one after a restore.
        station.data_dir.with_name(f"{station.data_dir.name}.seen").unlink()
        with Path(os.devnull).open("r+b") as nothing:
            process = station.start("reconcile", stdin=nothing, out=nothing, err=nothing)
        time.sleep(random.uniform(0.4, 1.0) * longest)
        process.kill()
        process.wait()
        assert _state(station) in (old, new)
        assert station.reconcile().code == 0
        assert _state(station) == new
