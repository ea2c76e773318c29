"""Backups, their way back, and the move from SQLite to PostgreSQL, each with a service on it afterwards."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from reconciler import locks
from reconciler.backups import back_up, mark_restored, migrate, restore
from reconciler.data_directory import DataDirectoryBusy
from reconciler.loop.service import utc_now
from reconciler.store.stored import ApiToken, StoreError
from spaces.names import StackId
from tests.e2e.station import Repo, a_script, lines
from tests.integration.loop.machine import Machine


def writes(name: str, ran: Path) -> str:
    return a_script(name, f"echo {name} >> {ran}")


def test_a_restored_backup_runs_nothing_until_somebody_has_looked(
    repo: Repo, machine: Machine, new_machine: Callable[..., Machine], ran: Path, tmp_path: Path
) -> None:
    repo.commit({"a.yaml": writes("a", ran)})
    machine.reconcile()
    now = utc_now()
    with machine.service.store.writing() as transaction:
        transaction.add_api_token(ApiToken("t1", "user:ada", "ada", now, hash="h"))
    file = tmp_path / "copy.db"
    copied = back_up(machine.settings, file)  # the service is at work
    assert (copied.rows["stacks"], copied.rows["runs"], file.stat().st_mode & 0o777) == (1, 1, 0o600)
    assert sorted(each.name for each in tmp_path.iterdir() if each.name.startswith("copy")) == ["copy.db"]
    with pytest.raises(StoreError, match="is there already"):
        back_up(machine.settings, file)
    repo.commit({"b.yaml": writes("b", ran)})
    machine.reconcile()
    with pytest.raises(DataDirectoryBusy):
        restore(machine.settings, file, now, keep_tokens=False)
    machine.close()
    with pytest.raises(StoreError, match="in use already: name an empty one"):
        restore(machine.settings, file, now, keep_tokens=False)

    other = new_machine(repo.url, "restored")
    (other.settings.data_dir / "station.db").unlink()
    key = machine.settings.data_dir / "encryption.key"
    shutil.copy(key, other.settings.data_dir)
    other.settings = other.settings.model_copy(update={"sealing_key_file": machine.settings.key_files[1]})
    assert restore(other.settings, file, now, keep_tokens=False).rows == copied.rows
    look = other.reconcile()
    assert {name: stack.paused for name, stack in look.stacks.items()} == {"root/a": True, "root/b": True}
    with other.service.store.reading() as reading:
        assert (reading.api_tokens(), reading.audit_fault()) == ([], None)
    locks.resume(other.service.store, StackId.parse("root/b"), "ada", utc_now())
    repo.commit({"c.yaml": writes("c", ran)})
    assert other.reconcile().ran == {"root/b": "finished", "root/c": "finished"}
    assert sorted(lines(ran)) == ["a", "b", "b", "c"]


def test_everything_moves_to_postgresql_and_back_by_a_backup(
    *,
    repo: Repo,
    machine: Machine,
    new_machine: Callable[..., Machine],
    ran: Path,
    tmp_path: Path,
    empty_postgres_url: str,
) -> None:
    repo.commit({"a.yaml": writes("a", ran)})
    machine.reconcile()
    machine.close()
    sqlite = machine.settings
    copied = migrate(sqlite, empty_postgres_url)
    assert not (sqlite.data_dir / "station.db").exists()
    (sqlite.data_dir / "station.db.migrated").rename(sqlite.data_dir / "station.db")
    with pytest.raises(StoreError, match="in use already"):
        migrate(sqlite, empty_postgres_url)
    # On to where it was, and new rows get ids of their own.
    (sqlite.data_dir / "station.db").unlink()
    machine.restart(database_url=empty_postgres_url)
    repo.commit({"b.yaml": writes("b", ran)})
    assert machine.reconcile().ran == {"root/b": "finished"}
    file = tmp_path / "copy.db"
    assert back_up(machine.settings, file).rows["stacks"] == copied.rows["stacks"] + 1

    other = new_machine(repo.url, "restored", encryption_key_file=machine.settings.key_files[0])
    (other.settings.data_dir / "station.db").unlink()
    restore(other.settings, file, utc_now(), keep_tokens=True)
    look = other.reconcile()
    assert {stack.paused for stack in look.stacks.values()} == {True}
    assert lines(ran) == ["a", "b"]


def test_a_backup_needs_its_key_and_nothing_else_is_taken_for_one(
    repo: Repo, machine: Machine, new_machine: Callable[..., Machine], tmp_path: Path
) -> None:
    repo.commit({"a.yaml": a_script("a", "true")})
    machine.reconcile()
    with machine.service.store.writing() as transaction:
        transaction.add_tfstate(StackId.parse("root/a"), b"{}", None, utc_now())
    back_up(machine.settings, tmp_path / "copy.db")
    other = new_machine(repo.url, "restored")
    database = other.settings.data_dir / "station.db"
    database.unlink()
    with pytest.raises(StoreError, match=r"data sealed with key .* restore it"):
        restore(other.settings, tmp_path / "copy.db", utc_now(), keep_tokens=False)
    (tmp_path / "empty").touch()
    for file, words in (("empty", "is not a backup"), ("missing", "there is no file")):
        with pytest.raises(StoreError, match=words):
            restore(other.settings, tmp_path / file, utc_now(), keep_tokens=False)
    assert not database.exists() or database.stat().st_size == 0
    assert not list(other.settings.data_dir.glob("restoring*"))
    # A snapshot of the machine is said, not restored.
    machine.close()
    mark_restored(machine.settings, utc_now(), keep_tokens=False)
    assert machine.reconcile().stacks["root/a"].paused
