"""What only one service at a time does, on every database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from reconciler.store.sql import SqlStore
from reconciler.store.stored import Lease, StoreBusy
from tests.factories import NOW

MINUTE = timedelta(minutes=1)


def test_a_lease_has_one_holder_until_it_ends(store: SqlStore) -> None:
    with store.reading() as reading:
        assert reading.lease("gauges") is None
    with store.writing() as transaction:
        assert transaction.take_lease("gauges", "one", NOW, MINUTE)
        assert not transaction.take_lease("gauges", "two", NOW, MINUTE)
        assert transaction.take_lease("other", "two", NOW, MINUTE)
        assert transaction.take_lease("gauges", "one", NOW + MINUTE / 2, MINUTE)
        assert not transaction.take_lease("gauges", "two", NOW + MINUTE, MINUTE)
    with store.reading() as reading:
        assert reading.lease("gauges") == Lease("one", NOW + 1.5 * MINUTE)
    with store.writing() as transaction:
        assert transaction.take_lease("gauges", "two", NOW + 1.5 * MINUTE, MINUTE)
        assert not transaction.take_lease("gauges", "one", NOW + 1.5 * MINUTE, MINUTE)


def test_whoever_writes_keeps_the_lease_to_the_end_of_the_transaction(store: SqlStore, hasty: SqlStore) -> None:
    with store.writing() as transaction:
        assert not transaction.holds_lease("leader", "one")
        transaction.take_lease("leader", "one", NOW, MINUTE)
    with store.writing() as transaction:
        assert transaction.holds_lease("leader", "one")
        assert not transaction.holds_lease("leader", "two")
        with pytest.raises(StoreBusy), hasty.writing() as other:
            other.take_lease("leader", "two", NOW + MINUTE, MINUTE)
    with store.writing() as transaction:
        transaction.end_lease("leader", "two")
        assert transaction.holds_lease("leader", "one")
        transaction.end_lease("leader", "one")
        assert transaction.take_lease("leader", "two", NOW, MINUTE)


def test_services_are_known_for_a_day(store: SqlStore) -> None:
    with store.writing() as transaction:
        # The database's own clock, where services share it.
        own = transaction.clock(NOW) == NOW
        assert own or abs(transaction.clock(NOW) - datetime.now(UTC)) < MINUTE
        transaction.put_service("one", "here", "1.2.3", NOW)
        transaction.put_service("two", "there", "1.2.4", NOW + 20 * 60 * MINUTE)
        transaction.ask_to_look("one", NOW + MINUTE)
        transaction.put_service("one", "here", "1.2.5", NOW + 2 * MINUTE)
    with store.reading() as reading:
        seen = [(it.holder, it.version, it.asked_at > NOW) for it in reading.services()]
    assert seen == [("one", "1.2.5", True), ("two", "1.2.4", False)]
    with store.writing() as transaction:
        transaction.put_service("three", "there", "1.2.4", NOW + 25 * 60 * MINUTE)
        transaction.remove_service("two")
        assert [it.holder for it in transaction.services()] == ["three"]
