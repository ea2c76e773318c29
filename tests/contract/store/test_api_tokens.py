from __future__ import annotations

from dataclasses import replace

from reconciler.store.sql import SqlStore
from reconciler.store.stored import ApiToken
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
