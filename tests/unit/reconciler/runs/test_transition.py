"""One step of a run, and all that follows from it in the store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reconciler.core.results import Output
from reconciler.core.runs import Run, RunEvent, RunStatus, TransitionRefused
from reconciler.core.state import Component, Need, StackState, Sync
from reconciler.core.transition import take_step
from reconciler.core.verdicts import Judgement, Result, Verdict
from reconciler.runs.audit import Asked
from reconciler.runs.transition import TakenByAnother, advance, find_stack, record
from reconciler.store.encryption import Keys
from reconciler.store.protocol import Store
from reconciler.store.sql import open_store
from reconciler.store.stored import LostLease
from spaces.model.dependency import OutputUse
from tests.factories import NOW, a_desired, a_fingerprint, a_run, a_stack, a_stack_id, an_applied, later, record_results

PARENT, CHILD = a_stack_id("root/base"), a_stack_id("root/app")
LATER = later(60)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = open_store(f"sqlite:///{tmp_path}/station.db", Keys([b"k" * 32]))
    yield store
    store.close()


def put(store: Store, stack: StackState, *runs: Run) -> None:
    with store.writing() as transaction:
        transaction.put_stacks([stack])
        transaction.add_runs(runs)


def step(store: Store, run: Run, event: RunEvent, **changes: Any) -> Run:
    with store.writing() as transaction:
        return advance(transaction, find_stack(transaction, run.stack), run, event, LATER, **changes)


def audited(store: Store) -> list[tuple[str, str | None]]:
    with store.reading() as reading:
        return [(row.event.event, row.event.person) for row in reading.audit(0, 100)]


def notices(store: Store) -> list[tuple[str, str]]:
    with store.reading() as reading:
        return [(entry.run.id, str(entry.run.status)) for entry in reading.outbox(LATER, 100)]


ADA = Asked("ada", "operator in root")

STEPS = [
    pytest.param("planning", RunEvent.AWAIT, None, [], True, id="begins to wait"),
    pytest.param("planning", RunEvent.PROCEED, None, [("apply-started", "bob")], False, id="goes on to apply"),
    pytest.param("planning", RunEvent.FAIL, None, [], True, id="plan failed"),
    pytest.param("applying", RunEvent.FAIL, None, [("apply-ended", "bob")], True, id="apply failed"),
    pytest.param("applying", RunEvent.SUCCEED, None, [("apply-ended", "bob")], True, id="applied"),
    pytest.param("planning", RunEvent.FOUND_NOTHING, None, [], True, id="nothing to do"),
    pytest.param("queued", RunEvent.SUPERSEDE, None, [], True, id="superseded"),
    pytest.param("unconfirmed", RunEvent.AWAIT, None, [], False, id="waits on"),
    pytest.param("unconfirmed", RunEvent.CONFIRM, ADA, [("run-confirmed", "ada")], False, id="confirmed"),
    pytest.param("unconfirmed", RunEvent.REVIEW, ADA, [("run-reviewed", "ada")], False, id="reviewed"),
    pytest.param("unconfirmed", RunEvent.DISCARD, ADA, [("run-discarded", "ada")], True, id="discarded by a person"),
    pytest.param("unconfirmed", RunEvent.DISCARD, None, [], True, id="discarded by a policy"),
    pytest.param("queued", RunEvent.CANCEL, ADA, [("run-canceled", "ada")], True, id="canceled in the queue"),
    pytest.param("applying", RunEvent.STOP, ADA, [("run-canceled", "ada")], False, id="asked to stop"),
]


@pytest.mark.parametrize(("status", "event", "asked", "rows", "news"), STEPS)
def test_what_follows_is_decided_by_the_event(
    store: Store, status: str, event: RunEvent, asked: Asked | None, rows: list[Any], *, news: bool
) -> None:
    run = a_run(PARENT, status=RunStatus(status), person="bob")
    put(store, a_stack(PARENT), run)
    after = step(store, run, event, asked=asked, reason="ToolFailed", message="words")
    with store.reading() as reading:
        stack = reading.stack(PARENT)
        assert reading.run(run.id) == after
    assert (stack.last.run, stack.last.status, stack.last.message) == (run.id, after.status, "words")
    assert stack.conditions
    assert audited(store) == rows
    assert notices(store) == ([(run.id, after.status)] if news else [])


@pytest.mark.parametrize(
    ("event", "error"), [(RunEvent.SUCCEED, TransitionRefused), (RunEvent.AWAIT, LostLease)], ids=["table", "fence"]
)
def test_a_step_that_is_refused_leaves_nothing(store: Store, event: RunEvent, error: type[Exception]) -> None:
    run = a_run(PARENT, status=RunStatus.PLANNING, attempt=2)
    put(store, a_stack(PARENT), run)
    with pytest.raises(error):
        step(store, run.evolve(attempt=1), event, asked=ADA)
    with store.reading() as reading:
        assert (reading.run(run.id), reading.stack(PARENT)) == (run, a_stack(PARENT))
    assert (audited(store), notices(store)) == ([], [])


def test_the_answers_of_policies_are_kept_with_the_step_and_come_first_in_the_audit(store: Store) -> None:
    run = a_run(PARENT, status=RunStatus.PLANNING, plan_digest="p")
    put(store, a_stack(PARENT), run)
    verdicts = (Verdict("root/p", "plan", mandatory=True, result=Result.ALLOW),)
    judgement = Judgement(run.digest, "p", run.attempt, NOW, verdicts)
    step(store, run, RunEvent.PROCEED, judgement=judgement)
    with store.reading() as reading:
        assert reading.judgement(run.id) == judgement
    assert [event for event, _ in audited(store)] == ["policy-decided", "apply-started"]


def child_of(parent: Any, output: str = "x", **changes: Any) -> StackState:
    desired = a_desired(needs=(Need(parent, {output: OutputUse(env="X")}),))
    return a_stack(CHILD, desired=desired, **changes)


def test_an_apply_gives_its_outputs_to_those_below_and_wakes_them(store: Store) -> None:
    run = a_run(PARENT, status=RunStatus.APPLYING)
    put(store, a_stack(PARENT, sync=Sync.OUT_OF_SYNC), run)
    put(store, child_of(PARENT, applied=an_applied(), sync=Sync.SYNCED))
    with store.writing() as transaction:
        transaction.put_dependencies({CHILD: {PARENT}})
        record_results(transaction, PARENT, None, [Output("x", "1")])
    step(store, run, RunEvent.SUCCEED)
    with store.reading() as reading:
        parent, child = reading.stack(PARENT), reading.stack(CHILD)
    assert (parent.sync, parent.applied.run) == (Sync.SYNCED, run.id)
    assert (child.sync, child.due_at, child.why[0].component) == (Sync.OUT_OF_SYNC, LATER, Component.DEPENDENCIES)


@pytest.mark.parametrize(
    ("sync", "due_at"), [(Sync.SYNCED, LATER), (Sync.OUT_OF_SYNC, None)], ids=["in sync", "out of sync"]
)
def test_a_run_that_a_person_asks_for_in_sync_is_told_to_those_below(store: Store, sync: Sync, due_at: object) -> None:
    put(store, a_stack(PARENT, sync=sync))
    put(store, child_of(PARENT, sync=Sync.OUT_OF_SYNC))
    with store.writing() as transaction:
        transaction.put_dependencies({CHILD: {PARENT}})
    step(store, a_run(PARENT), RunEvent.QUEUE, asked=ADA)
    with store.reading() as reading:
        assert reading.stack(CHILD).due_at == due_at
    assert audited(store) == [("run-requested", "ada")]


def test_a_stack_has_one_run_that_writes(store: Store) -> None:
    put(store, a_stack(PARENT), a_run(PARENT))
    with pytest.raises(TakenByAnother):
        step(store, a_run(PARENT), RunEvent.QUEUE)
    assert (audited(store), notices(store)) == ([], [])


def test_among_many_steps_only_the_one_that_came_second_is_left_out(store: Store) -> None:
    taken, free = a_stack(PARENT, due_at=NOW), a_stack(CHILD, due_at=NOW)
    first = a_run(PARENT)
    put(store, taken, first)
    put(store, free)
    steps = [take_step(state, a_run(state.id), RunEvent.QUEUE, LATER) for state in (taken, free)]
    with store.writing() as transaction:
        assert record(transaction, steps, [step.stack for step in steps], LATER) == {PARENT}
    with store.reading() as reading:
        assert reading.stack(PARENT) == taken
        assert {run.id for run in reading.active_runs()} == {first.id, steps[1].run.id}
    assert audited(store) == [("run-queued", None)]


def test_a_run_that_ends_makes_room_for_the_next_in_one_transaction(store: Store) -> None:
    old, new = a_run(PARENT), a_run(PARENT, fingerprint=a_fingerprint(spec={"env A": "other"}))
    state = a_stack(PARENT)
    put(store, state, old)
    ended = take_step(state, old, RunEvent.SUPERSEDE, LATER)
    queued = take_step(ended.stack, new, RunEvent.QUEUE, LATER)
    with store.writing() as transaction:
        assert record(transaction, [ended, queued], [queued.stack], LATER) == set()
    with store.reading() as reading:
        assert [run.id for run in reading.active_runs()] == [new.id]
    assert notices(store) == [(old.id, "superseded")]
