"""Reads what Pulumi prints and saves: previews, plans and checkpoints, without any secret value."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from reconciler.core.results import Action, Applied, Output, OutputChange, Planned, Resource, ResourceChange
from reconciler.tools.base import StepFailed
from reconciler.tools.files import shape_of
from reconciler.tools.veil import MASK, UNKNOWN

ROOT = "pulumi:pulumi:Stack"
"""The type of the resource that stands for the stack itself, and has its outputs."""
_SIGNATURE = "4dabf18193072939515e22adb298388d"
"""The key by which Pulumi marks values that are no plain ones."""
_SECRET = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105 - Pulumi's mark, no secret
_PRINTED_SECRET = "[secret]"  # noqa: S105 - what Pulumi prints in a secret's place
_NOT_YET_KNOWN = frozenset(
    {
        "1c4a061d-8072-4f0a-a4cb-0ff528b18fe7",
        "3eeb2bf0-c639-47a8-9e75-3b44932eb421",
        "04da6b54-80e4-46f7-96ec-b56ff0331ba9",
        "6a19a0b0-7e62-4c92-b797-7f8e31da9cc2",
        "030794c1-ac77-496b-92df-f27374a8bd58",
        "e48ece36-62e2-4504-bad9-02848725956a",
        "dd056dcd-154b-4c76-9bd3-c8f88648b5ff",
    }
)
"""What Pulumi writes in the place of a value that only the update will know: one for each type of value."""
_PROVIDERS = "pulumi:providers:"
_INTERNAL = "__"
"""Begins the names of properties that a provider keeps for itself."""

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")

_ACTIONS = {
    "create": Action.CREATE,
    "update": Action.UPDATE,
    "delete": Action.DELETE,
    "replace": Action.REPLACE,
    "create-replacement": Action.REPLACE,
    "import": Action.IMPORT,
    "import-replacement": Action.REPLACE,
    "read": Action.READ,
    "read-replacement": Action.READ,
    "discard": Action.FORGET,
    "discard-replaced": Action.FORGET,
}
_ALSO = frozenset({"delete-replaced", "remove-pending-replace"})
"""Steps that belong to a replacement, which is one change."""

_REMOVES = frozenset({"delete", "delete-replaced", "discard", "discard-replaced"})


@shape_of("the preview")
def planned(digest: Any, plan: Any) -> Planned:
    """Turn a preview, and the plan that was saved with it, into changes; `plan` is None for a destruction."""
    steps = digest["steps"] or []
    changes = tuple(_changes(steps))
    outputs = () if plan is None else tuple(_output_changes(plan))
    made = any(step["op"] == "create" for step in steps)
    return Planned(
        has_changes=bool(made or outputs or any(change.action is not Action.READ for change in changes)),
        changes=changes,
        drifted=tuple(_drifted(steps)),
        outputs=outputs,
    )


@shape_of("the preview")
def removals(digest: Any) -> list[list[str]]:
    """Return what a destruction would remove, as pairs of address and id: a resource made anew has another id."""
    steps = [step for step in digest["steps"] or () if step["op"] in _REMOVES]
    return sorted([_address(step["urn"]), str((step.get("oldState") or {}).get("id", ""))] for step in steps)


@shape_of("the preview")
def complaint(digest: Any) -> str | None:
    """Return the first error that a preview tells of: one of Pulumi's, or what the program wrote as one."""
    told = [(each.get("severity"), str(each.get("message", ""))) for each in digest.get("diagnostics") or ()]
    for wanted in ("error", "info#err"):
        text = " ".join(_COLOUR.sub("", " ".join(text for severity, text in told if severity == wanted)).split())
        if text:
            return text
    return None


def require_plans(plan: Any) -> None:
    """Refuse a plan that says nothing of any resource: it would hold an update to nothing."""
    if not isinstance(plan, dict) or not isinstance(plan.get("resourcePlans"), dict):
        raise StepFailed("this version of pulumi saves no plan that could be held to: 3.230 or newer is needed")


@dataclass(frozen=True, slots=True)
class InStack:
    """What a stack's state holds."""

    urns: tuple[str, ...]
    """Everything, the stack itself and its providers included."""
    removable: tuple[tuple[str, str], ...]
    """What a plan of a destruction names, as pairs of address and id."""


