"""What only one service at a time does, on every database."""

from __future__ import annotations

from datetime import timedelta

from reconciler.store.sql import SqlStore
from reconciler.store.stored import Lease
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
