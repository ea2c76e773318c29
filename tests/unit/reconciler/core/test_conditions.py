from __future__ import annotations

import itertools
from datetime import datetime, timedelta
from typing import Any

import pytest

from reconciler.core.conditions import assess
from reconciler.core.planning import Wait, decide
from reconciler.core.reasons import RETRYABLE, Reason
from reconciler.core.retries import is_retryable, retry_delay
from reconciler.core.runs import ACTIVE, Run, RunStatus
from reconciler.core.standing import is_suspended, stands_still
from reconciler.core.state import Component, ConditionType, StackProblem, StackState, Why
from tests.factories import NOW, a_desired, a_fingerprint, a_run, a_stack, an_applied, an_outcome, later

OTHER = a_fingerprint(spec={"env A": "other"})
WHY = (Why(Component.SPEC, "env A"),)
PROBLEM = StackProblem("ToolMissing", "there is no terraform")


def failed(**changes: Any) -> Any:
    return an_outcome(status="failed", reason="ToolFailed", message="exit 1", **changes)


@pytest.mark.parametrize(
    ("state", "active", "sync", "reason", "ready", "reconciling", "stalled", "due"),
    [
        pytest.param(a_stack(), None, "OutOfSync", "New", ("False", "New"), ("True", "Due"), "False", NOW, id="new"),
        pytest.param(
            a_stack(applied=an_applied()),
            None,
            "Synced",
            "UpToDate",
            ("True", "UpToDate"),
            ("False", "NothingToDo"),
            "False",
            None,
            id="synced",
        ),
        pytest.param(
            a_stack(applied=an_applied(OTHER)),
            None,
            "OutOfSync",
            "Changed",
            ("False", "Changed"),
            ("True", "Due"),
            "False",
            NOW,
            id="changed",
        ),
        pytest.param(
            a_stack(desired=None, applied=an_applied()),
            None,
            "Unknown",
            "Retained",
            ("Unknown", "Retained"),
            ("False", "NothingToDo"),
            "False",
            None,
            id="retained",
        ),
        pytest.param(
            a_stack(desired=a_desired(problem=PROBLEM)),
            None,
            "Unknown",
            "ToolMissing",
            ("False", "ToolMissing"),
            ("False", "NothingToDo"),
            "True",
            None,
            id="problem",
        ),
        pytest.param(
            a_stack(paused=True),
            None,
            "OutOfSync",
            "Suspended",
            ("False", "Suspended"),
            ("False", "NothingToDo"),
            "False",
            None,
            id="paused",
        ),
        pytest.param(
            a_stack(desired=a_desired(suspended=True), applied=an_applied()),
            None,
            "Synced",
            "UpToDate",
            ("True", "UpToDate"),
            ("False", "NothingToDo"),
            "False",
            None,
            id="suspended, synced",
        ),
        pytest.param(
            a_stack(last=failed()),
            None,
            "OutOfSync",
            "ToolFailed",
            ("False", "ToolFailed"),
            ("False", "NothingToDo"),
            "True",
            None,
            id="failed",
        ),
        pytest.param(
            a_stack(last=failed(), retry_at=later(30)),
            None,
            "OutOfSync",
            "ToolFailed",
            ("False", "ToolFailed"),
            ("True", "Due"),
            "False",
            later(30),
            id="failed, to be retried",
        ),
        pytest.param(
            a_stack(last=failed(digest=OTHER.digest)),
            None,
            "OutOfSync",
            "New",
            ("False", "New"),
            ("True", "Due"),
            "False",
            NOW,
            id="failed, but changed since",
        ),
        pytest.param(
            a_stack(applied=an_applied(), failed=failed()),
            None,
            "Synced",
            "ToolFailed",
            ("False", "ToolFailed"),
            ("False", "NothingToDo"),
            "True",
            None,
            id="a run failed that was asked for while synced",
        ),
        pytest.param(
            a_stack(applied=an_applied(), failed=failed(digest=OTHER.digest, applying=True)),
            None,
            "OutOfSync",
            "HalfApplied",
            ("False", "HalfApplied"),
            ("True", "Due"),
            "False",
            NOW,
            id="an apply of something else failed before what is desired was put back",
        ),
        pytest.param(
            a_stack(applied=an_applied(), failed=failed(digest=OTHER.digest)),
            None,
            "Synced",
            "UpToDate",
            ("True", "UpToDate"),
            ("False", "NothingToDo"),
            "False",
            None,
            id="only a plan of something else failed",
        ),
        pytest.param(
            a_stack(applied=an_applied(), failed=failed(), last=an_outcome(status="canceled")),
            None,
            "Synced",
            "ToolFailed",
            ("False", "ToolFailed"),
            ("False", "NothingToDo"),
            "True",
            None,
            id="failed while synced, and a later run was canceled",
        ),
        pytest.param(
            a_stack(applied=an_applied(), failed=failed()),
            a_run(status=RunStatus.PLANNING),
            "Synced",
            "Planning",
            ("False", "Planning"),
            ("True", "Planning"),
            "False",
            None,
            id="failed while synced, and is tried again",
        ),
        pytest.param(
            a_stack(applied=an_applied()),
            a_run(status=RunStatus.APPLYING),
            "Synced",
            "Applying",
            ("True", "Applying"),
            ("True", "Applying"),
            "False",
            None,
            id="applied anew while synced",
        ),
        pytest.param(
            a_stack(applied=an_applied(), last=an_outcome(status="canceled")),
            None,
            "Synced",
            "UpToDate",
            ("True", "UpToDate"),
            ("False", "NothingToDo"),
            "False",
            None,
            id="only canceled before it applied",
        ),
        pytest.param(
            a_stack(applied=an_applied(), interrupted=True, last=an_outcome(status="interrupted", reason="RunnerDied")),
            None,
            "OutOfSync",
            "RunnerDied",
            ("False", "RunnerDied"),
            ("False", "NothingToDo"),
            "True",
            None,
            id="interrupted",
        ),
        pytest.param(
            a_stack(desired=a_desired(OTHER), interrupted=True, last=an_outcome(status="interrupted")),
            None,
            "OutOfSync",
            "Interrupted",
            ("False", "Interrupted"),
            ("True", "Due"),
            "True",
            NOW,
            id="interrupted, but changed since",
        ),
        pytest.param(
            a_stack(),
            a_run(),
            "OutOfSync",
            "Queued",
            ("False", "Queued"),
            ("True", "Queued"),
            "False",
            None,
            id="queued",
        ),
        pytest.param(
            a_stack(),
            a_run(status=RunStatus.PLANNING),
            "OutOfSync",
            "Planning",
            ("False", "Planning"),
            ("True", "Planning"),
            "False",
            None,
            id="planning",
        ),
        pytest.param(
            a_stack(),
            a_run(status=RunStatus.APPLYING),
            "OutOfSync",
            "Applying",
            ("False", "Applying"),
            ("True", "Applying"),
            "False",
            None,
            id="applying",
        ),
        pytest.param(
            a_stack(),
            a_run(status=RunStatus.UNCONFIRMED),
            "OutOfSync",
            "WaitsForConfirmation",
            ("False", "WaitsForConfirmation"),
            ("True", "WaitsForConfirmation"),
            "False",
            None,
            id="waits",
        ),
        pytest.param(
            a_stack(),
            a_run(status=RunStatus.UNCONFIRMED, awaits_approval=True),
            "OutOfSync",
            "WaitsForApproval",
            ("False", "WaitsForApproval"),
            ("True", "WaitsForApproval"),
            "False",
            None,
            id="waits for an approval",
        ),
        pytest.param(
            a_stack(),
            a_run(status=RunStatus.UNCONFIRMED, confirmed_by="ada"),
            "OutOfSync",
            "New",
            ("False", "New"),
            ("True", "WaitsForConfirmation"),
            "False",
            NOW,
            id="confirmed",
        ),
        pytest.param(
            a_stack(desired=a_desired(OTHER)),
            a_run(status=RunStatus.PLANNING),
            "OutOfSync",
            "Planning",
            ("False", "Planning"),
            ("True", "Planning"),
            "False",
            NOW,
            id="plans what is outdated",
        ),
        pytest.param(
            a_stack(desired=a_desired(OTHER)),
            a_run(status=RunStatus.APPLYING),
            "OutOfSync",
            "Applying",
            ("False", "Applying"),
            ("True", "Applying"),
            "False",
            None,
            id="applies what is outdated",
        ),
        pytest.param(
            a_stack(),
            a_run(status=RunStatus.APPLYING, cancel_requested=True),
            "OutOfSync",
            "Applying",
            ("False", "Applying"),
            ("True", "Applying"),
            "False",
            NOW,
            id="apply to be stopped",
        ),
    ],
)
def test_what_is_said_of_a_stack(
    *,
    state: StackState,
    active: Run | None,
    sync: str,
    reason: str,
    ready: tuple[str, str],
    reconciling: tuple[str, str],
    stalled: str,
    due: datetime | None,
) -> None:
    found = assess(state, active, WHY, NOW)
    assert (found.sync, found.reason, found.due_at) == (sync, reason, due)
    conditions = {kind: (it.status, it.reason) for kind, it in found.conditions.items()}
    assert conditions[ConditionType.READY] == ready
    assert conditions[ConditionType.RECONCILING] == reconciling
    assert conditions[ConditionType.STALLED][0] == stalled
    assert found.why == (WHY if sync == "OutOfSync" else ())


