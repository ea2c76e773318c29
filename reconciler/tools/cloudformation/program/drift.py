"""Drift by AWS's own detection, which knows some types of resources and not others."""

from __future__ import annotations

from botocore.exceptions import ClientError

from .api import UNUSABLE, Json, Stack, fail, pauses, say, words
from .change_sets import parsed


def drift(stack: Stack) -> list[Json]:
    """Return the resources that differ from what was deployed.

    What could not be checked is said in the log. A run that does nothing but check fails instead of finding nothing.
    """
    if stack.describe() is None:
        return []
    try:
        asked = stack.api.detect_stack_drift(StackName=stack.name)["StackDriftDetectionId"]
        found = _detected(stack, asked)
        drifted = list(_drifted(stack))
    except (*UNUSABLE, ClientError) as error:
        _unchecked(stack, f"drift could not be checked: {words(error)}")
        return []
    if found["DetectionStatus"] != "DETECTION_COMPLETE":
        # There are results all the same, of the resources that could be checked.
        why = found.get("DetectionStatusReason") or "AWS gives no reason"
        message = f"drift could not be checked for every resource ({found['DetectionStatus']}): {why}"
        _unchecked(stack, message, otherwise_found=bool(drifted))
    return drifted


def _unchecked(stack: Stack, message: str, *, otherwise_found: bool = False) -> None:
    if stack.request.get("check") and not otherwise_found:
        fail(message)
    say(f"WARNING: {message}")


def _detected(stack: Stack, asked: str) -> Json:
    for _ in pauses():
        found: Json = stack.api.describe_stack_drift_detection_status(StackDriftDetectionId=asked)
        if found["DetectionStatus"] != "DETECTION_IN_PROGRESS":
            return found
    raise AssertionError


def _drifted(stack: Stack) -> list[Json]:
    drifted: list[Json] = []
    page: Json = {}
    while True:
        more = {"NextToken": page["NextToken"]} if page.get("NextToken") else {}
        page = stack.api.describe_stack_resource_drifts(
            StackName=stack.name, StackResourceDriftStatusFilters=["MODIFIED", "DELETED"], **more
        )
        drifted += map(_shown, page.get("StackResourceDrifts", ()))
        if not page.get("NextToken"):
            return drifted


def _shown(each: Json) -> Json:
    return {
        "address": each["LogicalResourceId"],
        "type": each["ResourceType"],
        "action": "Remove" if each["StackResourceDriftStatus"] == "DELETED" else "Modify",
        "before": parsed(each.get("ExpectedProperties")),
        "after": parsed(each.get("ActualProperties")),
    }
