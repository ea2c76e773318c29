from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from reconciler import locks, operations, tokens
from reconciler.core.planning import Proceed, QueueRun, StopRun, Wait, decide
from reconciler.core.runs import Run, RunKind, RunStatus
from reconciler.core.state import StackProblem, StackState, Sync
from reconciler.refusals import OperationRefused, Refusal
from reconciler.store.encryption import Keys
from reconciler.store.protocol import Store
from reconciler.store.sql import open_store
from reconciler.store.stored import RunFilter
from spaces.names import Digest
from tests.factories import (
    OTHER_REVISION,
    a_desired,
    a_run,
    a_run_id,
    a_stack,
    a_stack_id,
    an_applied,
    an_outcome,
    later,
)

NETWORK = a_stack_id("root/network")
LATER = later(60)
SYNCED = {"applied": an_applied(), "sync": Sync.SYNCED}
Steer = Callable[[Store, Run], object]


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    path: Path = tmp_path_factory.mktemp("store") / "station.db"
    store = open_store(f"sqlite:///{path}", Keys([b"k" * 32]))
    yield store
    store.close()


@pytest.fixture
def store(database: Store) -> Store:
    """One store for all: every test puts its stack anew and ends the runs of the one before."""
    with database.writing() as transaction:
        for run in transaction.active_runs():
            transaction.put_run(run.evolve(status=RunStatus.FINISHED))
        transaction.put_stacks([a_stack(NETWORK)])
    return database


def put(store: Store, stack: StackState | None = None, *runs: Run) -> None:
    with store.writing() as transaction:
        transaction.put_stacks([stack or a_stack(NETWORK)])
        transaction.add_runs(runs)


def stack_of(store: Store) -> StackState:
    with store.reading() as reading:
        found = reading.stack(NETWORK)
    assert found is not None
    return found


def run_of(store: Store, run: Run) -> Run:
    with store.reading() as reading:
        found = reading.run(run.id)
    assert found is not None
    return found


def runs_of(store: Store) -> list[str]:
    with store.reading() as reading:
        return [run.id for run in reading.list_runs(RunFilter(stack=NETWORK), None, 1000)]


def confirm(store: Store, run: Run) -> Run:
    return operations.confirm(store, run.id, "alice", LATER)


def discard(store: Store, run: Run) -> Run:
    return operations.discard(store, run.id, "alice", LATER)


def cancel(store: Store, run: Run) -> Run:
    return operations.cancel(store, run.id, "alice", LATER)


def retry(store: Store, run: Run) -> Run:
    return operations.retry(store, run.id, "alice", LATER)


def request(store: Store, run: Run) -> Run:
    return operations.request_run(store, run.stack, "alice", LATER)


def plan(store: Store, run: Run) -> Run:
    return operations.request_plan(store, run.stack, "alice", LATER)


def destroy(store: Store, run: Run) -> Run:
    return operations.request_destroy(store, run.stack, "alice", LATER)


def suspend(store: Store, run: Run) -> StackState:
    return locks.suspend(store, run.stack, "alice", LATER)


def resume(store: Store, run: Run) -> StackState:
    return locks.resume(store, run.stack, "ada", LATER)


def test_a_confirmed_run_is_left_for_the_loop_to_apply(store: Store) -> None:
    run = a_run(NETWORK, status=RunStatus.UNCONFIRMED, attempt=1)
    put(store, None, run)
    confirm(store, run)
    after, stack = run_of(store, run), stack_of(store)
    assert (after.status, after.confirmed_by) == (RunStatus.UNCONFIRMED, "alice")
    assert stack.due_at == LATER
    assert isinstance(decide(stack, after, LATER), Proceed)


def test_who_confirmed_first_stays(store: Store) -> None:
    run = a_run(NETWORK, status=RunStatus.UNCONFIRMED)
    put(store, None, run)
    confirm(store, run)
    assert operations.confirm(store, run.id, "bob", LATER).confirmed_by == "alice"


def test_a_discarded_run_is_over_and_nothing_follows(store: Store) -> None:
    run = a_run(NETWORK, status=RunStatus.UNCONFIRMED)
    put(store, None, run)
    discard(store, run)
    after, stack = run_of(store, run), stack_of(store)
    assert (after.status, after.finished_at, after.message) == (RunStatus.DISCARDED, LATER, "discarded by alice")
    assert stack.last is not None
    assert (stack.last.run, stack.last.status) == (run.id, "discarded")
    assert decide(stack, None, LATER) == Wait()


