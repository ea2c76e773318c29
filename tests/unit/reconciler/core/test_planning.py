from __future__ import annotations

import itertools
from typing import Any

import pytest

from reconciler.core.keeping import StackLock
from reconciler.core.planning import Proceed, QueueRun, StopRun, Supersede, Wait, decide, on_schedule
from reconciler.core.runs import ACTIVE, Run, RunStatus
from reconciler.core.state import Heading, Push, StackProblem, StackState, Sync, Waits
from tests.factories import NOW, a_desired, a_fingerprint, a_run, a_stack, a_stack_id, an_applied, an_outcome, later

OTHER = a_fingerprint(spec={"env A": "other"})


def out_of_sync(**changes: Any) -> StackState:
    return a_stack(sync=Sync.OUT_OF_SYNC, **changes)


PROBLEM = StackProblem("SourceNotFound", "it is not there")


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        pytest.param(out_of_sync(), QueueRun(needs_confirmation=False), id="new"),
        pytest.param(a_stack(sync=Sync.SYNCED), Wait(), id="synced"),
        pytest.param(out_of_sync(desired=None), Wait(), id="left Git"),
        pytest.param(a_stack(sync=Sync.UNKNOWN), Wait(), id="unknown"),
        pytest.param(out_of_sync(paused=True), Wait(), id="paused by an operator"),
        pytest.param(out_of_sync(desired=a_desired(suspended=True)), Wait(), id="suspended in Git"),
        pytest.param(out_of_sync(desired=a_desired(problem=PROBLEM)), Wait(), id="cannot be run"),
        pytest.param(
            out_of_sync(desired=a_desired(autodeploy=False)), QueueRun(needs_confirmation=True), id="no autodeploy"
        ),
        pytest.param(out_of_sync(interrupted=True), QueueRun(needs_confirmation=True), id="died half-way"),
        pytest.param(out_of_sync(last=an_outcome()), QueueRun(needs_confirmation=False), id="finished before"),
        pytest.param(
            out_of_sync(last=an_outcome(status="superseded")), QueueRun(needs_confirmation=False), id="superseded"
        ),
        *(
            pytest.param(out_of_sync(last=an_outcome(status=status)), Wait(), id=f"{status}, and nothing new")
            for status in ("failed", "canceled", "discarded", "interrupted")
        ),
        *(
            pytest.param(
                out_of_sync(last=an_outcome(status=status, digest=OTHER.digest)),
                QueueRun(needs_confirmation=False),
                id=f"{status}, but something else is desired now",
            )
            for status in ("failed", "canceled", "discarded", "interrupted")
        ),
        pytest.param(
            out_of_sync(last=an_outcome(status="failed"), retry_at=later(1)), Wait(), id="retried, but not yet"
        ),
        pytest.param(
            out_of_sync(last=an_outcome(status="failed"), retry_at=NOW),
            QueueRun(needs_confirmation=False),
            id="retried now",
        ),
    ],
)
def test_without_a_run_on_its_way(state: StackState, expected: object) -> None:
    assert decide(state, None, NOW) == expected


def _desired_as(kind: str) -> StackState:
    match kind:
        case "current":
            return out_of_sync()
        case "outdated":
            return out_of_sync(desired=a_desired(OTHER))
        case _:
            return out_of_sync(desired=None)


def _expected(run: Run, kind: str) -> object:
    outdated = kind != "current"
    match run.status:
        case RunStatus.QUEUED:
            return Supersede(run) if outdated else Wait()
        case RunStatus.PLANNING:
            return StopRun(run) if outdated or run.cancel_requested else Wait()
        case RunStatus.UNCONFIRMED if outdated:
            return Supersede(run)
        case RunStatus.UNCONFIRMED:
            return Proceed(run) if run.confirmed_by else Wait()
        case _:
            return StopRun(run) if run.cancel_requested else Wait()


@pytest.mark.parametrize("status", sorted(ACTIVE))
@pytest.mark.parametrize("kind", ["current", "outdated", "gone"])
def test_with_a_run_on_its_way(*, kind: str, status: RunStatus) -> None:
    for canceled, confirmed in itertools.product([False, True], [None, "ada"]):
        run = a_run(status=status, cancel_requested=canceled, confirmed_by=confirmed)
        assert decide(_desired_as(kind), run, NOW) == _expected(run, kind), run


def test_a_confirmed_run_whose_plan_is_outdated_is_never_applied() -> None:
    run = a_run(status=RunStatus.UNCONFIRMED, confirmed_by="ada")
    assert decide(_desired_as("outdated"), run, NOW) == Supersede(run)


def test_an_apply_at_work_is_left_alone_when_something_newer_is_desired() -> None:
    assert decide(_desired_as("outdated"), a_run(status=RunStatus.APPLYING), NOW) == Wait()
    assert decide(_desired_as("gone"), a_run(status=RunStatus.APPLYING), NOW) == Wait()


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        pytest.param(a_stack(sync=Sync.SYNCED, applied=an_applied()), False, id="synced"),
        pytest.param(out_of_sync(last=an_outcome(status="failed")), False, id="the last run failed"),
        pytest.param(out_of_sync(interrupted=True), True, id="died half-way"),
        pytest.param(a_stack(sync=Sync.SYNCED, desired=a_desired(autodeploy=False)), True, id="no autodeploy"),
        pytest.param(
            a_stack(sync=Sync.SYNCED, lock=StackLock("ada", "x", NOW, NOW)), False, id="a lock that has ended"
        ),
        pytest.param(a_stack(sync=Sync.SYNCED, lock=StackLock("ada", "x", NOW)), None, id="locked"),
        pytest.param(a_stack(sync=Sync.SYNCED, paused=True), None, id="suspended"),
        pytest.param(a_stack(desired=a_desired(problem=PROBLEM)), None, id="cannot be run"),
        pytest.param(a_stack(desired=a_desired(leaving=True)), None, id="leaves Git"),
        pytest.param(a_stack(desired=None), None, id="left Git"),
        pytest.param(out_of_sync(desired=a_desired(push_policies="p")), None, id="push policies were not asked"),
        pytest.param(
            out_of_sync(desired=a_desired(push_policies="p"), push=Push(a_fingerprint().digest, "p", Heading.IGNORE)),
            None,
            id="push policies ignore the change",
        ),
    ],
)
def test_a_schedule_starts_what_may_run_and_goes_round_no_rule(state: StackState, *, expected: bool | None) -> None:
    found = on_schedule(state, None, NOW, None)
    assert found == (None if expected is None else QueueRun(needs_confirmation=expected, scheduled=True))


def test_a_schedule_starts_nothing_beside_another_run_or_before_a_parent() -> None:
    synced = a_stack(sync=Sync.SYNCED, applied=an_applied())
    assert on_schedule(synced, a_run(), NOW, None) is None
    assert on_schedule(synced, None, NOW, Waits(a_stack_id("root/base"), "failed")) is None
