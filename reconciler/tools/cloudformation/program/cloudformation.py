"""Plans and applies one CloudFormation stack.

`python cloudformation.py plan|apply|destroy-plan|destroy REQUEST RESULT`, with the names of two JSON files. Events
go to standard output as they come. A failure is one line on standard error that begins with "Error:" and says what to
do. Credentials come from the environment alone. Read it top to bottom: a stack's state decides what may be done
(`_may_plan`), a change set is made and read (`plan`), and exactly that change set is executed (`apply`).
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any, NoReturn

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError
from botocore.session import get_session

_Json = dict[str, Any]

_INLINE = 51_200
"""Bytes of a template that a request can carry."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 5.0
_OURS = "station-"
_NOTHING = re.compile(r"didn't contain changes|No updates are to be performed|contain no changes", re.IGNORECASE)

_UNUSABLE = (BotoCoreError, ResponseParserError)
"""No answer, or one that is none of the API's."""

_DONE = {"CREATE_COMPLETE", "UPDATE_COMPLETE", "IMPORT_COMPLETE", "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS"}
_PLANNABLE = {
    "CREATE_COMPLETE",
    "UPDATE_COMPLETE",
    "UPDATE_ROLLBACK_COMPLETE",
    "IMPORT_COMPLETE",
    "IMPORT_ROLLBACK_COMPLETE",
}
_ADVICE = {
    "ROLLBACK_COMPLETE": "its creation failed and was rolled back, so that it can only be deleted: "
    "station stack destroy deletes it, and the next run creates it anew",
    "ROLLBACK_FAILED": "its creation failed, and so did the rollback: look at its events, then delete it",
    "CREATE_FAILED": "its creation failed and left resources behind: look at its events, then delete it",
    "UPDATE_ROLLBACK_FAILED": "an update failed, and so did its rollback: mend what the events name, then continue the "
    "rollback (aws cloudformation continue-update-rollback)",
    "UPDATE_FAILED": "an update failed without a rollback: roll it back (aws cloudformation rollback-stack)",
    "DELETE_FAILED": "a deletion failed: look at its events, then delete it again, or retain what cannot be deleted",
    "IMPORT_ROLLBACK_FAILED": "an import failed, and so did its rollback: continue the rollback",
}


def fail(message: str) -> NoReturn:
    """End with one line that says what is wrong."""
    print(f"Error: {' '.join(message.split())}", file=sys.stderr)
    raise SystemExit(1)


