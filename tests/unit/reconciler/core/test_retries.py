"""What failed by its tool is tried again where its document says so: so often, after so long, and never blindly."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from reconciler.core.conditions import assess
from reconciler.core.planning import QueueRun, Wait, decide
from reconciler.core.reasons import TOOL_FAILURES
from reconciler.core.runs import Run, RunEvent, RunKind, RunStatus
from reconciler.core.state import ConditionStatus, ConditionType, StackState
from reconciler.core.transition import take_step
from reconciler.runner.contract.job import EndReason as Ended
from spaces.model.retries import Retry
from tests.factories import NOW, a_desired, a_fingerprint, a_run, a_stack, later

TWICE = Retry.model_validate({"limit": 2, "backoff": "30s"})


def fail(state: StackState, run: Run, reason: str = "ToolFailed", seconds: float = 0) -> StackState:
    failed = take_step(state, run, RunEvent.FAIL, later(seconds), reason=reason, message="it broke").stack
    return assess(failed, None, (), later(seconds))


def retried(reason: str = "ToolFailed", status: RunStatus = RunStatus.PLANNING, **changes: Any) -> timedelta | None:
    """Return after how long a failed run is tried again; None: not at all."""
    desired = a_desired(retry=TWICE, tool=changes.pop("tool", "terraform"))
    state = a_stack(desired=desired, interrupted=changes.pop("interrupted", False))
    found = fail(state, a_run(status=status, **changes), reason).retry_at
    return found - NOW if found is not None else None


def test_the_words_are_those_of_the_runner() -> None:
    assert {Ended.TOOL_FAILED, Ended.TOOL_KILLED, Ended.PHASE_TIMEOUT} == TOOL_FAILURES


def test_it_is_tried_so_often_each_time_later_and_then_waits_for_somebody() -> None:
    state, seconds = a_stack(desired=a_desired(retry=TWICE)), 0.0
    for retry, pause in ((1, 30), (2, 60)):
        state = fail(state, a_run(status=RunStatus.PLANNING, retry=retry - 1), seconds=seconds)
        assert state.due_at == later(seconds + pause)
        assert state.conditions[ConditionType.STALLED].status is ConditionStatus.FALSE
        assert decide(state, None, later(seconds + pause - 1)) == Wait()
        seconds += pause
        assert decide(state, None, later(seconds)) == QueueRun(needs_confirmation=False, retry=retry)
    state = fail(state, a_run(status=RunStatus.PLANNING, retry=2), seconds=seconds)
    assert (state.due_at, decide(state, None, later(86400))) == (None, Wait())
    assert state.conditions[ConditionType.STALLED].status is ConditionStatus.TRUE


@pytest.mark.parametrize(
    ("changes", "again"),
    [
        pytest.param({"reason": "ToolKilled"}, True, id="killed"),
        pytest.param({"reason": "PhaseTimeout"}, True, id="too slow"),
        pytest.param({"reason": "HookFailed"}, False, id="a hook"),
        pytest.param({"reason": "PolicyDenied"}, False, id="a policy"),
        pytest.param({"status": RunStatus.APPLYING}, True, id="an apply towards a desired state"),
        pytest.param({"status": RunStatus.APPLYING, "tool": "script"}, False, id="an apply of a script"),
        pytest.param({"tool": "script"}, True, id="a plan of a script"),
        pytest.param({"interrupted": True}, False, id="after an interrupted apply"),
        pytest.param({"cancel_requested": True}, False, id="somebody stopped it"),
        pytest.param({"kind": RunKind.DESTROY}, False, id="a destruction that somebody asked for"),
        pytest.param({"kind": RunKind.DESTROY, "scheduled": True}, True, id="a destruction at the end"),
        pytest.param({"kind": RunKind.PROPOSED}, False, id="a plan that somebody asked for"),
        pytest.param({"digest": a_fingerprint(spec={"env A": "old"}).digest}, False, id="of another configuration"),
    ],
)
def test_only_failures_of_the_tool_and_only_what_is_safe(changes: dict[str, Any], *, again: bool) -> None:
    assert retried(**changes) == (timedelta(seconds=30) if again else None)


def test_an_interrupted_apply_is_never_tried_again() -> None:
    state = a_stack(desired=a_desired(retry=TWICE, tool="terraform"))
    state = take_step(state, a_run(status=RunStatus.APPLYING), RunEvent.INTERRUPT, NOW).stack
    assert (state.retry_at, decide(assess(state, None, (), NOW), None, later(86400))) == (None, Wait())


def test_the_pause_grows_to_an_hour_at_most() -> None:
    often = Retry.model_validate({"limit": 10, "backoff": "20m"})
    pauses = []
    for retry in range(4):
        failed = fail(a_stack(desired=a_desired(retry=often)), a_run(status=RunStatus.PLANNING, retry=retry))
        assert failed.retry_at is not None
        pauses.append(failed.retry_at - NOW)
    assert pauses == [timedelta(minutes=minutes) for minutes in (20, 40, 60, 60)]


def test_a_failure_of_the_surroundings_in_between_does_not_count() -> None:
    state = a_stack(desired=a_desired(retry=TWICE))
    state = fail(state, a_run(status=RunStatus.PLANNING, retry=1), "RunnerDied")
    assert decide(state, None, later(10)) == QueueRun(needs_confirmation=False, retry=1)
