"""What the program does with answers that the tests' AWS never gives, and how they become changes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from unittest.mock import MagicMock

import pytest
from botocore.stub import Stubber

from reconciler.core.results import Action
from reconciler.tools.base import StepFailed
from reconciler.tools.cloudformation.adapter import applied, planned
from reconciler.tools.cloudformation.program import api, change_sets, commands, drift, events, states, templates


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setattr(api.time, "sleep", lambda _: None)
    it = api.Stack(
        {
            "stackName": "it",
            "region": "eu-central-1",
            "template": __file__,
            "changeSet": "arn:x:change",
            "token": "station-me-1",
            "mine": "station-me-",
            "stackId": "arn:it",
        }
    )
    with Stubber(it.api) as it.stub:
        yield it
        it.stub.assert_no_pending_responses()


def event(number: int, status: str, name: str = "it", **more: Any) -> dict[str, Any]:
    return {
        "StackId": "arn:it", "StackName": "it", "EventId": str(number), "LogicalResourceId": name, "ResourceType": "AWS::X",
        "PhysicalResourceId": f"arn:{name}", "ResourceStatus": status, "Timestamp": "2026-01-01", **more,
    }  # fmt: skip


def failure(run: Any, stack: Any, capsys: Any) -> str:
    with pytest.raises(SystemExit):
        run(stack)
    said: str = capsys.readouterr().err
    assert said.startswith("Error: ")
    assert said.count("\n") == 1
    return said


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
        ("SOMETHING_NEW", "nobody has told"),
    ],
)
def test_a_state_that_needs_a_person_is_explained(stack: Any, capsys: Any, status: str, words: str) -> None:
    stack.stub.add_response("describe_stacks", described(status))
    said = failure(commands.plan, stack, capsys)
    assert said.startswith(f"Error: the stack it is {status}: ")
    assert words in said


@pytest.mark.parametrize("run", [commands.plan, commands.destroy_plan])
def test_a_stack_that_is_busy_is_waited_for_and_not_for_ever(
    stack: Any, capsys: Any, monkeypatch: Any, run: Any
) -> None:
    stack.stub.add_response("describe_stacks", described("UPDATE_COMPLETE_CLEANUP_IN_PROGRESS"))
    stack.stub.add_response("describe_stacks", described("UPDATE_COMPLETE"))
    assert states.at_rest(stack)["StackStatus"] == "UPDATE_COMPLETE"
    assert capsys.readouterr().out == "the stack is UPDATE_COMPLETE_CLEANUP_IN_PROGRESS: waiting until that has ended\n"
    monkeypatch.setattr(states, "PATIENCE", 0.0)
    stack.stub.add_response("describe_stacks", described("UPDATE_IN_PROGRESS"))
    assert "wait until that has ended" in failure(run, stack, capsys)


@pytest.mark.parametrize("run", [commands.plan, commands.destroy_plan, commands.destroy])
def test_an_empty_stack_that_waits_for_somebody_elses_change_set_is_left_alone(
    stack: Any, capsys: Any, run: Any
) -> None:
    listed = [{"ChangeSetName": name, "ChangeSetId": name} for name in ("station-me-0", "station-other-1", "theirs")]
    stack.stub.add_response("describe_stacks", described("REVIEW_IN_PROGRESS"))
    stack.stub.add_response("list_change_sets", {"Summaries": listed})
    assert "waits for the change set station-other-1, theirs, which no run" in failure(run, stack, capsys)


def test_only_change_sets_of_the_same_stack_are_removed(stack: Any) -> None:
    names = ["station-me-0", "station-me-1", "station-other-1", "theirs"]
    listed = [{"ChangeSetName": name, "ChangeSetId": f"arn:{name}"} for name in names]
    stack.stub.add_response("list_change_sets", {"Summaries": listed})
    stack.stub.add_response("delete_change_set", {}, {"ChangeSetName": "arn:station-me-0", "StackName": "it"})
    change_sets.remove_older(stack, but="arn:station-me-1")


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
        templates.require_capabilities(summary, agreed)
    else:
        assert missing in failure(lambda _: templates.require_capabilities(summary, agreed), None, capsys)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("ChangeSetNotFound", "the plan's change set is gone"),
        ("AccessDenied", "AccessDenied: you may not"),
        (KeyboardInterrupt, "AWS goes on with what it has begun"),
    ],
)
def test_only_a_change_set_that_is_not_found_is_gone_and_no_end_is_a_traceback(  # noqa: PLR0917 - fixtures and parameters
    stack: Any, capsys: Any, monkeypatch: Any, tmp_path: Any, code: Any, words: str
) -> None:
    monkeypatch.setattr(commands, "Stack", lambda _: stack)
    if isinstance(code, str):
        stack.stub.add_client_error("describe_change_set", code, "you may not")
    else:
        monkeypatch.setattr(stack.api, "describe_change_set", MagicMock(side_effect=code))
    (tmp_path / "request").write_text("{}")
    said = failure(
        lambda _: commands.main(["apply", str(tmp_path / "request"), str(tmp_path / "result")]), None, capsys
    )
    assert words in said


def test_a_change_set_that_is_obsolete_is_not_executed(stack: Any, capsys: Any) -> None:
    stack.stub.add_response("describe_change_set", {"Status": "CREATE_COMPLETE", "ExecutionStatus": "OBSOLETE"})
    assert "changed since it was planned" in failure(commands.apply, stack, capsys)


def test_an_apply_ends_with_its_own_events_and_names_the_first_failure(stack: Any, capsys: Any) -> None:
    token = {"ClientRequestToken": "station-me-1"}
    old = [event(1, "UPDATE_COMPLETE", ClientRequestToken="earlier")]
    others = [event(2, "UPDATE_ROLLBACK_COMPLETE", ClientRequestToken="another's"), *old]
    begun = [event(3, "UPDATE_IN_PROGRESS", **token), *others]
    failed = [event(4, "UPDATE_FAILED", "A", ResourceStatusReason="name is taken", **token), *begun]
    # Somebody cancels it: what follows has their token.
    ended = [
        event(6, "UPDATE_ROLLBACK_COMPLETE", ClientRequestToken="cancels"),
        event(5, "UPDATE_FAILED", "B", ResourceStatusReason="canceled", ClientRequestToken="cancels"),
        *failed,
    ]
    stack.stub.add_response("describe_change_set", {"Status": "CREATE_COMPLETE", "ExecutionStatus": "AVAILABLE"})
    stack.stub.add_response("describe_stacks", described("UPDATE_COMPLETE"))
    stack.stub.add_response("describe_stack_events", {"StackEvents": old})
    stack.stub.add_response(
        "execute_change_set", {}, {"ChangeSetName": "arn:x:change", "ClientRequestToken": "station-me-1"}
    )
    for seen in (old, others, begun, failed):
        stack.stub.add_response("describe_stack_events", {"StackEvents": seen})
        # The state of the operation before says nothing about this one.
        stack.stub.add_response("describe_stacks", described("UPDATE_COMPLETE"))
    stack.stub.add_response("describe_stack_events", {"StackEvents": ended})
    stack.stub.add_response("describe_stack_events", {"StackEvents": ended})
    with pytest.raises(SystemExit):
        commands.apply(stack)
    said = capsys.readouterr()
    assert "the stack is UPDATE_ROLLBACK_COMPLETE: A: name is taken" in said.err
    assert said.out.splitlines()[2:4] == [
        "A AWS::X UPDATE_FAILED (name is taken)",
        "B AWS::X UPDATE_FAILED (canceled)",
    ]


def test_an_api_that_is_away_for_good_is_not_waited_for_for_ever(stack: Any, capsys: Any, monkeypatch: Any) -> None:
    operation = events.Operation(stack, "arn:it", "station-me-1", None)
    monkeypatch.setattr(events, "PATIENCE", 0.0)
    stack.stub.add_client_error("describe_stack_events", "ServiceUnavailable", "later", http_status_code=503)
    said = failure(lambda _: operation.follow(), stack, capsys)
    assert "AWS goes on with what it has begun, but has not answered for 0 minutes: ServiceUnavailable: later;" in said
    assert "the next run waits until the stack is at rest" in said


def test_an_apply_that_aws_never_begins_fails(stack: Any, capsys: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(events, "PATIENCE", 0.0)
    stack.stub.add_response("describe_stack_events", {"StackEvents": [event(1, "UPDATE_COMPLETE")]})
    operation = events.Operation.about_to_begin(stack, "arn:it")
    stack.stub.add_response("describe_stack_events", {"StackEvents": [event(1, "UPDATE_COMPLETE")]})
    stack.stub.add_response("describe_stacks", described("UPDATE_COMPLETE"))
    assert "AWS has not begun" in failure(lambda _: operation.follow(), stack, capsys)


@pytest.mark.parametrize("ended", ["DETECTION_COMPLETE", "DETECTION_FAILED"])
def test_drift_is_read_by_resource_and_what_could_not_be_checked_is_said(stack: Any, capsys: Any, ended: str) -> None:
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
        "describe_stack_drift_detection_status",
        {**status, "DetectionStatus": ended, "DetectionStatusReason": "no right to read Q"},
    )
    stack.stub.add_response("describe_stack_resource_drifts", {"StackResourceDrifts": [drifted]})
    found = drift.drift(stack)
    (change,) = planned({"hasChanges": False, "drift": found}, frozenset()).drifted
    assert (change.address, change.action, change.before, change.after) == ("Q", Action.UPDATE, {"A": 1}, {"A": 2})
    warned = "WARNING: drift could not be checked for every resource (DETECTION_FAILED): no right to read Q\n"
    assert capsys.readouterr().out == (warned if ended == "DETECTION_FAILED" else "")


@pytest.mark.parametrize("answer", ["an error", "DETECTION_FAILED"])
def test_a_run_that_only_checks_never_takes_a_failed_detection_for_no_drift(
    stack: Any, capsys: Any, answer: str
) -> None:
    stack.request["check"] = True
    stack.stub.add_response("describe_stacks", described("CREATE_COMPLETE"))
    if answer == "an error":
        stack.stub.add_client_error("detect_stack_drift", "AccessDenied", "you may not")
    else:
        status = {
            "StackId": "arn:it",
            "StackDriftDetectionId": "d",
            "Timestamp": "2026-01-01",
            "DetectionStatus": answer,
        }
        stack.stub.add_response("detect_stack_drift", {"StackDriftDetectionId": "d"})
        stack.stub.add_response("describe_stack_drift_detection_status", status)
        stack.stub.add_response("describe_stack_resource_drifts", {"StackResourceDrifts": []})
    assert "drift could not be checked" in failure(drift.drift, stack, capsys)


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
    found = list(change_sets.changes(stack, "arn:x:change"))
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
