"""What only a server can do to us."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import pytest
from sqlalchemy import text

from reconciler.core.runs import RunEvent
from reconciler.store.encryption import Keys
from reconciler.store.sql import SqlStore, open_store
from reconciler.store.stored import StoreBusy, StoreError
from spaces.names import StackId
from tests.factories import NOW, a_run, a_stack, a_stack_id, advanced, later

CUT = text(
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
)
A, B = a_stack_id("a/one"), a_stack_id("b/two")


@pytest.fixture
def url(postgres_url: str) -> str:
    return postgres_url


def test_a_deadlock_is_busy_for_one_and_nothing_for_the_other(store: SqlStore) -> None:
    with store.writing() as transaction:
        transaction.put_stacks([a_stack(A), a_stack(B)])
    together = Barrier(2)

    def work(order: tuple[StackId, StackId]) -> str:
        try:
            with store.writing() as transaction:
                transaction.stack(order[0])
                together.wait()
                transaction.stack(order[1])
        except StoreBusy as error:
            return str(error)
        return "done"

    with ThreadPoolExecutor(2) as pool:
        first, second = sorted(pool.map(work, [(A, B), (B, A)]))
    assert first == "done"
    assert "deadlock" in second


def test_a_claim_neither_waits_for_a_locked_stack_nor_takes_its_run(store: SqlStore, hasty: SqlStore) -> None:
    one, two = a_run(A), a_run(B)
    with store.writing() as transaction:
        transaction.put_stacks([a_stack(A), a_stack(B)])
        transaction.add_runs([one, two])
    with store.writing() as transaction:
        transaction.stack(A)
        with hasty.writing() as other:
            taken = other.claim("two", NOW, timedelta(minutes=1), 5)
            other.stacks([run.stack for run in taken])
        transaction.put_run(advanced(one, RunEvent.SUPERSEDE))
    assert [run.id for run in taken] == [two.id]


def test_a_stack_that_goes_wakes_those_above_and_waits_for_none_of_them(store: SqlStore, hasty: SqlStore) -> None:
    above, also = a_stack_id("a/above"), a_stack_id("a/also")
    with store.writing() as transaction:
        transaction.put_stacks([a_stack(B), *(a_stack(stack, due_at=later(60)) for stack in (above, also))])
        transaction.put_dependencies({B: {above, also}})
    with store.writing() as transaction:
        # Who holds a stack may want those below it next: to wait here would be to wait for each other.
        transaction.stack(above)
        with hasty.writing() as other:
            other.wake_parents([B], NOW)
    with store.reading() as reading:
        assert [reading.stacks()[stack].due_at for stack in (above, also)] == [later(60), NOW]


def test_a_connection_that_is_cut_is_busy_and_the_next_one_works(store: SqlStore) -> None:
    def lose() -> None:
        with store.writing() as transaction:
            transaction.put_stacks([a_stack(A)])
            with store._engine.connect() as other:
                other.execute(CUT)
            transaction.stack(A)

    with pytest.raises(StoreBusy) as caught:
        lose()
    assert len(str(caught.value).splitlines()) == 1
    with store.reading() as reading:
        assert reading.stacks() == {}


def test_idle_connections_that_were_cut_are_not_noticed(store: SqlStore) -> None:
    with store.reading() as reading:
        reading.stacks()
    with store._engine.connect() as first, store._engine.connect() as other:
        first.execute(text("SELECT 1"))
        other.execute(CUT)
        first.invalidate()
    with store.reading() as reading:
        assert reading.stacks() == {}


def test_what_points_to_a_locked_stack_can_be_added(store: SqlStore, hasty: SqlStore) -> None:
    with store.writing() as transaction:
        transaction.put_stacks([a_stack(A)])
    run = a_run(A)
    with store.writing() as transaction:
        assert transaction.stack(A) is not None
        with hasty.writing() as other:
            assert other.add_runs([run]) == [run.id]


def test_a_reading_cannot_write(store: SqlStore) -> None:
    with pytest.raises(StoreError, match="read-only"), store.reading() as reading:
        reading._connection.execute(text("DELETE FROM stacks"))


@pytest.mark.parametrize(
    ("url", "error", "message"),
    [
        pytest.param(
            "postgresql://user:hunter2@127.0.0.1:1/station", StoreBusy, r"database station on 127\.0\.0\.1:1", id="down"
        ),
        pytest.param("mysql://user:hunter2@host/x", StoreError, "mysql is not supported", id="another database"),
        pytest.param("hunter2", StoreError, "not a URL", id="no URL"),
        pytest.param("postgresql://user:hunter2@host:port/x", StoreError, "not a URL", id="port is no number"),
        pytest.param("sqlite://", StoreError, "plain path", id="in memory"),
        pytest.param("sqlite:////tmp/x.db?mode=memory", StoreError, "plain path", id="SQLite with a query"),
    ],
)
def test_urls_that_lead_nowhere(url: str, error: type[StoreError], message: str, keys: Keys) -> None:
    with pytest.raises(error, match=message) as caught:
        open_store(url, keys, patience=timedelta(seconds=2))
    assert "hunter2" not in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_a_database_that_does_not_exist(url: str, keys: Keys) -> None:
    with pytest.raises(StoreError, match="does not exist"):
        open_store(url.replace("/station?", "/none?"), keys)
