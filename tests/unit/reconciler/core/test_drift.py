from __future__ import annotations

from typing import Any

import pytest

from reconciler.core.conditions import assess
from reconciler.core.drift import differences, observe, takes_away
from reconciler.core.identifiers import next_run_id, run_id
from reconciler.core.planning import QueueRun, Wait, decide
from reconciler.core.results import Action, Planned, ResourceChange
from reconciler.core.runs import RunEvent, RunKind, RunStatus
from reconciler.core.state import ConditionType, Observed, StackState
from reconciler.core.transition import take_step
from spaces.model.drift import Drift, IgnoredDrift
from tests.factories import NOW, a_desired, a_fingerprint, a_run, a_stack, an_applied, an_outcome, later

GROUP = "aws_autoscaling_group.web[0]"
DIGEST = a_fingerprint().digest


def a_change(action: Action = Action.UPDATE, address: str = GROUP, **changes: Any) -> ResourceChange:
    values = {"before": {"size": 5, "name": "web"}, "after": {"size": 3, "name": "web"}} | changes
    return ResourceChange(address, "aws_autoscaling_group", "aws", action, **values)


def planned(*changes: ResourceChange, told: tuple[ResourceChange, ...] = ()) -> Planned:
    return Planned(has_changes=bool(changes), changes=changes, drifted=told)


def checked(reconcile: Any, drifted: int = 1, **changes: Any) -> StackState:
    """Return a stack in sync, as a check left it."""
    drift = Drift(schedules=("0 * * * *",), reconcile=reconcile)
    observed = changes.pop("observed", Observed("01zzzzzzzz", NOW, DIGEST, drifted))
    desired = a_desired(drift=drift, **changes.pop("desired", {}))
    state = a_stack(desired=desired, applied=an_applied(), observed=observed, **changes)
    return assess(state, None, (), NOW)


def test_a_plan_tells_what_was_and_what_is() -> None:
    (found,) = differences(planned(a_change()))
    assert (found.kind, [(it.name, it.was, it.now) for it in found.attributes()]) == ("changed", [("size", 3, 5)])


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (a_change(Action.CREATE, before=None), "missing"),
        (a_change(Action.DELETE, after=None), "added"),
        (a_change(Action.REPLACE), "replaced"),
    ],
)
def test_a_resource_that_is_there_on_one_side_only(change: ResourceChange, kind: str) -> None:
    assert [it.kind for it in differences(planned(change))] == [kind]


def test_what_only_the_tool_writes_down_is_no_drift() -> None:
    bookkeeping = [a_change(action) for action in (Action.READ, Action.MOVE, Action.IMPORT, Action.FORGET)]
    assert differences(planned(*bookkeeping)) == []
    assert observe(a_run(), planned(*bookkeeping), (), NOW).drifted == 0


def test_a_tool_that_only_tells_is_believed() -> None:
    told = (a_change(Action.DELETE, after=None),)
    assert differences(planned(told=told)) == []
    assert [it.kind for it in differences(planned(told=told), mendable=False)] == ["missing"]


def test_a_tool_that_names_nothing_still_differs() -> None:
    assert observe(a_run(), Planned(has_changes=True), (), NOW).drifted == 1


@pytest.mark.parametrize(
    ("rule", "action", "left"),
    [
        pytest.param({"address": "aws_autoscaling_group.*", "attributes": ("size",)}, Action.UPDATE, 0, id="attribute"),
        pytest.param({"address": GROUP, "attributes": ("size",)}, Action.UPDATE, 0, id="an address with an index"),
        pytest.param({"address": GROUP, "attributes": ("name",)}, Action.UPDATE, 1, id="another attribute"),
        pytest.param({"address": "aws_instance.*"}, Action.UPDATE, 1, id="another resource"),
        pytest.param({"address": GROUP, "attributes": ("size", "name")}, Action.REPLACE, 1, id="it is replaced"),
        pytest.param({"address": GROUP}, Action.DELETE, 0, id="whatever happens"),
    ],
)
def test_what_is_ignored(rule: dict[str, Any], action: Action, left: int) -> None:
    assert len(differences(planned(a_change(action)), [IgnoredDrift(**rule)])) == left


def test_rules_for_one_resource_add_up() -> None:
    change = a_change(after={"size": 3, "name": "old"})
    rules = [IgnoredDrift(address=GROUP, attributes=("size",)), IgnoredDrift(address="*", attributes=("name",))]
    assert differences(planned(change), rules) == []
    assert len(differences(planned(change), rules[:1])) == 1