def test_a_stack_and_its_first_condition_have_one_reason() -> None:
    states = [a_stack(), a_stack(last=failed()), a_stack(paused=True), a_stack(desired=None)]
    for state, active in itertools.product(states, [None, *(a_run(status=status) for status in sorted(ACTIVE))]):
        found = assess(state, active, WHY, NOW)
        assert found.reason == found.conditions[ConditionType.READY].reason, (state, active)


def test_a_failure_while_synced_is_not_tried_again_by_itself() -> None:
    state = assess(a_stack(applied=an_applied(), failed=failed(), retry_at=NOW), None, (), NOW)
    assert (state.due_at, decide(state, None, NOW)) == (None, Wait())


def test_since_stays_while_status_and_reason_stay() -> None:
    first = assess(a_stack(), None, (), NOW)
    second = assess(first, None, (), later(60))
    assert second.conditions[ConditionType.READY].since == NOW
    third = assess(second.evolve(applied=an_applied()), None, (), later(120))
    assert third.conditions[ConditionType.READY].since == later(120)
    assert third.conditions[ConditionType.STALLED].since == NOW


def test_assessing_twice_changes_nothing() -> None:
    once = assess(a_stack(last=failed()), None, WHY, NOW)
    assert assess(once, None, once.why, NOW) == once


