from __future__ import annotations

import itertools
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from reconciler.core.phases import Phase
from reconciler.core.results import Action, ChangeCounts, Planned, ResourceChange
from reconciler.core.runs import ACTIVE, WRITING, Run, RunEvent, RunId, RunKind, RunStatus
from reconciler.core.state import Component, SourceCommit, Why
from reconciler.store.sql import SqlStore
from reconciler.store.stored import LostLease, RunFilter
from spaces.names import SpaceName
from tests.factories import (
    NOW,
    OTHER_REVISION,
    REVISION,
    a_desired,
    a_run,
    a_run_id,
    a_stack,
    a_stack_id,
    advanced,
    later,
)

LEASE = timedelta(seconds=30)


def add(store: SqlStore, *runs: Run) -> list[RunId]:
    with store.writing() as transaction:
        return transaction.add_runs(runs)


def claim(store: SqlStore, holder: str = "me", limit: int = 10) -> list[Run]:
    with store.writing() as transaction:
        return transaction.claim(holder, NOW, LEASE, limit)


def put(store: SqlStore, run: Run) -> Run:
    with store.writing() as transaction:
        transaction.put_run(run)
    return run


def get(store: SqlStore, run: Run) -> Run | None:
    with store.reading() as reading:
        return reading.run(run.id)


FULL = a_run(
    why=(Why(Component.CONTEXTS, "env ü"),),
    person="älice\0",
    source=SourceCommit("root/infra", REVISION, "älice"),
    needs_confirmation=True,
    phase=Phase.PLAN,
    reason="Planning",
    message="\ud800 ü",
    changes=ChangeCounts(1, 2, 3, 4, 5, 6, 7, 8),
    plan_digest="ab",
    attempt=3,
    holder="me",
    lease_until=later(30),
    cancel_requested=True,
    started_at=later(1),
    finished_at=later(2),
    confirmed_by="bob",
    status=RunStatus.PLANNING,
)


@pytest.mark.parametrize("run", [pytest.param(a_run(), id="new"), pytest.param(FULL, id="every field")])
def test_a_run_comes_back_as_it_was_added(store: SqlStore, run: Run) -> None:
    assert add(store, run) == [run.id]
    with store.writing() as transaction:
        assert transaction.run(run.id) == run
        transaction.put_run(run.evolve(message="other"))
    assert get(store, run) == run.evolve(message="other")


def test_a_run_that_is_not_there(store: SqlStore) -> None:
    assert get(store, a_run()) is None
    assert add(store) == []
    with pytest.raises(LostLease):
        put(store, a_run())
    with store.reading() as reading:
        assert reading.planned(a_run().id) is None
        assert reading.log(a_run().id) is None


def test_a_run_does_not_make_its_stack_known(store: SqlStore) -> None:
    add(store, a_run())
    with store.reading() as reading:
        assert reading.stack(a_stack_id()) is None
        assert reading.stacks() == {}
        assert reading.last_runs([a_stack_id()]).keys() == {a_stack_id()}
    with store.writing() as transaction:
        transaction.put_stacks([a_stack()])
    with store.reading() as reading:
        assert reading.stacks().keys() == {a_stack_id()}


def test_a_stack_has_one_active_writing_run(store: SqlStore) -> None:
    cases = list(itertools.product(RunKind, RunStatus, RunKind))
    pairs = [
        (a_run(f"a/s{number}", kind=kind, status=status), a_run(f"a/s{number}", kind=second))
        for number, (kind, status, second) in enumerate(cases)
    ]
    add(store, *(there for there, _ in pairs))
    added = set(add(store, *(new for _, new in pairs)))
    refused = [case for case, (_, new) in zip(cases, pairs, strict=True) if new.id not in added]
    assert refused == [
        (kind, status, second)
        for kind, status, second in cases
        if status in ACTIVE and kind in WRITING and second in WRITING
    ]
    assert all((get(store, new) is None) == (new.id not in added) for _, new in pairs)


def test_the_first_of_two_in_one_call_wins_and_others_go_on(store: SqlStore) -> None:
    first, second, other = a_run("a/one"), a_run("a/one"), a_run("a/two")
    assert add(store, other, first, second) == [other.id, first.id]
    assert add(store, other) == []