class Stack:
    """One stack, seen through its API."""

    def __init__(self, request: _Json) -> None:
        """Open the API of the region in the request."""
        self.name: str = request["stackName"]
        self.request = request
        self.api = self._client("cloudformation")

    def _client(self, service: str) -> Any:
        session: Any = get_session()
        config = Config(
            retries={"mode": "standard", "total_max_attempts": int(os.environ.get("AWS_MAX_ATTEMPTS", "8"))},
            connect_timeout=10,
            read_timeout=60,
            s3={"addressing_style": "path"},
        )
        return session.create_client(
            service, region_name=self.request["region"], endpoint_url=self.request.get("endpointUrl"), config=config
        )

    def describe(self) -> _Json | None:
        """Return the stack; None: there is none."""
        try:
            found: _Json = self.api.describe_stacks(StackName=self.name)["Stacks"][0]
        except ClientError as error:
            if "does not exist" in str(error):
                return None
            raise
        return None if found["StackStatus"] == "DELETE_COMPLETE" else found

    def template(self) -> _Json:
        """Return the template as the API takes it: in the request, or in a bucket where it is too large for that."""
        body = Path(self.request["template"]).read_bytes()
        if len(body) <= _INLINE:
            return {"TemplateBody": body.decode("utf-8-sig")}
        bucket = self.request.get("bucket")
        if bucket is None:
            fail(
                f"the template has {len(body)} bytes, more than {_INLINE}: name a bucket for it (cloudformation.bucket)"
            )
        key = f"station/{self.name}/{sha256(body).hexdigest()}.template"
        s3 = self._client("s3")
        s3.put_object(Bucket=bucket, Key=key, Body=body)
        return {"TemplateURL": f"{s3.meta.endpoint_url.rstrip('/')}/{bucket}/{key}"}

    def parameters(self, declared: list[_Json], before: _Json | None) -> list[_Json]:
        """Return the values of the declared parameters; one that is left out keeps the value that it had."""
        given = {**self.request.get("parameters", {}), **_from_environment()}
        names = {each["ParameterKey"] for each in declared}
        if unknown := sorted(given.keys() - names):
            fail(f"the template has no parameter {', '.join(unknown)}; it has {', '.join(sorted(names)) or 'none'}")
        had = {each["ParameterKey"] for each in (before or {}).get("Parameters", ())}
        missing = [each["ParameterKey"] for each in declared if "DefaultValue" not in each]
        if missing := sorted(set(missing) - given.keys() - had):
            fail(f"the template's parameter {', '.join(missing)} has no value: set cloudformation.parameters")
        kept = [{"ParameterKey": name, "UsePreviousValue": True} for name in sorted(names & had - given.keys())]
        return [{"ParameterKey": name, "ParameterValue": value} for name, value in sorted(given.items())] + kept

    def outputs(self) -> _Json:
        """Return the outputs by name."""
        found = self.describe() or {}
        return {each["OutputKey"]: each.get("OutputValue") for each in found.get("Outputs", ())}

    def resources(self, name: str | None = None, prefix: str = "") -> Iterator[_Json]:
        """Yield the resources, those of nested stacks below their own."""
        pages = self.api.get_paginator("list_stack_resources").paginate(StackName=name or self.name)
        for each in (each for page in pages for each in page["StackResourceSummaries"]):
            if each["ResourceStatus"] == "DELETE_COMPLETE":
                continue
            yield {
                "address": prefix + each["LogicalResourceId"],
                "type": each["ResourceType"],
                "id": each.get("PhysicalResourceId"),
                "status": each["ResourceStatus"],
            }
            if each["ResourceType"] == "AWS::CloudFormation::Stack" and each.get("PhysicalResourceId"):
                yield from self.resources(each["PhysicalResourceId"], f"{prefix}{each['LogicalResourceId']}.")

    def changes(self, change_set: str, prefix: str = "") -> Iterator[_Json]:
        """Yield what a change set would do, with what the change sets of nested stacks would do."""
        page: _Json = {}
        while True:
            more = {"NextToken": page["NextToken"]} if page.get("NextToken") else {}
            page = self.api.describe_change_set(ChangeSetName=change_set, IncludePropertyValues=True, **more)
            for each in (it["ResourceChange"] for it in page.get("Changes", ()) if "ResourceChange" in it):
                yield {
                    "address": prefix + each["LogicalResourceId"],
                    "type": each["ResourceType"],
                    "action": each["Action"],
                    "replacement": each.get("Replacement"),
                    "policy": each.get("PolicyAction"),
                    "id": each.get("PhysicalResourceId"),
                    "before": _properties(each.get("BeforeContext")),
                    "after": _properties(each.get("AfterContext")),
                }
                if each.get("ChangeSetId"):
                    yield from self.changes(each["ChangeSetId"], f"{prefix}{each['LogicalResourceId']}.")
            if not page.get("NextToken"):
                return


def plan(stack: Stack) -> _Json:
    """Make a change set and return what it would do; none is left where it would do nothing."""
    before = stack.describe()
    status = before["StackStatus"] if before else None
    _may_plan(stack.name, status)
    new = status in {None, "REVIEW_IN_PROGRESS"}
    template = stack.template()
    summary = stack.api.get_template_summary(**template)
    _agreed(summary, stack.request.get("capabilities", []))
    if not new or status is not None:
        _remove_ours(stack)
    kept = None if new else before
    request = {
        "StackName": stack.name,
        "ChangeSetName": stack.request["token"],
        "ChangeSetType": "CREATE" if new else "UPDATE",
        "Parameters": stack.parameters(summary.get("Parameters", []), kept),
        "Capabilities": stack.request.get("capabilities", []),
        "Tags": [{"Key": key, "Value": value} for key, value in sorted(stack.request.get("tags", {}).items())],
        "IncludeNestedStacks": True,
        **template,
    }
    if role := stack.request.get("roleArn"):
        request["RoleARN"] = role
    made, reason = _made(stack, request)
    if made is None:
        if not _NOTHING.search(reason):
            fail(f"the change set failed: {reason}")
        return {"hasChanges": False, "outputs": stack.outputs(), "drift": _drift(stack)}
    return {"hasChanges": True, "changeSet": made, "changes": list(stack.changes(made)), "new": new}


