"""A database and the keys that it needs belong together."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from reconciler.core.issuer_keys import IssuerKey
from reconciler.core.results import Output
from reconciler.store.encryption import Keys
from reconciler.store.sql import SqlStore, open_store
from reconciler.store.stored import CannotUnseal, StoreError
from tests.contract.store.older import make_older
from tests.factories import NOW, a_stack_id, record_results

STACK = a_stack_id("a/one")


def _seal_a_tfstate(store: SqlStore) -> None:
    with store.writing() as transaction:
        transaction.add_tfstate(STACK, b"{}", None, NOW)


def _seal_an_output(store: SqlStore) -> None:
    with store.writing() as transaction:
        record_results(transaction, STACK, [], [Output("password", "hunter2", sensitive=True)])


def _seal_nothing(store: SqlStore) -> None:
    with store.writing() as transaction:
        record_results(transaction, STACK, [], [Output("url", "x")])


@pytest.mark.parametrize("seal", [_seal_a_tfstate, _seal_an_output], ids=["tfstate", "output"])
@pytest.mark.parametrize("older", [False, True], ids=["noted", "of an older schema"])
def test_a_lost_key_is_not_made_anew(
    *, url: str, store: SqlStore, keys: Keys, tmp_path: Path, seal: Callable[[SqlStore], None], older: bool
) -> None:
    seal(store)
    if older:
        make_older(store, "0003")
    lost = tmp_path / "lost"
    message = f"^the database holds data sealed with key {keys.current}, which is not in {lost}: restore it "
    for _ in range(2):
        with pytest.raises(StoreError, match=message):
            open_store(url, Keys.at(lost))
        assert not lost.exists()
    open_store(url, Keys.at(tmp_path / "keys")).close()


def test_a_key_beside_another_one_is_missed_as_well(url: str, store: SqlStore, keys: Keys) -> None:
    _seal_a_tfstate(store)
    with pytest.raises(StoreError, match=f"key {keys.current}, which is not in encryption_key_file"):
        open_store(url, Keys([b"k" * 32]))


def test_where_nothing_is_sealed_each_service_makes_a_key(url: str, store: SqlStore, tmp_path: Path) -> None:
    _seal_nothing(store)
    other = open_store(url, Keys.at(tmp_path / "other"))
    assert (tmp_path / "other").stat().st_mode & 0o777 == 0o600
    _seal_a_tfstate(other)
    with other.reading() as reading:
        assert reading.tfstate(STACK) is not None
    other.close()
    with store.reading() as reading, pytest.raises(CannotUnseal, match="needs the key"):
        reading.tfstate(STACK)
    with pytest.raises(StoreError, match="holds data sealed with key"):
        open_store(url, Keys.at(tmp_path / "keys"))


def test_a_key_that_sealed_only_a_key_of_the_issuer_is_missed(url: str, store: SqlStore, keys: Keys) -> None:
    with store.writing() as transaction:
        transaction.add_issuer_key(IssuerKey("k", NOW, {"kid": "k"}), b"private")
    with pytest.raises(StoreError, match=f"key {keys.current}, which is not in"):
        open_store(url, Keys([b"k" * 32]))
    with store.writing() as transaction:
        assert transaction.issuer_keys() == [IssuerKey("k", NOW, {"kid": "k"})]
        assert transaction.private_issuer_key("k") == b"private"
        transaction.remove_issuer_keys(["k"])
        assert transaction.private_issuer_key("k") is None
    open_store(url, Keys([b"k" * 32])).close()


def test_an_old_key_may_go_when_nothing_needs_it(url: str, store: SqlStore) -> None:
    _seal_an_output(store)
    with store.writing() as transaction:
        record_results(transaction, STACK, [], [])
    open_store(url, Keys([b"k" * 32])).close()