@pytest.mark.parametrize(
    ("observed", "status", "reason"),
    [
        (Observed("r", NOW, DIGEST, 2), "True", "Drifted"),
        (Observed("r", NOW, DIGEST, 0), "False", "NoDrift"),
        (Observed("r", NOW, DIGEST, 0, failed="run x: exit 1"), "Unknown", "CheckFailed"),
        (Observed("r", NOW, DIGEST, 2, failed="run x: exit 1"), "True", "Drifted"),
    ],
)
def test_the_condition_says_what_the_last_look_found(observed: Observed, status: str, reason: str) -> None:
    condition = checked(False, observed=observed).conditions[ConditionType.DRIFTED]
    assert (condition.status, condition.reason) == (status, reason)


def test_without_a_look_there_is_no_condition() -> None:
    assert ConditionType.DRIFTED not in checked(False, observed=None).conditions


@pytest.mark.parametrize("reconcile", [False, "safe", True])
def test_drift_is_put_right_only_where_the_document_says_so(reconcile: Any) -> None:
    state = checked(reconcile)
    action = decide(state, None, NOW)
    if reconcile is False:
        assert (action, state.due_at) == (Wait(), None)
        return
    assert action == QueueRun(needs_confirmation=False, repairs="01zzzzzzzz", gentle=reconcile == "safe")
    assert state.due_at == NOW


@pytest.mark.parametrize(
    "state",
    [
        pytest.param(checked(True, drifted=0), id="nothing drifted"),
        pytest.param(checked(True, last=an_outcome(run="01zzzzzzzzz", status="failed")), id="a repair failed since"),
        pytest.param(checked(True, observed=Observed("0", NOW, DIGEST, 1, mendable=False)), id="no run would help"),
        pytest.param(checked(True, observed=Observed("0", NOW, a_fingerprint(spec={"a": "1"}).digest, 1)), id="old"),
        pytest.param(checked(True, desired={"suspended": True}), id="suspended"),
    ],
)
def test_no_run_puts_it_right(state: StackState) -> None:
    assert (decide(state, None, NOW), state.due_at) == (Wait(), None)


def test_the_run_after_a_check_is_the_newer_one_also_where_the_clock_was_set_back() -> None:
    check = run_id(NOW, b"\xff" * 10)
    state = checked(True, observed=Observed(check, NOW, DIGEST, 1))
    repair = next_run_id(state, later(-86400), b"\x00" * 10)
    assert (repair > check, len(repair)) == (True, 26)
    assert next_run_id(state, later(1), b"\x00" * 10) == run_id(later(1), b"\x00" * 10)


def test_a_stack_that_wants_confirmation_gets_it_for_a_repair_too() -> None:
    action = decide(checked(True, desired={"autodeploy": False}), None, NOW)
    assert isinstance(action, QueueRun)
    assert action.needs_confirmation


def test_after_an_interruption_the_next_run_waits_for_a_person_whatever_has_drifted() -> None:
    # The interrupted repair is not the newest run any more: one that came after it gave way.
    gave_way = an_outcome(run="01zzzzzzzzzz", status="superseded")
    assert decide(checked(True, interrupted=True, last=gave_way), None, NOW) == QueueRun(needs_confirmation=True)


@pytest.mark.parametrize("event", [RunEvent.QUEUE, RunEvent.PREPARE, RunEvent.FAIL, RunEvent.CANCEL, RunEvent.OBSERVE])
def test_a_check_is_never_the_stacks_newest_run(event: RunEvent) -> None:
    state = checked(False, last=an_outcome(run="0"), failed=None)
    status = RunStatus.QUEUED if event is RunEvent.QUEUE else RunStatus.PLANNING
    run = a_run(kind=RunKind.DRIFT, status=status)
    after = take_step(state, run, event, later(1), reason="ToolFailed", message="exit 1")
    assert (after.stack.last, after.stack.failed, after.stack.applied) == (state.last, None, state.applied)
    assert not after.wakes_dependents
    assert not after.changes_applied


def test_a_check_that_fails_keeps_what_the_one_before_found() -> None:
    run = a_run(kind=RunKind.DRIFT, status=RunStatus.PLANNING)
    after = take_step(checked(False), run, RunEvent.FAIL, NOW, reason="ToolFailed", message="exit 1").stack.observed
    assert after is not None
    assert (after.drifted, after.failed) == (1, f"run {run.id}: exit 1")


def test_a_successful_run_leaves_no_drift() -> None:
    run = a_run(status=RunStatus.APPLYING)
    after = take_step(checked(False), run, RunEvent.SUCCEED, NOW).stack
    assert after.observed == Observed(run.id, NOW, run.digest)


def test_only_deletes_and_replacements_take_something_away() -> None:
    assert [takes_away(planned(a_change(action))) for action in (Action.CREATE, Action.UPDATE)] == [False, False]
    assert [takes_away(planned(a_change(action))) for action in (Action.DELETE, Action.REPLACE)] == [True, True]