def test_a_queued_run_is_canceled_at_once(store: Store) -> None:
    run = a_run(NETWORK)
    put(store, None, run)
    cancel(store, run)
    after = run_of(store, run)
    assert (after.status, after.reason, after.finished_at) == (RunStatus.CANCELED, "Canceled", LATER)
    assert decide(stack_of(store), None, LATER) == Wait()


@pytest.mark.parametrize("status", [RunStatus.PLANNING, RunStatus.APPLYING])
def test_a_run_at_work_is_asked_to_stop(store: Store, status: RunStatus) -> None:
    run = a_run(NETWORK, status=status, attempt=2)
    put(store, None, run)
    cancel(store, run)
    after = run_of(store, run)
    assert (after.status, after.cancel_requested) == (status, True)
    assert isinstance(decide(stack_of(store), after, LATER), StopRun)
    assert cancel(store, run) == after


@pytest.mark.parametrize("status", [RunStatus.FAILED, RunStatus.INTERRUPTED, RunStatus.CANCELED, RunStatus.DISCARDED])
def test_a_retry_is_a_new_run_for_what_is_desired_now(store: Store, status: RunStatus) -> None:
    run = a_run(NETWORK, status=status, revision=OTHER_REVISION, digest=Digest("old"))
    put(store, a_stack(NETWORK, last=an_outcome(run=run.id, status=status), retry_at=later(500)), run)
    new = retry(store, run)
    stack = stack_of(store)
    assert stack.desired is not None
    assert (new.status, new.digest, new.revision) == (RunStatus.QUEUED, stack.desired.digest, stack.desired.revision)
    assert new.id > run.id
    assert new.person == "alice"
    assert run_of(store, run) == run
    assert (stack.retry_at, stack.last and stack.last.run) == (None, new.id)


@pytest.mark.parametrize(
    ("stack", "waits"),
    [
        pytest.param(a_stack(NETWORK), False, id="autodeploy"),
        pytest.param(a_stack(NETWORK, desired=a_desired(autodeploy=False)), True, id="no autodeploy"),
        pytest.param(a_stack(NETWORK, interrupted=True), True, id="interrupted before"),
    ],
)
def test_a_new_run_waits_where_the_loops_own_would(store: Store, stack: StackState, *, waits: bool) -> None:
    put(store, stack)
    new = operations.request_run(store, NETWORK, "alice", LATER)
    assert new.needs_confirmation is waits


def test_a_synced_stack_can_be_run(store: Store) -> None:
    put(store, a_stack(NETWORK, **SYNCED))
    new = operations.request_run(store, NETWORK, "alice", LATER)
    assert (new.kind, new.status, new.message) == (RunKind.TRACKED, RunStatus.QUEUED, "requested by alice")
    assert stack_of(store).sync is Sync.SYNCED


def test_a_suspended_stack_starts_nothing_and_a_resumed_one_goes_on(store: Store) -> None:
    run = a_run(NETWORK)
    put(store, None, run)
    suspend(store, run)
    assert stack_of(store).paused
    assert (run_of(store, run).status, run_of(store, run).reason) == (RunStatus.SUPERSEDED, "Suspended")
    assert decide(stack_of(store), None, LATER) == Wait()
    resume(store, run)
    assert isinstance(decide(stack_of(store), None, LATER), QueueRun)


@pytest.mark.parametrize("status", [RunStatus.PLANNING, RunStatus.UNCONFIRMED, RunStatus.APPLYING])
def test_suspending_leaves_a_run_that_has_begun_alone(store: Store, status: RunStatus) -> None:
    run = a_run(NETWORK, status=status)
    put(store, None, run)
    suspend(store, run)
    assert run_of(store, run).status is status


def test_suspend_and_resume_can_be_said_twice(store: Store) -> None:
    run = a_run(NETWORK)
    assert suspend(store, run) == suspend(store, run)
    assert resume(store, run) == resume(store, run)


