"""Worker pools in the queue: their limits, whose turn it is in each, and what follows a stack to another one."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from reconciler.core.queue import PoolLimits
from reconciler.core.runs import Run, RunEvent, RunKind, RunStatus
from reconciler.core.timers import Purpose, Timer
from reconciler.store.pools import Drained, PoolRuns
from reconciler.store.sql import SqlStore
from tests.factories import NOW, a_desired, a_run, a_stack, a_stack_id, advanced, later

LEASE = timedelta(seconds=30)
BIG = "infra/big"


def claim(store: SqlStore, limit: int = 10, **limits: PoolLimits) -> list[Run]:
    with store.writing() as transaction:
        return transaction.claim("me", NOW, LEASE, limit, {BIG: limits["big"]} if limits else {})


def test_a_full_pool_waits_and_keeps_no_other_back(store: SqlStore) -> None:
    ours = [a_run(f"a/s{number}", pool=BIG) for number in range(4)]
    checks = [a_run(f"a/c{number}", pool=BIG, kind=RunKind.DRIFT) for number in range(3)]
    other = a_run("a/other", kind=RunKind.DRIFT)
    with store.writing() as transaction:
        transaction.add_runs([*ours, *checks, other])
    assert [run.id for run in claim(store, big=PoolLimits(2))] == [ours[0].id, ours[1].id, other.id]
    assert claim(store, big=PoolLimits(2)) == []
    assert claim(store, big=PoolLimits(drained=True)) == []
    taken = claim(store, big=PoolLimits(9, most_checks=1))
    assert sorted(run.id for run in taken) == sorted([ours[2].id, ours[3].id, checks[0].id])
    assert {run.pool for run in taken} == {BIG}
    with store.reading() as reading:
        assert reading.count_by_pool() == {BIG: PoolRuns(2, 5, 3), "default": PoolRuns(0, 1, 1)}
    assert [run.id for run in claim(store, big=PoolLimits(most_checks=3))] == [run.id for run in checks[1:]]


def test_workers_elsewhere_take_no_places_here(store: SqlStore) -> None:
    far = [a_run(f"a/f{number}", pool=BIG) for number in range(3)]
    here = [a_run(f"a/h{number}") for number in range(2)]
    with store.writing() as transaction:
        transaction.add_runs([*far, *here])
    assert [run.id for run in claim(store, limit=0, big=PoolLimits(places=2))] == [far[0].id, far[1].id]
    assert [run.id for run in claim(store, limit=1, big=PoolLimits(places=0))] == [here[0].id]
    assert [run.id for run in claim(store, limit=5, big=PoolLimits(2, places=9))] == [here[1].id]


def test_spaces_take_turns_in_each_pool_by_itself(store: SqlStore) -> None:
    far = [a_run(f"busy/f{number}", status=RunStatus.APPLYING) for number in range(3)]
    busy, calm = ([a_run(f"{space}/s{number}", pool=BIG) for number in range(2)] for space in ("busy", "calm"))
    with store.writing() as transaction:
        transaction.add_runs([*far, *busy, *calm])
    assert [run.id for run in claim(store, limit=3)] == sorted([busy[0].id, calm[0].id, busy[1].id])


def test_what_is_queued_follows_its_stack_and_what_is_at_work_does_not(store: SqlStore) -> None:
    queued, at_work = a_run("a/q"), a_run("a/w", status=RunStatus.PLANNING)
    with store.writing() as transaction:
        transaction.put_stacks([a_stack("a/q"), a_stack("a/w")])
        transaction.add_runs([queued, at_work])
        transaction.put_pools({queued.stack: BIG, at_work.stack: BIG})
        transaction.move_stack(queued.stack, a_stack_id("b/q"))
    (taken,) = claim(store, big=PoolLimits(1))
    assert (taken.id, str(taken.stack), taken.pool) == (queued.id, "b/q", BIG)
    with store.writing() as transaction:
        assert transaction.run(at_work.id) == at_work
        transaction.put_run(advanced(taken, RunEvent.FOUND_NOTHING))
        assert transaction.drain_pool(BIG, Drained("ada", NOW))
        assert not transaction.drain_pool(BIG, Drained("bob", later(1)))
        assert transaction.drained_pools() == {BIG: Drained("ada", NOW)}
        assert transaction.resume_pool(BIG)
        assert not transaction.resume_pool(BIG)


def test_what_a_run_at_work_waits_for_is_noted_for_that_attempt_alone(store: SqlStore) -> None:
    at_work, queued = a_run("a/w", status=RunStatus.PLANNING, attempt=2), a_run("a/q")
    with store.writing() as transaction:
        transaction.add_runs([at_work, queued])
        for run, attempt in ((at_work, 1), (at_work, 2), (queued, queued.attempt)):
            transaction.note_run(run.id, attempt, f"image of {attempt}")
    with store.reading() as reading:
        assert reading.run(at_work.id) == replace(at_work, message="image of 2")
        assert reading.run(queued.id) == queued


def test_timers_of_pools_can_be_left_out(store: SqlStore) -> None:
    here, there = a_stack("a/here"), a_stack("a/there", desired=a_desired(pool=BIG))
    with store.writing() as transaction:
        transaction.put_stacks([here, there])
        transaction.put_timers(Timer(it.id, Purpose.DRIFT, NOW, "* * * * *", NOW) for it in (here, there))
        assert transaction.stack(there.id) == there
        for without, found in (((), {here.id, there.id}), ((BIG,), {here.id}), (("default",), {there.id})):
            due = transaction.due_timers([Purpose.DRIFT], later(1), 10, without)
            assert {timer.stack for timer in due} == found
