"""What the program does with answers that the tests' AWS never gives, and how they become changes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from botocore.stub import Stubber

from reconciler.core.results import Action
from reconciler.tools.base import StepFailed
from reconciler.tools.cloudformation.adapter import applied, planned
from reconciler.tools.cloudformation.program import cloudformation as program


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setattr(program.time, "sleep", lambda _: None)
    it = program.Stack({"stackName": "it", "region": "eu-central-1", "changeSet": "arn:x:change", "token": "t"})
    with Stubber(it.api) as it.stub:
        yield it


def described(status: str, **more: Any) -> dict[str, Any]:
    return {
        "Stacks": [
            {"StackName": "it", "StackStatus": status, "CreationTime": "2026-01-01", "StackId": "arn:it", **more}
        ]
    }


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ("ROLLBACK_COMPLETE", "it can only be deleted: station stack destroy"),
        ("UPDATE_ROLLBACK_FAILED", "continue-update-rollback"),
        ("UPDATE_FAILED", "rollback-stack"),
        ("DELETE_FAILED", "delete it again"),
        ("UPDATE_IN_PROGRESS", "wait until that has ended"),
        ("SOMETHING_NEW", "something else is at work"),
    ],
)
def test_a_state_that_needs_a_person_is_explained(stack: Any, capsys: Any, status: str, words: str) -> None:
    stack.stub.add_response("describe_stacks", described(status))
    with pytest.raises(SystemExit):
        program.plan(stack)
    said = capsys.readouterr().err
    assert said.startswith(f"Error: the stack it is {status}: ")
    assert words in said


@pytest.mark.parametrize(
    ("summary", "agreed", "missing"),
    [
        pytest.param({"Capabilities": ["CAPABILITY_IAM"], "CapabilitiesReason": "a role"}, [], "CAPABILITY_IAM in", id="iam"),
        pytest.param({"Capabilities": ["CAPABILITY_IAM"]}, ["CAPABILITY_NAMED_IAM"], None, id="more than enough"),
        pytest.param({"DeclaredTransforms": ["AWS::Serverless"]}, [], "CAPABILITY_AUTO_EXPAND in", id="transform"),
    ],
)  # fmt: skip
def test_capabilities_that_are_missing_are_named(
    capsys: Any, summary: Any, agreed: list[str], missing: str | None
) -> None:
    if missing is None:
        program._agreed(summary, agreed)
        return
    with pytest.raises(SystemExit):
        program._agreed(summary, agreed)
    assert missing in capsys.readouterr().err


def test_a_change_set_that_is_obsolete_is_not_executed(stack: Any, capsys: Any) -> None:
    stack.stub.add_response("describe_change_set", {"Status": "CREATE_COMPLETE", "ExecutionStatus": "OBSOLETE"})
    with pytest.raises(SystemExit):
        program.apply(stack)
    assert "changed since it was planned" in capsys.readouterr().err


def test_the_first_failure_is_the_reason(stack: Any, capsys: Any) -> None:
    def event(number: int, name: str, status: str, reason: str) -> dict[str, Any]:
        return {
            "StackId": "arn:it", "StackName": "it", "EventId": str(number), "LogicalResourceId": name,
            "ResourceType": "AWS::X", "ResourceStatus": status, "ResourceStatusReason": reason, "Timestamp": "2026-01-01",
        }  # fmt: skip

    events = [event(2, "B", "CREATE_FAILED", "canceled"), event(1, "A", "CREATE_FAILED", "name is taken")]
    stack.stub.add_response("describe_change_set", {"Status": "CREATE_COMPLETE", "ExecutionStatus": "AVAILABLE"})
    stack.stub.add_response("describe_stack_events", {"StackEvents": []})
    stack.stub.add_response("execute_change_set", {}, {"ChangeSetName": "arn:x:change", "ClientRequestToken": "t"})
    stack.stub.add_response("describe_stacks", described("ROLLBACK_IN_PROGRESS"))
    stack.stub.add_response("describe_stack_events", {"StackEvents": events[1:]})
    stack.stub.add_response("describe_stacks", described("ROLLBACK_COMPLETE"))
    stack.stub.add_response("describe_stack_events", {"StackEvents": events})
    stack.stub.add_response("describe_stack_events", {"StackEvents": events})
    with pytest.raises(SystemExit):
        program.apply(stack)
    said = capsys.readouterr()
    assert "the stack is ROLLBACK_COMPLETE: A: name is taken" in said.err
    assert said.out.splitlines() == ["A AWS::X CREATE_FAILED (name is taken)", "B AWS::X CREATE_FAILED (canceled)"]


def test_drift_is_read_by_resource(stack: Any) -> None:
    drifted = {
        "StackId": "arn:it", "LogicalResourceId": "Q", "ResourceType": "AWS::SQS::Queue", "Timestamp": "2026-01-01",
        "StackResourceDriftStatus": "MODIFIED", "ExpectedProperties": '{"A": 1}', "ActualProperties": '{"A": 2}',
    }  # fmt: skip
    status = {"StackId": "arn:it", "StackDriftDetectionId": "d", "Timestamp": "2026-01-01"}
    stack.stub.add_response("describe_stacks", described("CREATE_COMPLETE"))
    stack.stub.add_response("detect_stack_drift", {"StackDriftDetectionId": "d"})
    stack.stub.add_response(
        "describe_stack_drift_detection_status", {**status, "DetectionStatus": "DETECTION_IN_PROGRESS"}
    )
    stack.stub.add_response(
        "describe_stack_drift_detection_status", {**status, "DetectionStatus": "DETECTION_COMPLETE"}
    )
    stack.stub.add_response("describe_stack_resource_drifts", {"StackResourceDrifts": [drifted]})
    found = program._drift(stack)
    (change,) = planned({"hasChanges": False, "drift": found}, frozenset()).drifted
    assert (change.address, change.action, change.before, change.after) == ("Q", Action.UPDATE, {"A": 1}, {"A": 2})


def test_nested_change_sets_are_followed_and_actions_are_those_of_every_tool(stack: Any) -> None:
    def change(name: str, action: str, **more: Any) -> dict[str, Any]:
        return {
            "Type": "Resource",
            "ResourceChange": {"LogicalResourceId": name, "ResourceType": "AWS::X", "Action": action, **more},
        }

    top = [
        change("A", "Modify", Replacement="True", BeforeContext='{"Properties": {"N": 1}}', AfterContext='{"Properties": {"N": 2}}'),
        change("B", "Remove", PolicyAction="Retain"),
        change("N", "Modify", ChangeSetId="arn:x:inner", Replacement="False"),
    ]  # fmt: skip
    stack.stub.add_response("describe_change_set", {"Changes": top[:1], "NextToken": "more"})
    stack.stub.add_response("describe_change_set", {"Changes": top[1:]})
    stack.stub.add_response("describe_change_set", {"Changes": [change("C", "Add"), change("D", "Import")]})
    found = list(stack.changes("arn:x:change"))
    changes = planned({"hasChanges": True, "changes": found}, frozenset()).changes
    assert [(it.address, it.action) for it in changes] == [
        ("A", Action.REPLACE),
        ("B", Action.FORGET),
        ("N", Action.UPDATE),
        ("N.C", Action.CREATE),
        ("N.D", Action.IMPORT),
    ]
    assert (changes[0].before, changes[0].after) == ({"N": 1}, {"N": 2})


@pytest.mark.parametrize("answer", [[], {}, {"hasChanges": True, "changes": [{}]}, {"resources": 1, "outputs": []}])
def test_an_answer_of_another_shape_is_refused(answer: Any) -> None:
    for read in (planned, applied):
        with pytest.raises(StepFailed, match="has a shape that is not known"):
            read(answer, frozenset())
