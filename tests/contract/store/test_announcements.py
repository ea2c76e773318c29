"""What notifiers are to tell that is not about a run."""

from __future__ import annotations

from datetime import timedelta

from reconciler.store.sql import SqlStore
from reconciler.store.stored import Announcement
from tests.factories import NOW, later

LEASE = timedelta(seconds=30)
ONE = Announcement("held 1 root/a", "root/a", {"event": "held", "changes": [{"name": "ü"}]}, NOW)
OTHER = Announcement("halted 1 root/b", "root/b", {"event": "halted"}, later(1))


def due(store: SqlStore, seconds: float = 0) -> list[Announcement]:
    with store.reading() as reading:
        return reading.announcements(later(seconds), 10)


def test_one_is_taken_by_one_and_removed_by_nobody_else(store: SqlStore) -> None:
    with store.writing() as transaction:
        transaction.add_announcements([ONE, OTHER])
        transaction.add_announcements([ONE])
    assert (due(store), due(store, 1)) == ([ONE], [ONE, OTHER])
    with store.writing() as transaction:
        (first,) = transaction.claim_announcements([ONE, OTHER], NOW, LEASE)
        assert transaction.claim_announcements([ONE], NOW, LEASE) == []
    assert (first.id, first.body, first.attempt) == (ONE.id, ONE.body, 1)
    with store.writing() as transaction:
        (second,) = transaction.claim_announcements([ONE], later(30), LEASE)
        transaction.postpone_announcement(first, NOW)
        assert not transaction.remove_announcement(first)
        transaction.postpone_announcement(second, later(90))
    assert due(store, 60) == [OTHER]
    with store.writing() as transaction:
        assert transaction.remove_announcement(second)
    assert due(store, 100) == [OTHER]