IN_FORCE = a_stack(NETWORK)
RETAINED = a_stack(NETWORK, desired=None)
PAUSED = a_stack(NETWORK, paused=True)
SUSPENDED_IN_GIT = a_stack(NETWORK, desired=a_desired(suspended=True))
BROKEN = a_stack(NETWORK, desired=a_desired(problem=StackProblem("ToolMissing", "terraform is not installed")))
PLAYBOOK = a_stack(NETWORK, desired=a_desired(tool="ansible"))
OTHER = a_stack(NETWORK, desired=a_desired(digest=Digest("other")))
LEAVING = a_stack(NETWORK, desired=a_desired(leaving=True))


@pytest.mark.parametrize(
    ("stack", "reason"),
    [
        pytest.param(PAUSED, Refusal.SUSPENDED, id="by somebody"),
        pytest.param(SUSPENDED_IN_GIT, Refusal.SUSPENDED_IN_GIT, id="by its document"),
    ],
)
def test_what_destroys_a_suspended_stack_is_confirmed_only_where_a_person_asked_for_it(
    store: Store, stack: StackState, reason: Refusal
) -> None:
    waiting = {"kind": RunKind.DESTROY, "status": RunStatus.UNCONFIRMED}
    by_itself, asked = a_run(NETWORK, scheduled=True, **waiting), a_run(a_stack_id("root/asked"), **waiting)
    put(store, stack, by_itself)
    with store.writing() as transaction:
        transaction.put_stacks([stack.evolve(id=asked.stack)])
        transaction.add_runs([asked])
    with pytest.raises(OperationRefused) as refused:
        confirm(store, by_itself)
    assert refused.value.reason is reason
    assert confirm(store, asked).confirmed_by == "alice"


@pytest.mark.parametrize(
    ("stack", "status", "steer", "reason"),
    [
        *[
            pytest.param(IN_FORCE, status, confirm, Refusal.NOT_WAITING, id=f"confirm {status}")
            for status in RunStatus
            if status is not RunStatus.UNCONFIRMED
        ],
        pytest.param(OTHER, RunStatus.UNCONFIRMED, confirm, Refusal.OUTDATED, id="confirm an outdated plan"),
        pytest.param(PAUSED, RunStatus.UNCONFIRMED, confirm, Refusal.SUSPENDED, id="confirm, suspended"),
        pytest.param(RETAINED, RunStatus.UNCONFIRMED, confirm, Refusal.NOT_IN_FORCE, id="confirm, retained"),
        *[
            pytest.param(IN_FORCE, status, discard, Refusal.NOT_WAITING, id=f"discard {status}")
            for status in RunStatus
            if status is not RunStatus.UNCONFIRMED
        ],
        pytest.param(IN_FORCE, RunStatus.UNCONFIRMED, cancel, Refusal.WAITS_FOR_CONFIRMATION, id="cancel unconfirmed"),
        pytest.param(IN_FORCE, RunStatus.FINISHED, cancel, Refusal.ALREADY_ENDED, id="cancel finished"),
        pytest.param(IN_FORCE, RunStatus.FAILED, cancel, Refusal.ALREADY_ENDED, id="cancel failed"),
        pytest.param(IN_FORCE, RunStatus.QUEUED, retry, Refusal.STILL_ACTIVE, id="retry queued"),
        pytest.param(IN_FORCE, RunStatus.APPLYING, retry, Refusal.STILL_ACTIVE, id="retry applying"),
        pytest.param(IN_FORCE, RunStatus.FINISHED, retry, Refusal.NOT_REPEATABLE, id="retry finished"),
        pytest.param(IN_FORCE, RunStatus.SUPERSEDED, retry, Refusal.NOT_REPEATABLE, id="retry superseded"),
        pytest.param(RETAINED, RunStatus.FAILED, retry, Refusal.NOT_IN_FORCE, id="retry, retained"),
        pytest.param(PAUSED, RunStatus.FAILED, retry, Refusal.SUSPENDED, id="retry, suspended"),
        pytest.param(BROKEN, RunStatus.FAILED, retry, Refusal.PROBLEM, id="retry, tool missing"),
        pytest.param(RETAINED, RunStatus.FINISHED, request, Refusal.NOT_IN_FORCE, id="run, retained"),
        pytest.param(PAUSED, RunStatus.FINISHED, request, Refusal.SUSPENDED, id="run, suspended"),
        pytest.param(SUSPENDED_IN_GIT, RunStatus.FINISHED, request, Refusal.SUSPENDED_IN_GIT, id="run, by document"),
        pytest.param(BROKEN, RunStatus.FINISHED, request, Refusal.PROBLEM, id="run, tool missing"),
        *[
            pytest.param(IN_FORCE, status, request, Refusal.ALREADY_RUNNING, id=f"run while {status}")
            for status in (RunStatus.QUEUED, RunStatus.PLANNING, RunStatus.UNCONFIRMED, RunStatus.APPLYING)
        ],
        pytest.param(LEAVING, RunStatus.FINISHED, plan, Refusal.NOT_IN_FORCE, id="plan what is to be destroyed"),
        pytest.param(PLAYBOOK, RunStatus.FINISHED, destroy, Refusal.TOOL_CANNOT_DESTROY, id="destroy, a playbook"),
        pytest.param(RETAINED, RunStatus.FINISHED, suspend, Refusal.NOT_IN_FORCE, id="suspend, retained"),
        pytest.param(RETAINED, RunStatus.FINISHED, resume, Refusal.NOT_IN_FORCE, id="resume, retained"),
        pytest.param(SUSPENDED_IN_GIT, RunStatus.FINISHED, resume, Refusal.SUSPENDED_IN_GIT, id="resume, by document"),
    ],
)
def test_refused_and_nothing_changed(
    store: Store, stack: StackState, status: RunStatus, steer: Steer, reason: Refusal
) -> None:
    run = a_run(NETWORK, status=status)
    put(store, stack, run)
    before = (stack_of(store), run_of(store, run), runs_of(store))
    with pytest.raises(OperationRefused) as refused:
        steer(store, run)
    assert refused.value.reason is reason
    assert "\n" not in refused.value.message
    assert (stack_of(store), run_of(store, run), runs_of(store)) == before


