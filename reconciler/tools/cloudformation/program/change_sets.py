"""Change sets: made, waited for, read and removed.

The name of each begins with what `request["mine"]` says, which no other stack of the service shares: so a run knows the
change sets of its own stack's earlier runs, and touches no others.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from botocore.exceptions import ClientError

from .api import UNUSABLE, Json, Stack, code_of, fail, is_missing, pauses, say, words
from .states import REVIEW

_HAS_BEGUN = {"TokenAlreadyExistsException", "InvalidChangeSetStatus"}
_NOTHING = re.compile(r"didn't contain changes|No updates are to be performed|contain no changes", re.IGNORECASE)


def require_own(stack: Stack) -> None:
    """Go on with an empty stack that waits for change sets of our own; end where it waits for somebody else's."""
    if others := [each["ChangeSetName"] for each in _listed(stack) if not _is_mine(stack, each)]:
        fail(
            f"the stack {stack.name} is {REVIEW}: it waits for the change set {', '.join(sorted(others))}, which no "
            "run of this stack has made; execute it, or delete it, or choose another cloudformation.stackName"
        )


def remove_older(stack: Stack, but: str | None = None) -> None:
    """Remove the change sets of this stack's own runs that were discarded, all but one: nobody else does."""
    for each in _listed(stack):
        if _is_mine(stack, each) and each["ChangeSetId"] != but:
            stack.api.delete_change_set(ChangeSetName=each["ChangeSetId"], StackName=stack.name)


def made(stack: Stack, request: Json) -> str | None:
    """Make a change set and wait for it; None where it would change nothing. One that failed is removed."""
    try:
        it: str = stack.api.create_change_set(**request)["Id"]
    except ClientError as error:
        if _NOTHING.search(str(error)):
            return None
        raise
    found = _settled(stack, it)
    if found["Status"] != "FAILED":
        return it
    reason = found.get("StatusReason") or "without a reason"
    stack.api.delete_change_set(ChangeSetName=it)
    if request["ChangeSetType"] == "CREATE":
        _remove_if_empty(stack)
    if not _NOTHING.search(reason):
        fail(f"the change set failed: {reason}")
    return None


def require_executable(stack: Stack, change_set: str) -> None:
    """End where the plan's change set is gone, or can be executed no more."""
    try:
        found = stack.api.describe_change_set(ChangeSetName=change_set)
    except ClientError as error:
        # Where the whole stack is gone, AWS says that instead.
        if code_of(error) != "ChangeSetNotFound" and not is_missing(error):
            raise
        fail("the plan's change set is gone: somebody deleted it, or another one was executed; retry the run")
    if found.get("ExecutionStatus") not in {"AVAILABLE", None}:
        fail(f"the plan's change set is {found['ExecutionStatus']}: the stack has changed since it was planned")


def execute(stack: Stack, change_set: str, token: str) -> None:
    """Have a change set executed, once, also where the answer to a call is lost: the next one is told of the first."""
    try:
        stack.api.execute_change_set(ChangeSetName=change_set, ClientRequestToken=token)
    except ClientError as error:
        if code_of(error) not in _HAS_BEGUN or not _is_executed(stack, change_set):
            raise
        say("AWS has the change set at work already: an earlier call had arrived, and its answer was lost")
    except UNUSABLE as error:
        say(f"WARNING: no answer of AWS: {words(error)}; its events will tell whether it has begun")


def _is_executed(stack: Stack, change_set: str) -> bool:
    found = stack.api.describe_change_set(ChangeSetName=change_set)
    return str(found.get("ExecutionStatus")).startswith("EXECUTE_")


def changes(stack: Stack, change_set: str, prefix: str = "") -> Iterator[Json]:
    """Yield what a change set would do, with what the change sets of nested stacks would do."""
    page: Json = {}
    while True:
        more = {"NextToken": page["NextToken"]} if page.get("NextToken") else {}
        page = stack.api.describe_change_set(ChangeSetName=change_set, IncludePropertyValues=True, **more)
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
                yield from changes(stack, each["ChangeSetId"], f"{prefix}{each['LogicalResourceId']}.")
        if not page.get("NextToken"):
            return


def parsed(text: str | None) -> Any:
    """Return the value of some JSON; the text itself where it is none."""
    try:
        return None if text is None else json.loads(text)
    except ValueError:
        return text


def _listed(stack: Stack) -> list[Json]:
    pages = stack.api.get_paginator("list_change_sets").paginate(StackName=stack.name)
    return [each for page in pages for each in page.get("Summaries", ())]


def _is_mine(stack: Stack, change_set: Json) -> bool:
    return str(change_set["ChangeSetName"]).startswith(stack.request["mine"])


def _remove_if_empty(stack: Stack) -> None:
    """Remove an empty stack that only waited for the change set that failed."""
    found = stack.describe()
    if found is not None and found["StackStatus"] == REVIEW and not _listed(stack):
        stack.api.delete_stack(StackName=stack.name)


def _settled(stack: Stack, change_set: str) -> Json:
    for _ in pauses():
        found: Json = stack.api.describe_change_set(ChangeSetName=change_set)
        if found["Status"] not in {"CREATE_PENDING", "CREATE_IN_PROGRESS"}:
            return found
    raise AssertionError


def _properties(context: str | None) -> Any:
    found = parsed(context)
    return found.get("Properties", found) if isinstance(found, dict) else found
