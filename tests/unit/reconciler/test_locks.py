"""A stack that somebody keeps to themselves: what may go on, who may end it, and that it ends by itself."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from reconciler import locks, operations
from reconciler.core.conditions import assess
from reconciler.core.keeping import StackLock
from reconciler.core.planning import Proceed, QueueRun, Wait, decide
from reconciler.core.reasons import Reason
from reconciler.core.runs import Run, RunKind, RunStatus
from reconciler.core.standing import without_ended_lock
from reconciler.core.state import ConditionType, StackState, Sync
from reconciler.core.waiting import hindrance
from reconciler.loop.runs.decide import decide_due
from reconciler.refusals import OperationRefused, Refusal
from reconciler.store.encryption import Keys
from reconciler.store.protocol import Store
from reconciler.store.sql import open_store
from tests.factories import NOW, a_run, a_stack, a_stack_id, an_applied, an_outcome, later

NETWORK = a_stack_id("root/network")
LOCK = StackLock("user:ada", "moving the database", NOW, later(3600))
Ask = Callable[[Store, Run], object]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(f"sqlite:///{tmp_path / 'station.db'}", Keys([b"k" * 32]))


def put(store: Store, *runs: Run, **changes: object) -> None:
    with store.writing() as transaction:
        transaction.put_stacks([a_stack(NETWORK, sync=Sync.OUT_OF_SYNC, due_at=NOW, **changes)])
        transaction.add_runs(runs)


def found(store: Store) -> StackState:
    with store.reading() as reading:
        state = reading.stack(NETWORK)
    assert state is not None
    return state


def lock(
    store: Store, person: str = "user:ada", hours: int | None = 1, note: str = "moving the database"
) -> StackState:
    return locks.lock(store, NETWORK, note, None if hours is None else timedelta(hours=hours), person, NOW)


def test_a_queued_run_is_taken_back_and_nothing_starts_until_the_lock_is_over(store: Store) -> None:
    queued = a_run(NETWORK)
    put(store, queued)
    lock(store)
    with store.reading() as reading:
        run = reading.run(queued.id)
    assert run is not None
    assert (run.status, run.reason, run.message) == (RunStatus.SUPERSEDED, "Locked", "user:ada locked the stack")
    assert found(store).reason == Reason.LOCKED
    assert found(store).conditions[ConditionType.RECONCILING].message == (
        "locked by user:ada since 2026-03-01 12:00 UTC, until 2026-03-01 13:00 UTC: moving the database"
    )
    decide_due(store, "h", later(1))
    assert found(store).due_at == later(3600)
    decide_due(store, "h", later(3599))
    with store.reading() as reading:
        assert reading.active_runs([NETWORK]) == []
    decide_due(store, "h", later(3600))
    assert found(store).lock is None
    with store.reading() as reading:
        assert [run.status for run in reading.active_runs([NETWORK])] == [RunStatus.QUEUED]


def test_a_run_at_work_goes_on(store: Store) -> None:
    put(store, a_run(NETWORK, status=RunStatus.APPLYING))
    lock(store)
    with store.reading() as reading:
        assert [run.status for run in reading.active_runs([NETWORK])] == [RunStatus.APPLYING]


def test_the_second_to_lock_learns_who_was_first_and_why(store: Store) -> None:
    put(store)
    lock(store)
    with pytest.raises(OperationRefused, match=r"locked by user:ada since .*: moving the database$") as refused:
        lock(store, "user:bob")
    assert refused.value.reason is Refusal.LOCKED
    assert lock(store, note="still at it", hours=None).lock == StackLock("user:ada", "still at it", NOW)


@pytest.mark.parametrize(
    ("person", "breaks", "allowed"),
    [("user:ada", False, True), ("user:bob", False, False), ("user:bob", True, True)],
)
def test_only_who_locked_it_or_an_admin_ends_a_lock(store: Store, person: str, *, breaks: bool, allowed: bool) -> None:
    put(store)
    lock(store, hours=None)
    if not allowed:
        with pytest.raises(OperationRefused, match="user:ada"):
            locks.unlock(store, NETWORK, person, NOW, breaks=breaks)
        assert found(store).lock is not None
        return
    locks.unlock(store, NETWORK, person, NOW, "by a role", breaks=breaks)
    assert found(store).lock is None
    with store.reading() as reading:
        events = [row.event for row in reading.audit(0, 100)]
    assert [(it.event, it.person, it.details.get("note")) for it in events] == [
        ("stack-locked", "user:ada", "moving the database"),
        ("stack-unlocked", person, "moving the database"),
    ]
    with pytest.raises(OperationRefused, match="is not locked"):
        locks.unlock(store, NETWORK, person, NOW, breaks=breaks)


@pytest.mark.parametrize(
    ("status", "ask"),
    [
        (RunStatus.FINISHED, lambda store, _: operations.request_run(store, NETWORK, "user:ada", NOW)),
        (RunStatus.FINISHED, lambda store, _: operations.request_plan(store, NETWORK, "user:ada", NOW)),
        (RunStatus.FINISHED, lambda store, _: operations.request_destroy(store, NETWORK, "user:ada", NOW)),
        (RunStatus.FAILED, lambda store, run: operations.retry(store, run.id, "user:ada", NOW)),
        (RunStatus.UNCONFIRMED, lambda store, run: operations.confirm(store, run.id, "user:ada", NOW)),
    ],
    ids=["run", "plan", "destroy", "retry", "confirm"],
)
def test_what_somebody_asks_for_is_refused_as_well(store: Store, status: RunStatus, ask: Ask) -> None:
    run = a_run(NETWORK, status=status)
    put(store, run, lock=LOCK)
    with pytest.raises(OperationRefused) as refused:
        ask(store, run)
    assert refused.value.reason is Refusal.LOCKED


def test_a_drift_check_is_refused_while_the_stack_is_locked(store: Store) -> None:
    with store.writing() as transaction:
        transaction.put_stacks([a_stack(NETWORK, applied=an_applied(), sync=Sync.SYNCED, lock=LOCK)])
    with pytest.raises(OperationRefused, match="is locked by user:ada"):
        operations.request_check(store, NETWORK, "user:bob", NOW)
    assert operations.request_check(store, NETWORK, "user:bob", later(3600)).kind is RunKind.DRIFT


def test_what_was_confirmed_before_waits_and_then_goes_on() -> None:
    run = a_run(NETWORK, status=RunStatus.UNCONFIRMED, confirmed_by="user:bob")
    locked = a_stack(NETWORK, sync=Sync.OUT_OF_SYNC, lock=LOCK)
    assert decide(locked, run, NOW) == Wait()
    assert assess(locked, run, (), NOW).due_at == LOCK.until
    assert decide(without_ended_lock(locked, later(3600)), run, later(3600)) == Proceed(run)


def test_a_lock_holds_whatever_else_is_true_of_the_stack() -> None:
    synced = assess(a_stack(applied=an_applied(), lock=LOCK), None, (), NOW)
    assert (synced.reason, synced.conditions[ConditionType.RECONCILING].reason) == ("UpToDate", "Locked")
    failed = a_stack(lock=LOCK, last=an_outcome(status="failed", reason="RunnerDied"), retry_at=NOW)
    failed = assess(failed, None, (), NOW)
    assert (failed.reason, failed.conditions[ConditionType.RECONCILING].reason) == ("RunnerDied", "Locked")
    assert decide(failed, None, NOW) == Wait()
    assert decide(failed.evolve(lock=None), None, NOW) == QueueRun(needs_confirmation=False)
    blocked = hindrance(a_stack(sync=Sync.OUT_OF_SYNC, lock=LOCK), None)
    assert blocked is not None
    assert (blocked.words, blocked.lasting) == ("is locked while out of sync", True)
