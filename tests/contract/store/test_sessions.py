from __future__ import annotations

from reconciler.store.sql import SqlStore
from reconciler.store.stored import Session
from tests.factories import NOW, later

ALICE = Session("a" * 64, "b1", "f" * 64, NOW, later(60))
OPERATOR = Session("b" * 64, None, "e" * 64, later(60), later(120))


def test_a_session_ends_when_it_is_removed_and_is_forgotten_once_it_has_expired(store: SqlStore) -> None:
    with store.writing() as transaction:
        transaction.add_session(ALICE)
        assert transaction.session(ALICE.id) == ALICE
        transaction.add_session(OPERATOR)
    with store.reading() as reading:
        assert (reading.session(ALICE.id), reading.session(OPERATOR.id)) == (None, OPERATOR)
    with store.writing() as transaction:
        transaction.remove_session(OPERATOR.id)
        transaction.remove_session("absent")
        assert transaction.session(OPERATOR.id) is None


def test_a_session_is_not_shown_with_the_hash_of_its_token() -> None:
    assert "f" * 64 not in repr(ALICE)
