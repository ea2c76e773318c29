"""Answers to requests with a key, on every database."""

from __future__ import annotations

from datetime import timedelta

from reconciler.store.sql import SqlStore
from reconciler.store.stored import KeptAnswer
from tests.factories import NOW


def test_an_answer_is_kept_for_a_day_and_a_dead_request_for_minutes(store: SqlStore) -> None:
    def begin(key: str, request: str, minutes: float = 0) -> KeptAnswer | None:
        with store.writing() as transaction:
            return transaction.begin_answer(key, request, NOW + timedelta(minutes=minutes))

    assert begin("k", "one") is None
    assert begin("k", "two") == KeptAnswer("one")
    assert begin("other", "two") is None
    assert begin("k", "one", 6) is None
    with store.writing() as transaction:
        transaction.end_answer("k", 201, b"\x00 a secret")
        transaction.forget_answer("other")
    assert begin("k", "two", 60) == KeptAnswer("one", 201, b"\x00 a secret")
    assert begin("other", "two", 60) is None
    assert begin("k", "two", 25 * 60) is None