def test_a_claim_takes_the_oldest_first(store: SqlStore) -> None:
    runs = [a_run(f"a/s{number}") for number in range(5)]
    add(store, *reversed(runs))
    taken = claim(store, "me", 3)
    assert [run.id for run in taken] == [run.id for run in runs[:3]]
    assert taken[0] == runs[0].evolve(
        status=RunStatus.PLANNING, attempt=1, holder="me", lease_until=NOW + LEASE, started_at=NOW
    )
    assert get(store, runs[0]) == taken[0]
    assert [run.id for run in claim(store, "you")] == [run.id for run in runs[3:]]
    assert claim(store) == []


def test_spaces_take_turns_and_what_runs_are_for_comes_first(store: SqlStore) -> None:
    busy = [a_run(f"busy/s{number}") for number in range(4)]
    task, proposal, drift = (
        a_run("busy/x", kind=RunKind.TASK),
        a_run("calm/y", kind=RunKind.PROPOSED),
        a_run("calm/z", kind=RunKind.DRIFT),
    )
    calm = [a_run(f"calm/s{number}") for number in range(2)]
    add(store, drift, proposal, task, *busy, *calm)
    order = []
    for _ in range(9):
        (taken,) = claim(store, limit=1)
        order.append(taken.id)
        put(store, advanced(taken, RunEvent.FOUND_NOTHING))
    fair = [busy[0], calm[0], busy[1], calm[1], busy[2], busy[3]]
    assert order == [run.id for run in (*fair, task, proposal, drift)]


def test_the_space_with_fewer_runs_at_work_comes_first_also_after_a_move(store: SqlStore) -> None:
    at_work = [a_run(f"busy/w{number}", status=RunStatus.APPLYING) for number in range(2)]
    older, moves, newer = a_run("busy/a"), a_run("calm/m"), a_run("calm/b")
    with store.writing() as transaction:
        transaction.put_stacks([a_stack("calm/m")])
        transaction.add_runs([*at_work, older, moves, newer])
        transaction.move_stack(moves.stack, a_stack_id("busy/m"))
    assert [run.id for run in claim(store, limit=1)] == [newer.id]
    assert [run.stack for run in claim(store, limit=2)] == [older.stack, a_stack_id("busy/m")]


@pytest.mark.parametrize(
    ("there", "new", "taken"),
    [
        pytest.param(a_run(status=RunStatus.APPLYING), a_run(kind=RunKind.DRIFT), False, id="drift behind an apply"),
        pytest.param(a_run(status=RunStatus.PLANNING), a_run(kind=RunKind.DRIFT), False, id="drift behind a plan"),
        pytest.param(a_run(status=RunStatus.UNCONFIRMED), a_run(kind=RunKind.DRIFT), True, id="drift while one waits"),
        pytest.param(a_run(status=RunStatus.FINISHED), a_run(), True, id="behind one that ended"),
        pytest.param(
            a_run(status=RunStatus.PLANNING, kind=RunKind.DRIFT),
            a_run(kind=RunKind.PROPOSED),
            False,
            id="proposal behind drift",
        ),
        pytest.param(a_run("a/other", status=RunStatus.APPLYING), a_run(kind=RunKind.DRIFT), True, id="another stack"),
        pytest.param(a_run(status=RunStatus.FINISHED), a_run(cancel_requested=True), False, id="to be canceled"),
    ],
)
def test_what_a_claim_leaves_alone(store: SqlStore, there: Run, new: Run, *, taken: bool) -> None:
    add(store, there, new)
    with store.reading() as reading:
        assert reading.in_the_way([there.id, new.id]) == ({} if taken or new.cancel_requested else {new.id: there.id})
    assert [run.id for run in claim(store)] == ([new.id] if taken else [])


@pytest.mark.parametrize("earlier", [True, False], ids=["older", "younger"])
def test_a_reader_waits_for_a_writer_of_the_same_claim(store: SqlStore, *, earlier: bool) -> None:
    first, second = a_run_id(), a_run_id()
    writer, reader = a_run(id=first if earlier else second), a_run(id=second if earlier else first, kind=RunKind.DRIFT)
    add(store, writer, reader)
    (taken,) = claim(store)
    assert taken.id == writer.id
    put(store, advanced(taken, RunEvent.FOUND_NOTHING))
    assert [run.id for run in claim(store)] == [reader.id]


def test_two_hundred_runs_are_claimed_once_each(store: SqlStore) -> None:
    runs = [a_run(f"a/s{number}") for number in range(200)]
    add(store, *runs)

    def work(holder: str) -> list[tuple[str, str]]:
        taken = []
        while found := claim(store, holder, 7):
            taken += [(run.id, holder) for run in found]
            for run in found:
                put(store, advanced(run, RunEvent.PROCEED))
        return taken

    with ThreadPoolExecutor(8) as pool:
        taken = [pair for pairs in pool.map(work, [f"worker-{number}" for number in range(8)]) for pair in pairs]
    assert Counter(run for run, _ in taken) == Counter(run.id for run in runs)
    with store.reading() as reading:
        assert {(run.id, run.holder) for run in reading.active_runs()} == set(taken)
        assert {run.attempt for run in reading.active_runs()} == {1}