def test_the_refusal_names_the_run_that_is_in_the_way(store: Store) -> None:
    run = a_run(NETWORK, status=RunStatus.APPLYING)
    put(store, None, run)
    with pytest.raises(OperationRefused, match=run.id):
        request(store, run)


def test_a_reading_run_is_in_nobodys_way(store: Store) -> None:
    put(store, None, a_run(NETWORK, kind=RunKind.DRIFT, status=RunStatus.PLANNING))
    assert operations.request_run(store, NETWORK, "alice", LATER).status is RunStatus.QUEUED


@pytest.mark.parametrize("steer", [confirm, discard, cancel, retry])
def test_a_run_that_is_not_there(store: Store, steer: Steer) -> None:
    with pytest.raises(OperationRefused) as refused:
        steer(store, a_run(NETWORK, id=a_run_id()))
    assert refused.value.reason is Refusal.NOT_FOUND


@pytest.mark.parametrize("steer", [request, suspend, resume])
def test_a_stack_that_is_not_there(store: Store, steer: Steer) -> None:
    with pytest.raises(OperationRefused) as refused:
        steer(store, a_run("root/elsewhere"))
    assert refused.value.reason is Refusal.NOT_FOUND


def test_a_token_is_found_by_its_hash_only_while_its_run_is_active(store: Store) -> None:
    run = a_run(NETWORK, status=RunStatus.PLANNING)
    put(store, None, run)
    with store.writing() as transaction:
        token = tokens.mint_tokens(transaction, [run])[run.id]
    with store.reading() as reading:
        assert reading.token_stack(tokens.token_hash(token)) == (NETWORK, run.id)
        assert reading.token_stack(token) is None
    with store.writing() as transaction:
        transaction.put_run(run.evolve(status=RunStatus.FAILED))
    with store.reading() as reading:
        assert reading.token_stack(tokens.token_hash(token)) is None


def test_a_queued_run_is_put_before_all_others(store: Store) -> None:
    first, chosen = a_run(NETWORK), a_run("calm/y", kind=RunKind.PROPOSED)
    with store.writing() as transaction:
        transaction.put_stacks([a_stack("calm/y")])
    put(store, None, first, chosen)
    assert operations.prioritize(store, chosen.id, "alice", LATER).prioritized
    assert operations.prioritize(store, chosen.id, "bob", LATER).message.endswith("put first by alice")
    with store.writing() as transaction:
        taken = transaction.claim("me", LATER, timedelta(minutes=1), 1)
    assert [run.id for run in taken] == [chosen.id]
    with pytest.raises(OperationRefused, match="only a queued run can start earlier"):
        operations.prioritize(store, chosen.id, "alice", LATER)
