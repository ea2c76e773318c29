from __future__ import annotations

from dataclasses import replace

from reconciler.store.encryption import Keys
from reconciler.store.sql import SqlStore, open_store
from reconciler.store.stored import ApiToken, DeviceLogin
from tests.contract.store.older import make_older
from tests.factories import NOW, later

ONE = ApiToken("b1", "user:alice", "operator", NOW, later(60), "f" * 64)
TWO = ApiToken(
    *("a2", "apiKey:ci", "user:alice", NOW, None, "e" * 64, "b1", "a laptop"), idp_groups=("Team Web", "others")
)


def test_tokens_come_back_as_they_were(store: SqlStore) -> None:
    with store.writing() as transaction:
        assert transaction.api_tokens() == []
        transaction.add_api_token(ONE)
        transaction.add_api_token(TWO)
    with store.reading() as reading:
        assert reading.api_tokens() == [TWO, ONE]
        assert (reading.api_token("b1"), reading.api_token("absent")) == (ONE, None)
    with store.writing() as transaction:
        transaction.use_api_token("b1", later(5))
        assert transaction.api_tokens() == [TWO, replace(ONE, used_at=later(5))]


def test_a_token_that_was_removed_is_gone(store: SqlStore) -> None:
    with store.writing() as transaction:
        transaction.add_api_token(ONE)
        assert transaction.remove_api_token("b1")
        assert not transaction.remove_api_token("b1")
    with store.reading() as reading:
        assert reading.api_tokens() == []


def test_a_token_is_not_shown_with_its_hash() -> None:
    assert "f" * 64 not in repr(ONE)


def test_tokens_of_an_older_database_open_what_they_did(store: SqlStore, url: str, keys: Keys) -> None:
    """They have no name, no last use and no groups, and can get them."""
    with store.writing() as transaction:
        for token in (ONE, TWO):
            transaction.add_api_token(token)
    make_older(store, "0023")
    newer = open_store(url, keys)
    before = replace(TWO, name=None, idp_groups=())
    with newer.writing() as transaction:
        assert transaction.api_tokens() == [before, ONE]
        transaction.use_api_token(TWO.id, later(5))
        assert transaction.api_token(TWO.id) == replace(before, used_at=later(5))
        assert transaction.remove_api_token(TWO.id)
        transaction.add_api_token(TWO)
    with newer.reading() as reading:
        assert reading.api_tokens() == [TWO, ONE]
    newer.close()


def test_one_person_says_yes_to_a_program_and_only_so_many_wait(store: SqlStore) -> None:
    first = DeviceLogin("hash", "WXYZ-1234", "station on a laptop", NOW, later(600))
    said = replace(first, subject="user:alice", idp_groups=("Team Web",), token="b1")
    soon = DeviceLogin("other", "ABCD-1234", "station", later(601), later(1200))
    with store.writing() as transaction:
        assert transaction.add_device_login(first, 1)
        assert not transaction.add_device_login(replace(soon, created_at=NOW), 1)
        assert transaction.confirm_device_login(said)
        assert not transaction.confirm_device_login(replace(said, subject="user:bob"))
    with store.reading() as reading:
        assert reading.device_login("hash") == reading.device_login_of("WXYZ-1234") == said
    with store.writing() as transaction:
        assert transaction.add_device_login(soon, 1), "one that is too old gives way"
        assert transaction.device_login("hash") is None
        transaction.remove_device_login("other")
        assert transaction.device_login("other") is None