def test_threads_that_add_runs_of_one_stack_add_one(store: SqlStore) -> None:
    with ThreadPoolExecutor(6) as pool:
        added = list(pool.map(lambda _: add(store, a_run()), range(24)))
    assert sum(map(len, added)) == 1


def test_an_older_attempt_cannot_write(store: SqlStore) -> None:
    run = a_run()
    add(store, run)
    (first,) = claim(store, "first")
    with pytest.raises(LostLease):
        put(store, first.evolve(attempt=0))
    put(store, first.evolve(message="still mine"))
    with store.writing() as transaction:
        transaction.put_run(advanced(first, RunEvent.PROCEED))
    with pytest.raises(LostLease, match=f"attempt 2.*{run.id}"):
        put(store, first.evolve(attempt=2))


def test_a_run_that_has_ended_stays_as_it_ended(store: SqlStore) -> None:
    run = a_run()
    add(store, run)
    ended = put(store, advanced(run, RunEvent.CANCEL, finished_at=later(1)))
    with pytest.raises(LostLease):
        put(store, advanced(run, RunEvent.CLAIM))
    with pytest.raises(LostLease):
        put(store, ended.evolve(status=RunStatus.FINISHED))
    assert get(store, run) == ended
    assert get(store, put(store, ended.evolve(message="by alice"))) == ended.evolve(message="by alice")


def test_a_lost_lease_takes_the_whole_transaction_back(store: SqlStore) -> None:
    run = a_run()
    add(store, run)

    def report() -> None:
        with store.writing() as transaction:
            transaction.put_stacks([a_stack(reason="Lost")])
            transaction.put_run(run.evolve(attempt=9))

    with pytest.raises(LostLease):
        report()
    with store.reading() as reading:
        assert reading.stack(a_stack_id()) is None


def test_leases_are_renewed_for_what_the_holder_works_on(store: SqlStore) -> None:
    runs = [a_run(f"a/s{number}") for number in range(3)]
    add(store, *runs)
    mine, ended = claim(store, "me", 2)
    (theirs,) = claim(store, "you", 1)
    put(store, advanced(ended, RunEvent.FAIL))
    with store.writing() as transaction:
        transaction.renew("me", later(20), LEASE)
    found = [get(store, run) for run in (mine, ended, theirs)]
    assert [run.lease_until for run in found if run] == [later(50), later(30), later(30)]


def test_active_runs_oldest_first(store: SqlStore) -> None:
    runs = [a_run(f"a/s{number}", status=status) for number, status in enumerate(RunStatus)]
    add(store, *reversed(runs))
    with store.reading() as reading:
        assert reading.active_runs() == [run for run in runs if run.is_active]
        assert reading.active_runs([runs[0].stack, runs[-1].stack]) == [runs[0]]
        assert reading.active_runs([]) == []


def test_the_last_run_of_each_stack(store: SqlStore) -> None:
    old, new, other = a_run("a/x", status=RunStatus.FAILED), a_run("a/x"), a_run("a/y", status=RunStatus.FINISHED)
    add(store, old, new, other)
    with store.reading() as reading:
        assert reading.last_runs([old.stack, other.stack, a_stack_id("a/z")]) == {old.stack: new, other.stack: other}
        assert reading.last_runs([other.stack]) == {other.stack: other}
        assert reading.last_runs([]) == {}