@shape_of("the state")
def in_stack(deployment: Any) -> InStack:
    """Return what there is to remove."""
    resources = deployment.get("resources") or ()
    return InStack(
        tuple(dict.fromkeys(it["urn"] for it in resources)),
        tuple(
            (_address(it["urn"]), str(it.get("id", "")))
            for it in resources
            if it["type"] != ROOT and not it["type"].startswith(_PROVIDERS) and not it.get("external")
        ),
    )


@shape_of("the state")
def plain_outputs(deployment: Any) -> Mapping[str, Any] | None:
    """Return a stack's outputs; None where one is a secret, or no plain value for another reason."""
    values = _root_outputs(deployment)
    return None if _SIGNATURE in json.dumps(values) else values


def _root_outputs(deployment: Any) -> Mapping[str, Any]:
    found = (
        it.get("outputs") for it in deployment.get("resources") or () if it["type"] == ROOT and not it.get("delete")
    )
    return next(found, None) or {}


@shape_of("the state")
def applied(deployment: Any, values: Mapping[str, Any]) -> Applied:
    """Turn a stack's resources into what is shown; `values` are its outputs in clear."""
    resources = [it for it in deployment.get("resources") or () if not it.get("delete")]
    secret = {name for name, value in _root_outputs(deployment).items() if _is_secret(value)}
    return Applied(
        resources=tuple(
            Resource(
                _address(it["urn"]),
                it["type"],
                _provider(it["type"]),
                _shown({"id": it.get("id"), **(it.get("outputs") or {})}),
            )
            for it in resources
            if it["type"] != ROOT and not it["type"].startswith(_PROVIDERS)
        ),
        outputs=tuple(Output(name, value, name in secret) for name, value in sorted(values.items())),
    )


def _changes(steps: Iterable[Mapping[str, Any]]) -> Iterator[ResourceChange]:
    seen = set()
    for step in steps:
        action, urn = _ACTIONS.get(step["op"]), step["urn"]
        state = step.get("newState") or step.get("oldState") or {}
        if action is None or step["op"] in _ALSO or state.get("type") == ROOT or (urn, action) in seen:
            continue
        seen.add((urn, action))
        before, after = (step.get(key) for key in ("oldState", "newState"))
        kind = str(state.get("type", ""))
        yield ResourceChange(
            _address(urn),
            kind,
            _provider(kind),
            action,
            None if before is None or action is Action.CREATE else _shown(before.get("inputs") or {}),
            None if after is None or action is Action.DELETE else _shown(after.get("inputs") or {}),
        )


def _drifted(steps: Iterable[Mapping[str, Any]]) -> Iterator[ResourceChange]:
    """Yield what a refresh found to be other than it was left."""
    for step in steps:
        before, after = step.get("oldState") or {}, step.get("newState")
        if step["op"] != "refresh" or before.get("type") == ROOT:
            continue
        was, found = (_shown((it or {}).get("outputs") or {}) for it in (before, after))
        if after is not None and was == found:
            continue
        kind, action = str(before.get("type", "")), Action.DELETE if after is None else Action.UPDATE
        yield ResourceChange(
            _address(step["urn"]), kind, _provider(kind), action, was, None if after is None else found
        )


def _output_changes(plan: Mapping[str, Any]) -> Iterator[OutputChange]:
    for urn, it in plan["resourcePlans"].items():
        goal = it.get("goal") or {}
        if f"::{ROOT}::" not in urn:
            continue
        differ = goal.get("outputDiff") or {}
        for key, action in (("adds", Action.CREATE), ("updates", Action.UPDATE)):
            for name, value in sorted((differ.get(key) or {}).items()):
                yield OutputChange(name, action, None, _shown(value), _is_secret(value))
        for name in sorted(differ.get("deletes") or ()):
            yield OutputChange(name, Action.DELETE)


def _shown(value: Any) -> Any:
    """Return a value without secrets and what a provider keeps for itself; what is not known yet is said to be so."""
    if _is_secret(value):
        return MASK
    match value:
        case dict():
            return {name: _shown(item) for name, item in value.items() if not name.startswith(_INTERNAL)}
        case list():
            return [_shown(item) for item in value]
        case str() if value in _NOT_YET_KNOWN:
            return UNKNOWN
        case _:
            return value


def _is_secret(value: Any) -> bool:
    return value == _PRINTED_SECRET or (isinstance(value, dict) and value.get(_SIGNATURE) == _SECRET)


def _address(urn: str) -> str:
    """Return the part of a URN that tells a resource from the others of its stack: `aws:s3/bucket:Bucket::logs`."""
    return urn.split("::", 2)[-1]


def _provider(kind: str) -> str:
    return kind.partition(":")[0]