def apply(stack: Stack) -> _Json:
    """Execute exactly the change set of the plan, follow its events, and return what it leaves."""
    made, token = stack.request["changeSet"], stack.request["token"]
    try:
        found = stack.api.describe_change_set(ChangeSetName=made)
    except ClientError as error:
        fail(f"the plan's change set is gone: somebody deleted it, or another one was executed ({error})")
    if found.get("ExecutionStatus") not in {"AVAILABLE", None}:
        fail(f"the plan's change set is {found['ExecutionStatus']}: the stack has changed since it was planned")
    seen = _seen(stack)
    stack.api.execute_change_set(ChangeSetName=made, ClientRequestToken=token)
    status = _follow(stack, stack.name, seen)
    if status not in _DONE:
        fail(f"the stack is {status}{_first_failure(stack, seen)}")
    return {"outputs": stack.outputs(), "resources": list(stack.resources())}


def destroy_plan(stack: Stack) -> _Json:
    """Return the resources that a deletion would remove."""
    found = stack.describe()
    if found is None:
        return {"hasChanges": False, "changes": []}
    if found["StackStatus"].endswith("_IN_PROGRESS") and found["StackStatus"] != "REVIEW_IN_PROGRESS":
        fail(f"the stack {stack.name} is {found['StackStatus']}: something else is at work on it")
    if found.get("EnableTerminationProtection"):
        fail(f"the stack {stack.name} has termination protection: take it off first")
    gone = [{**each, "action": "Remove", "before": None, "after": None} for each in stack.resources()]
    return {"hasChanges": True, "changes": gone, "stackId": found["StackId"]}


def destroy(stack: Stack) -> _Json:
    """Delete the stack that was planned to be deleted, and follow its events."""
    found = stack.describe()
    if found is None:
        return {}
    if found["StackId"] != stack.request["stackId"]:
        fail(f"the stack {stack.name} is another one than when its deletion was planned")
    seen = _seen(stack)
    stack.api.delete_stack(StackName=found["StackId"], ClientRequestToken=stack.request["token"])
    status = _follow(stack, found["StackId"], seen)
    if status != "DELETE_COMPLETE":
        fail(f"the stack is {status}{_first_failure(stack, seen)}")
    return {}


def _may_plan(name: str, status: str | None) -> None:
    """Go on where a change set can be made; explain every other state of a stack, with what to do."""
    if status is None or status == "REVIEW_IN_PROGRESS" or status in _PLANNABLE:
        return
    advice = _ADVICE.get(status)
    if advice is None:
        advice = "something else is at work on it: wait until that has ended, then retry the run"
    fail(f"the stack {name} is {status}: {advice}")


def _agreed(summary: _Json, agreed: list[str]) -> None:
    needed = set(summary.get("Capabilities", ()))
    if summary.get("DeclaredTransforms"):
        needed.add("CAPABILITY_AUTO_EXPAND")
    if "CAPABILITY_NAMED_IAM" in agreed:
        needed.discard("CAPABILITY_IAM")
    if missing := sorted(needed - set(agreed)):
        why = summary.get("CapabilitiesReason") or "the template uses transforms"
        fail(f"the template needs {', '.join(missing)} in cloudformation.capabilities: {why}")


def _remove_ours(stack: Stack) -> None:
    """Remove change sets of runs that were discarded: nobody else does."""
    pages = stack.api.get_paginator("list_change_sets").paginate(StackName=stack.name)
    for each in [each for page in pages for each in page.get("Summaries", ())]:
        if each["ChangeSetName"].startswith(_OURS):
            stack.api.delete_change_set(ChangeSetName=each["ChangeSetId"], StackName=stack.name)


def _made(stack: Stack, request: _Json) -> tuple[str | None, str]:
    """Make a change set and wait for it; None, with the reason, where it failed and was removed."""
    try:
        made: str = stack.api.create_change_set(**request)["Id"]
    except ClientError as error:
        if not _NOTHING.search(str(error)):
            raise
        return None, str(error)
    found = _settled(stack, made)
    if found["Status"] != "FAILED":
        return made, ""
    _discard(stack, made, new=request["ChangeSetType"] == "CREATE")
    return None, found.get("StatusReason") or "without a reason"


def _discard(stack: Stack, change_set: str, *, new: bool) -> None:
    stack.api.delete_change_set(ChangeSetName=change_set)
    if new:
        # An empty stack that only waited for its first change set.
        found = stack.describe()
        if found is not None and found["StackStatus"] == "REVIEW_IN_PROGRESS":
            stack.api.delete_stack(StackName=stack.name)


def _settled(stack: Stack, change_set: str) -> _Json:
    for _ in _pauses():
        found: _Json = stack.api.describe_change_set(ChangeSetName=change_set)
        if found["Status"] not in {"CREATE_PENDING", "CREATE_IN_PROGRESS"}:
            return found
    raise AssertionError


def _seen(stack: Stack) -> set[str]:
    return {event["EventId"] for event in _events(stack, stack.name)}


