"""A data directory goes with one database: with another one, everything would be applied as new."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from reconciler.store.stored import StoreError
from tests.e2e.station import Repo, a_script, lines
from tests.integration.loop.machine import Machine


@pytest.mark.parametrize("remembered", [True, False], ids=["", "an earlier version kept no id"])
def test_an_empty_database_beside_a_used_data_directory_is_refused(
    *, repo: Repo, machine: Machine, ran: Path, empty_postgres_url: str, remembered: bool
) -> None:
    repo.commit({"a.yaml": a_script("a", f"echo a >> {ran}")})
    machine.reconcile()
    if not remembered:
        (machine.settings.data_dir / "database.id").unlink()
    machine.restart(database_url=empty_postgres_url)
    with pytest.raises(
        StoreError, match=r"was used with another database than postgresql.*: set database_url back, .*data_dir"
    ):
        machine.reconcile()
    machine.restart(database_url=None)
    assert machine.reconcile().runs == []
    assert lines(ran) == ["a"]


def test_a_second_data_directory_may_join_a_database_in_use(
    repo: Repo, new_machine: Callable[..., Machine], postgres_url: str
) -> None:
    repo.commit({"a.yaml": a_script("a", "true")})
    first = new_machine(repo.url, "first", database_url=postgres_url)
    assert first.reconcile().ran == {"root/a": "finished"}
    key = first.settings.data_dir / "encryption.key"
    second = new_machine(repo.url, "second", database_url=postgres_url, encryption_key_file=key)
    second.reconcile()
    first.restart()
    assert first.reconcile().sync == second.reconcile().sync == {"root/a": "Synced"}