@pytest.mark.parametrize(
    ("failures", "seconds"), [(1, 10), (2, 20), (3, 40), (6, 320), (7, 600), (100, 600), (100_000, 600)]
)
def test_retries_wait_longer_each_time_up_to_a_bound(failures: int, seconds: int) -> None:
    assert retry_delay(failures) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        pytest.param(a_stack(), False, id="neither"),
        pytest.param(a_stack(paused=True), True, id="by an operator"),
        pytest.param(a_stack(desired=a_desired(suspended=True)), True, id="in Git"),
        pytest.param(a_stack(desired=None, paused=True), True, id="retained and paused"),
        pytest.param(a_stack(desired=None), False, id="retained"),
    ],
)
def test_suspension(*, state: StackState, expected: bool) -> None:
    assert is_suspended(state) is expected


@pytest.mark.parametrize("status", [str(status) for status in RunStatus])
def test_a_stack_stands_still_after_an_unsuccessful_run_of_what_is_desired(status: str) -> None:
    outcome = an_outcome(status=status)
    still = status in {"failed", "canceled", "discarded", "interrupted"}
    assert stands_still(a_stack(last=outcome)) == (outcome if still else None)
    assert stands_still(a_stack(last=an_outcome(status=status, digest=OTHER.digest))) is None
    assert stands_still(a_stack(desired=None, last=outcome)) is None


def test_only_the_surroundings_are_tried_again_by_themselves() -> None:
    assert {reason for reason in Reason if is_retryable(reason)} == RETRYABLE
    assert not any(is_retryable(it) for it in ("ToolFailed", "Interrupted", "Timeout", "Anything"))