HISTORY = [
    a_run("a/x", status=RunStatus.FINISHED),
    a_run("a/x", status=RunStatus.FAILED, kind=RunKind.DRIFT),
    a_run("a/x"),
    a_run("b/y", status=RunStatus.FINISHED, kind=RunKind.TASK),
    a_run("c/z", status=RunStatus.UNCONFIRMED),
]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        pytest.param(RunFilter(), [4, 3, 2, 1, 0], id="all"),
        pytest.param(RunFilter(stack=a_stack_id("a/x")), [2, 1, 0], id="stack"),
        pytest.param(RunFilter(stack=a_stack_id("a/none")), [], id="unknown stack"),
        pytest.param(RunFilter(spaces=[SpaceName("b"), SpaceName("c")]), [4, 3], id="spaces"),
        pytest.param(RunFilter(spaces=[]), [], id="no space"),
        pytest.param(RunFilter(statuses=[RunStatus.FINISHED, RunStatus.FAILED]), [3, 1, 0], id="statuses"),
        pytest.param(RunFilter(statuses=[]), [], id="no status"),
        pytest.param(RunFilter(kinds=[RunKind.DRIFT, RunKind.TASK]), [3, 1], id="kinds"),
        pytest.param(RunFilter(stack=a_stack_id("a/x"), statuses=ACTIVE), [2], id="together"),
    ],
)
def test_listing_runs(store: SqlStore, wanted: RunFilter, expected: list[int]) -> None:
    add(store, *HISTORY)
    with store.reading() as reading:
        assert reading.list_runs(wanted, None, 10) == [HISTORY[number] for number in expected]
        pages, before = [], None
        while page := reading.list_runs(wanted, before, 2):
            pages += page
            before = page[-1].id
    assert pages == [HISTORY[number] for number in expected]


def test_plans_and_logs_come_back_and_are_replaced(store: SqlStore) -> None:
    run = a_run()
    add(store, run)
    change = ResourceChange("a.ü\0", "t", "p", Action.REPLACE, {"a": [1, None, 1.5]}, "\ud800", "a.old", "i-1")
    for planned in (Planned(True), Planned(True, (change, change), (change,))):
        with store.writing() as transaction:
            transaction.record_plans({run.id: planned})
            transaction.record_logs({run.id: b"old"})
    with store.writing() as transaction:
        transaction.record_logs({run.id: b"\xff\x00 log\n" * 100_000})
    with store.reading() as reading:
        assert reading.planned(run.id) == planned
        assert reading.log(run.id) == b"\xff\x00 log\n" * 100_000


def test_revisions_are_counted_by_the_newest_run_of_each_stack(store: SqlStore) -> None:
    add(
        store,
        a_run("a/db", status=RunStatus.FAILED, created_at=later(1)),
        a_run("a/db", status=RunStatus.FINISHED, created_at=later(2), finished_at=later(12)),
        a_run("b/net", status=RunStatus.UNCONFIRMED, created_at=later(3)),
        dns := a_run("a/dns", status=RunStatus.FAILED, created_at=later(4), finished_at=later(9)),
        a_run("a/db", kind=RunKind.DRIFT, status=RunStatus.FAILED, created_at=later(5)),
        web := a_run("a/web", status=RunStatus.FINISHED, revision=OTHER_REVISION, finished_at=later(90)),
        last := a_run("b/web", status=RunStatus.PLANNING, revision=OTHER_REVISION, created_at=later(6)),
    )
    every = RunFilter(kinds=[RunKind.TRACKED])
    with store.reading() as reading:
        newest, first = reading.list_revisions(every, None, 10)
        assert (newest.revision, newest.standing, newest.ended_at) == (OTHER_REVISION, last.id, None)
        assert first.stacks == {RunStatus.FINISHED: 1, RunStatus.UNCONFIRMED: 1, RunStatus.FAILED: 1}
        assert (first.revision, first.standing, first.newest) == (REVISION, dns.id, dns.id)
        assert [it.revision for it in reading.list_revisions(every, newest.newest, 1)] == [REVISION]
        only = RunFilter(spaces=[SpaceName("a")], kinds=[RunKind.TRACKED])
        seen = {it.revision: it for it in reading.list_revisions(only, None, 10)}
    assert (seen[REVISION].stacks, seen[REVISION].ended_at) == (
        {RunStatus.FINISHED: 1, RunStatus.FAILED: 1},
        later(12),
    )
    assert (seen[OTHER_REVISION].newest, seen[OTHER_REVISION].ended_at) == (web.id, later(90))


def test_runs_are_listed_by_the_labels_of_their_stacks(store: SqlStore) -> None:
    with store.writing() as transaction:
        labels = {"tier": "web"}
        transaction.put_stacks(
            [a_stack(f"root/s{at}", desired=a_desired(labels=labels if at % 2 else {})) for at in range(6)]
        )
    ids = add(store, *(a_run(f"root/s{at}") for at in range(6)))
    with store.reading() as reading:
        wanted = RunFilter(labels={"tier": "web"})
        first = reading.list_runs(wanted, None, 2)
        rest = reading.list_runs(wanted, first[-1].id, 2)
    assert [run.id for run in (*first, *rest)] == sorted((ids[1], ids[3], ids[5]), reverse=True)
