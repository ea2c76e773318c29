"""Notices that wait to be sent."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from reconciler.core.runs import Run, RunStatus
from reconciler.store.sql import SqlStore
from reconciler.store.stored import OutboxEntry
from tests.factories import NOW, a_run, a_stack_id, later

LEASE = timedelta(seconds=30)


def add(store: SqlStore, *runs: Run) -> None:
    with store.writing() as transaction:
        transaction.add_runs(runs)
        transaction.add_to_outbox(runs, NOW)


def due(store: SqlStore, seconds: float = 0, limit: int = 100) -> list[OutboxEntry]:
    with store.reading() as reading:
        return reading.outbox(later(seconds), limit)


def claim(store: SqlStore, *entries: OutboxEntry, seconds: float = 0) -> list[OutboxEntry]:
    with store.writing() as transaction:
        return transaction.claim_outbox(entries, later(seconds), LEASE)


def remove(store: SqlStore, *entries: OutboxEntry) -> set[str]:
    with store.writing() as transaction:
        return transaction.remove_from_outbox(entries)


def ended(stack: str = "root/a", **changes: object) -> Run:
    return a_run(stack, status=RunStatus.FAILED, reason="ToolFailed", message="ü\0", finished_at=NOW, **changes)


def test_a_notice_is_about_the_run_as_it_was_then(store: SqlStore) -> None:
    run = a_run("root/a", status=RunStatus.UNCONFIRMED, reason="WaitsForConfirmation", message="ü\0")
    add(store, run)
    with store.writing() as transaction:
        transaction.put_run(
            run.evolve(status=RunStatus.DISCARDED, reason="Discarded", message="no", confirmed_by="x", finished_at=NOW)
        )
    (entry,) = due(store)
    assert (entry.run, entry.at, entry.attempt) == (run, NOW, 0)


def test_a_notice_goes_along_when_its_stack_moves(store: SqlStore) -> None:
    add(store, ended())
    with store.writing() as transaction:
        transaction.move_stack(a_stack_id("root/a"), a_stack_id("root/z"))
    assert [entry.run.stack for entry in due(store)] == [a_stack_id("root/z")]


def test_the_oldest_runs_come_first_and_no_more_than_asked_for(store: SqlStore) -> None:
    runs = [ended(f"root/s{number}") for number in range(5)]
    add(store, *reversed(runs))
    assert [entry.run.id for entry in due(store, limit=3)] == [run.id for run in runs[:3]]


def test_a_run_brings_one_notice_for_a_status(store: SqlStore) -> None:
    waits = a_run("root/a", status=RunStatus.UNCONFIRMED)
    add(store, waits)
    with store.writing() as transaction:
        transaction.add_to_outbox([], NOW)
        transaction.add_to_outbox([waits, waits.evolve(status=RunStatus.DISCARDED)], later(1))
    assert [(entry.run.status, entry.at) for entry in due(store, 1)] == [
        (RunStatus.DISCARDED, later(1)),
        (RunStatus.UNCONFIRMED, NOW),
    ]


def test_what_was_taken_is_nobody_elses_until_the_lease_ends(store: SqlStore) -> None:
    add(store, ended("root/a"), ended("root/b"))
    first, second = due(store)
    (taken,) = claim(store, first)
    assert (taken.id, taken.attempt) == (first.id, 1)
    assert due(store) == [second]
    assert claim(store, first, second) == [OutboxEntry(second.id, second.run, NOW, 1)]
    assert [entry.id for entry in due(store, 30)] == [first.id, second.id]
    (again,) = claim(store, first, seconds=31)
    assert again.attempt == 2


def test_only_who_holds_a_notice_removes_or_postpones_it(store: SqlStore) -> None:
    add(store, ended())
    (seen,) = due(store)
    (lapsed,) = claim(store, seen)
    (taken,) = claim(store, seen, seconds=31)
    assert remove(store, seen, lapsed) == set()
    with store.writing() as transaction:
        transaction.postpone_outbox(lapsed, later(1000))
        transaction.postpone_outbox(taken, later(100))
    assert (due(store, 99), [entry.id for entry in due(store, 100)]) == ([], [taken.id])
    assert remove(store, taken) == {taken.id}
    assert remove(store, taken) == set()
    assert due(store, 1000) == []


def test_what_nobody_took_can_be_removed(store: SqlStore) -> None:
    add(store, ended("root/a"), ended("root/b"))
    entries = due(store)
    assert remove(store, *entries) == {entry.id for entry in entries}
    assert remove(store) == set()


def test_a_notice_is_not_there_where_its_transaction_failed(store: SqlStore) -> None:
    with pytest.raises(ValueError, match="a bug"), store.writing() as transaction:  # noqa: PT012
        transaction.add_runs([run := ended()])
        transaction.add_to_outbox([run], NOW)
        raise ValueError("a bug")
    assert due(store) == []


def test_services_that_claim_at_once_share_the_notices(store: SqlStore) -> None:
    add(store, *(ended(f"root/s{number}") for number in range(40)))
    entries = due(store)
    with ThreadPoolExecutor(4) as pool:
        claims = [each for part in pool.map(lambda _: claim(store, *entries), range(4)) for each in part]
    assert sorted(each.id for each in claims) == sorted(each.id for each in entries)


def test_a_copy_for_a_receiver_is_apart_and_there_once(store: SqlStore) -> None:
    add(store, ended("root/a"), ended("root/b", id="02"))
    notices = due(store)
    with store.writing() as transaction:
        transaction.add_deliveries(notices[0], ["root/slack", "top/hook"], NOW)
        transaction.add_deliveries(notices[0], ["root/slack"], NOW)
        transaction.add_deliveries(notices[1], [], NOW)
    assert due(store) == notices
    with store.writing() as transaction:
        copies = transaction.deliveries(NOW, 10)
        assert transaction.remove_from_outbox([notices[0]]) == {notices[0].id}
        transaction.postpone_outbox(copies[0], later(5))
    assert [(copy.receiver, copy.run, copy.at) for copy in copies] == [
        ("root/slack", notices[0].run, NOW),
        ("top/hook", notices[0].run, NOW),
    ]
    with store.reading() as reading:
        assert [copy.receiver for copy in reading.deliveries(NOW, 10)] == ["top/hook"]
        assert [copy.receiver for copy in reading.deliveries(later(5), 10)] == ["top/hook", "root/slack"]
