"""Plans and applies one stack. Read it top to bottom.

A stack's state decides what may be done, a change set is made and read (`plan`), and exactly that change set is
executed (`apply`).
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from . import change_sets, states, templates
from .api import UNUSABLE, Json, Stack, fail, words
from .drift import drift
from .events import Operation

_DONE = {"CREATE_COMPLETE", "UPDATE_COMPLETE", "IMPORT_COMPLETE", "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS"}


def plan(stack: Stack) -> Json:
    """Make a change set and return what it would do; none is left where it would do nothing."""
    before = states.at_rest(stack)
    if before is not None:
        states.require_plannable(stack.name, before["StackStatus"])
    new = before is None or before["StackStatus"] == states.REVIEW
    if before is not None and new:
        change_sets.require_own(stack)
    template = templates.template(stack)
    summary = stack.api.get_template_summary(**template)
    templates.require_capabilities(summary, stack.request.get("capabilities", []))
    request = {
        "StackName": stack.name,
        "ChangeSetName": stack.request["token"],
        "ClientToken": stack.request["token"],
        "ChangeSetType": "CREATE" if new else "UPDATE",
        "Parameters": templates.parameters(stack, summary.get("Parameters", []), None if new else before),
        "Capabilities": stack.request.get("capabilities", []),
        "Tags": [{"Key": key, "Value": value} for key, value in sorted(stack.request.get("tags", {}).items())],
        "IncludeNestedStacks": True,
        **template,
    }
    if role := stack.request.get("roleArn"):
        request["RoleARN"] = role
    made = change_sets.made(stack, request)
    if before is not None and stack.describe() is not None:
        # Only now: without any change set, an empty stack would be nobody's.
        change_sets.remove_older(stack, but=made)
    if made is None:
        return {"hasChanges": False, "outputs": stack.outputs(), "drift": drift(stack)}
    return {"hasChanges": True, "changeSet": made, "changes": list(change_sets.changes(stack, made)), "new": new}


def apply(stack: Stack) -> Json:
    """Execute exactly the change set of the plan, follow its events, and return what it leaves."""
    made, token = stack.request["changeSet"], stack.request["token"]
    change_sets.require_executable(stack, made)
    found = stack.describe()
    if found is None:
        fail(f"the stack {stack.name} is gone: somebody deleted it since it was planned")
    operation = Operation.about_to_begin(stack, found["StackId"])
    change_sets.execute(stack, made, token)
    status = operation.follow()
    if status not in _DONE:
        fail(f"the stack is {status}{operation.first_failure()}")
    return {"outputs": stack.outputs(), "resources": list(stack.resources())}


def destroy_plan(stack: Stack) -> Json:
    """Return the resources that a deletion would remove."""
    found = states.at_rest(stack)
    if found is None:
        return {"hasChanges": False, "changes": []}
    if found["StackStatus"] == states.REVIEW:
        change_sets.require_own(stack)
    if found.get("EnableTerminationProtection"):
        fail(f"the stack {stack.name} has termination protection: take it off first")
    gone = [{**each, "action": "Remove", "before": None, "after": None} for each in stack.resources()]
    return {"hasChanges": True, "changes": gone, "stackId": found["StackId"]}


def destroy(stack: Stack) -> Json:
    """Delete the stack that was planned to be deleted, and follow its events."""
    found = stack.describe()
    if found is None:
        return {}
    if found["StackId"] != stack.request["stackId"]:
        fail(f"the stack {stack.name} is another one than when its deletion was planned")
    if found["StackStatus"] == states.REVIEW:
        change_sets.require_own(stack)
    operation = Operation.about_to_begin(stack, found["StackId"])
    stack.api.delete_stack(StackName=found["StackId"], ClientRequestToken=stack.request["token"])
    status = operation.follow()
    if status != "DELETE_COMPLETE":
        fail(f"the stack is {status}{operation.first_failure()}")
    return {}


_COMMANDS = {"plan": plan, "apply": apply, "destroy-plan": destroy_plan, "destroy": destroy}


def main(arguments: list[str]) -> None:
    """Run one command; see the package."""
    command, request, result = arguments
    asked: Mapping[str, Any] = json.loads(Path(request).read_bytes())
    try:
        answer = _COMMANDS[command](Stack(dict(asked)))
    except KeyboardInterrupt:
        fail("stopped when asked to: AWS goes on with what it has begun")
    except (*UNUSABLE, ClientError, OSError, UnicodeDecodeError) as error:
        fail(words(error))
    file = os.open(result, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(file, "w", encoding="utf-8") as out:
        json.dump(answer, out, default=str)
