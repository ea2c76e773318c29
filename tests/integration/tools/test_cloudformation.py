"""CloudFormation against a server that answers as AWS does; what that one cannot do, against recorded answers."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest

from reconciler.core.results import Action
from reconciler.tools.base import StepFailed, ToolJob
from reconciler.tools.registry import tool
from tests.tools.aws import CREDENTIALS, REGION, Aws


def template(value: str = "one", **more: Any) -> str:
    thing = {"Type": "AWS::SSM::Parameter", "Properties": {"Name": "thing", "Type": "String", "Value": value}}
    return json.dumps({"Resources": {"Thing": thing}, "Outputs": {"G": {"Value": f"hello {value}"}}, **more})


class Road:
    """The way to AWS. `troubles` are those that the next calls of an action meet, one each: calls to come, oldest first.

    `throttled`: it is refused, and AWS does nothing. `cut`: there is no answer, and AWS has heard nothing. `lost`: AWS does
    it, and its answer gets lost. An execution that AWS has heard of before is told so, as AWS does.
    """

    def __init__(self, aws: Aws) -> None:
        self.troubles: dict[str, list[str]] = {}
        self.heard: list[tuple[str, str]] = []
        """The action and the token of each call that AWS has heard."""
        road = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                call = {name: values[0] for name, values in parse_qs(body.decode()).items()}
                action, token = call["Action"], call.get("ClientRequestToken", "")
                trouble = next(iter(road.troubles.get(action, ())), None)
                if trouble is not None:
                    road.troubles[action].pop(0)
                if trouble == "throttled":
                    self._refuse("Throttling", "Rate exceeded")
                elif action == "ExecuteChangeSet" and (action, token) in road.heard:
                    self._refuse("TokenAlreadyExistsException", "the token was used before")
                elif trouble != "cut":
                    road.heard.append((action, token))
                    asked = httpx.post(aws.url, content=body, headers=dict(self.headers))
                    if trouble != "lost":
                        self._answer(asked.status_code, asked.content)

            def _refuse(self, code: str, message: str) -> None:
                error = f"<Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>"
                self._answer(400, f"<ErrorResponse>{error}<RequestId>1</RequestId></ErrorResponse>".encode())

            def _answer(self, status: int, body: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def road(aws: Aws) -> Iterator[Road]:
    it = Road(aws)
    thread = Thread(target=it.server.serve_forever, daemon=True)
    thread.start()
    yield it
    it.server.shutdown()
    it.server.server_close()
    thread.join()


@pytest.fixture
def job(place: Any, aws: Aws) -> Any:
    def make(body: str, *, destroy: bool = False, **options: Any) -> ToolJob:
        (place.work / "t.json").write_text(body)
        settings = {"stackName": "it", "region": REGION, "template": "t.json", "endpointUrl": aws.url, **options}
        return ToolJob(sys.executable, place.work, place.scratch, settings, destroy=destroy)

    place.do.environment |= {**CREDENTIALS, "AWS_MAX_ATTEMPTS": "1"}
    return make


def rounds(place: Any, work: ToolJob) -> Any:
    it = tool("cloudformation")
    planned = it.plan(work, place.do)
    return planned, (it.apply(work, place.do) if planned.has_changes else None)


def failure(place: Any, work: ToolJob) -> str:
    with pytest.raises(StepFailed):
        rounds(place, work)
    return str(place.do.printed)


def test_create_change_nothing_and_delete(place: Any, job: Any, aws: Aws) -> None:
    planned, applied = rounds(place, job(template()))
    assert [(it.address, it.type, it.action) for it in planned.changes] == [
        ("Thing", "AWS::SSM::Parameter", Action.CREATE)
    ]
    assert [(it.address, it.attributes["id"]) for it in applied.resources] == [("Thing", "thing")]
    assert [(it.name, it.value) for it in applied.outputs] == [("G", "hello one")]
    planned, _ = rounds(place, job(template()))
    assert (planned.has_changes, [it.value for it in planned.present]) == (False, ["hello one"])
    planned, _ = rounds(place, job(template("two")))
    assert [it.action for it in planned.changes] == [Action.UPDATE]
    planned, applied = rounds(place, job(template("two"), destroy=True))
    assert ([it.action for it in planned.changes], applied.resources) == ([Action.DELETE], ())
    assert aws.client("ssm").describe_parameters()["Parameters"] == []
    assert not tool("cloudformation").plan(job(template(), destroy=True), place.do).has_changes


def test_parameters_come_from_the_document_and_from_the_environment(place: Any, job: Any, aws: Aws) -> None:
    body = template(Parameters={"Text": {"Type": "String"}, "Secret": {"Type": "String", "NoEcho": True}})
    place.do.environment["CF_PARAM_Secret"] = "hush"
    rounds(place, job(body, parameters={"Text": "x"}))
    (found,) = aws.client("cloudformation").describe_stacks(StackName="it")["Stacks"]
    assert {it["ParameterKey"]: it["ParameterValue"] for it in found["Parameters"]} == {"Text": "x", "Secret": "hush"}
    assert "hush" not in place.do.printed


@pytest.mark.parametrize(
    ("body", "options", "words"),
    [
        pytest.param("{", {}, "Error: ", id="no template"),
        pytest.param(
            template(Parameters={"A": {"Type": "String"}}), {}, "the template asks for A: give a value", id="missing"
        ),
        pytest.param(template(), {"parameters": {"B": "x"}}, "has no parameter B; it has none", id="unknown parameter"),
        pytest.param(template(Metadata={"x": "y" * 60_000}), {}, "name a bucket for it", id="too large"),
        pytest.param(template(), {"endpointUrl": "http://127.0.0.1:9"}, "Could not connect", id="no answer"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(place: Any, job: Any, *, body: str, options: Any, words: str) -> None:
    said = failure(place, job(body, **options))
    assert words in said
    assert "Traceback" not in said


def test_an_api_that_throttles_and_vanishes_in_the_middle_executes_once(
    place: Any, job: Any, aws: Aws, road: Road
) -> None:
    work, it = job(template(), endpointUrl=road.url), tool("cloudformation")
    place.do.environment["AWS_MAX_ATTEMPTS"] = "2"
    road.troubles["CreateChangeSet"] = ["throttled"] * 2
    with pytest.raises(StepFailed):
        it.plan(work, place.do)
    assert "Error: Throttling: Rate exceeded (asked 2 times)" in place.do.printed
    road.troubles = {
        "CreateChangeSet": ["throttled"],
        "ExecuteChangeSet": ["lost"],
        # The first one, before the execution, is asked for by the second try; what is lost afterwards is more than that.
        "DescribeStackEvents": ["throttled", "", "cut", "throttled", "cut"],
    }
    assert it.plan(work, place.do).has_changes
    assert [each.address for each in it.apply(work, place.do).resources or ()] == ["Thing"]
    assert road.troubles == {"CreateChangeSet": [], "ExecuteChangeSet": [], "DescribeStackEvents": []}
    assert [action for action, _ in road.heard].count("ExecuteChangeSet") == 1
    assert "an earlier call had arrived, and its answer was lost" in place.do.printed
    assert "WARNING: no answer of AWS, which goes on: " in place.do.printed
    assert not it.plan(work, place.do).has_changes


def test_a_large_template_goes_through_the_bucket(place: Any, job: Any, aws: Aws) -> None:
    aws.client("s3").create_bucket(Bucket="templates", CreateBucketConfiguration={"LocationConstraint": REGION})
    planned, applied = rounds(place, job(template(Metadata={"x": "y" * 60_000}), bucket="templates"))
    assert (len(planned.changes), len(applied.resources)) == (1, 1)


def test_exactly_the_planned_change_set_is_executed(place: Any, job: Any, aws: Aws) -> None:
    it, work = tool("cloudformation"), job(template())
    it.plan(work, place.do)
    saved = json.loads((place.scratch / "changeset.json").read_text())
    aws.client("cloudformation").delete_change_set(ChangeSetName=saved["changeSet"])
    with pytest.raises(StepFailed):
        it.apply(work, place.do)
    assert "change set is gone" in place.do.printed


def test_change_sets_of_discarded_runs_are_removed_and_those_of_others_left(place: Any, job: Any, aws: Aws) -> None:
    mine, theirs = (replace(job(template()), stack=name) for name in ("root/mine", "root/theirs"))
    tool("cloudformation").plan(mine, place.do)
    with pytest.raises(StepFailed):
        tool("cloudformation").plan(theirs, place.do)
    assert "which no run of this stack has made" in place.do.printed
    tool("cloudformation").apply(mine, place.do)
    (place.work / "t.json").write_text(template("two"))
    for each in (mine, theirs, mine):
        tool("cloudformation").plan(each, place.do)
    found = aws.client("cloudformation").list_change_sets(StackName="it")["Summaries"]
    waiting = [it["ChangeSetName"].rpartition("-")[0] for it in found if it["ExecutionStatus"] == "AVAILABLE"]
    assert len(waiting) == len(set(waiting)) == 2


def test_a_stack_that_was_made_anew_is_not_deleted_by_an_old_plan(place: Any, job: Any, aws: Aws) -> None:
    rounds(place, job(template()))
    gone = job(template(), destroy=True)
    tool("cloudformation").plan(gone, place.do)
    saved = place.scratch / "changeset.json"
    saved.write_text(json.dumps({**json.loads(saved.read_text()), "stackId": "arn:another"}))
    with pytest.raises(StepFailed):
        tool("cloudformation").apply(gone, place.do)
    assert "another one" in place.do.printed


def test_without_botocore_it_says_what_to_install() -> None:
    with pytest.raises(ValueError, match=r"pip install 'stationkeeper\[cloudformation\]'"):
        tool("cloudformation").read_version("none\n")