def _events(stack: Stack, name: str) -> list[_Json]:
    """Return the stack's events, oldest first; none where there is no stack yet."""
    try:
        pages = stack.api.get_paginator("describe_stack_events").paginate(StackName=name)
        return [event for page in pages for event in page["StackEvents"]][::-1]
    except ClientError as error:
        if "does not exist" in str(error):
            return []
        raise


def _follow(stack: Stack, name: str, seen: set[str]) -> str:
    """Print events as they come, and return the status that the stack ends in."""
    told = set(seen)
    for _ in _pauses():
        try:
            found = stack.api.describe_stacks(StackName=name)["Stacks"][0]
        except ClientError as error:
            if "does not exist" in str(error):
                return "DELETE_COMPLETE"
            raise
        for event in _events(stack, name):
            if event["EventId"] not in told:
                told.add(event["EventId"])
                reason = f" ({event['ResourceStatusReason']})" if event.get("ResourceStatusReason") else ""
                print(f"{event['LogicalResourceId']} {event.get('ResourceType', '')} {event['ResourceStatus']}{reason}")
                sys.stdout.flush()
        status: str = found["StackStatus"]
        if not status.endswith("_IN_PROGRESS") or status == "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS":
            return status
    raise AssertionError


def _first_failure(stack: Stack, seen: set[str]) -> str:
    """Return the first failure among new events: those that follow are mostly its consequence."""
    for event in _events(stack, stack.name):
        if event["EventId"] not in seen and event["ResourceStatus"].endswith("_FAILED"):
            return f": {event['LogicalResourceId']}: {event.get('ResourceStatusReason', 'without a reason')}"
    return ""


def _drift(stack: Stack) -> list[_Json]:
    """Return the resources that differ from what was deployed, as far as the API can tell."""
    if stack.describe() is None:
        return []
    try:
        asked = stack.api.detect_stack_drift(StackName=stack.name)["StackDriftDetectionId"]
        for _ in _pauses():
            found = stack.api.describe_stack_drift_detection_status(StackDriftDetectionId=asked)
            if found["DetectionStatus"] != "DETECTION_IN_PROGRESS":
                break
        kinds = ["MODIFIED", "DELETED"]
        drifted: list[_Json] = []
        page: _Json = {}
        while True:
            more = {"NextToken": page["NextToken"]} if page.get("NextToken") else {}
            page = stack.api.describe_stack_resource_drifts(
                StackName=stack.name, StackResourceDriftStatusFilters=kinds, **more
            )
            drifted += page.get("StackResourceDrifts", ())
            if not page.get("NextToken"):
                break
    except (*_UNUSABLE, ClientError) as error:
        print(f"drift cannot be checked: {error}")
        return []
    return [
        {
            "address": each["LogicalResourceId"],
            "type": each["ResourceType"],
            "action": "Remove" if each["StackResourceDriftStatus"] == "DELETED" else "Modify",
            "before": _parsed(each.get("ExpectedProperties")),
            "after": _parsed(each.get("ActualProperties")),
        }
        for each in drifted
    ]


def _pauses() -> Iterator[float]:
    pause = _FIRST_PAUSE
    while True:
        yield pause
        time.sleep(pause)
        pause = min(pause * 1.5, _LONGEST_PAUSE)


def _from_environment() -> dict[str, str]:
    prefix = "CF_PARAM_"
    return {name.removeprefix(prefix): value for name, value in os.environ.items() if name.startswith(prefix)}


def _properties(context: str | None) -> Any:
    found = _parsed(context)
    return found.get("Properties", found) if isinstance(found, dict) else found


def _parsed(text: str | None) -> Any:
    try:
        return None if text is None else json.loads(text)
    except ValueError:
        return text


_COMMANDS = {"plan": plan, "apply": apply, "destroy-plan": destroy_plan, "destroy": destroy}


def main(arguments: list[str]) -> None:
    """Run one command; see the module."""
    command, request, result = arguments
    asked: Mapping[str, Any] = json.loads(Path(request).read_bytes())
    try:
        answer = _COMMANDS[command](Stack(dict(asked)))
    except ClientError as error:
        said = error.response.get("Error", {})
        fail(f"{said.get('Code', 'AWS')}: {said.get('Message', error)}")
    except (*_UNUSABLE, OSError, UnicodeDecodeError) as error:
        fail(str(error).partition(", further debug")[0])
    file = os.open(result, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(file, "w", encoding="utf-8") as out:
        json.dump(answer, out, default=str)


if __name__ == "__main__":
    main(sys.argv[1:])
