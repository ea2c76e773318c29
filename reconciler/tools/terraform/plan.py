"""Reads `terraform show -json PLAN`: what a plan means to do, and which attributes must not be shown afterwards."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from reconciler.core.results import Action, Output, OutputChange, Planned, ResourceChange
from reconciler.tools.base import NotUnderstood, StepFailed
from reconciler.tools.files import shape_of
from reconciler.tools.veil import UNKNOWN, Secrets, secrets_in, veiled, with_unknown

_ACTIONS: Mapping[tuple[str, ...], tuple[Action, ...]] = {
    ("no-op",): (),
    ("create",): (Action.CREATE,),
    ("read",): (Action.READ,),
    ("update",): (Action.UPDATE,),
    ("delete",): (Action.DELETE,),
    ("delete", "create"): (Action.REPLACE,),
    ("create", "delete"): (Action.REPLACE,),
    ("forget",): (Action.FORGET,),
    # A new one in its place, and the old one stays where it is, looked after by nobody.
    ("create", "forget"): (Action.CREATE, Action.FORGET),
}


@dataclass(frozen=True, slots=True)
class Marks:
    """What the plan says about one resource's attributes: marks of the sensitive and of the unknown ones."""

    sensitive: Any = False
    unknown: Any = False


@shape_of("the plan's JSON")
def planned(document: Any, *, has_changes: bool) -> Planned:
    """Turn the plan's JSON into changes without any sensitive value; StepFailed for a format that nobody knows."""
    _check_format(document)
    changed = _entries(document, "resource_changes")
    # Beside what drifted this lists what is only moved: that is no drift, and among the changes as well.
    drifted = [entry for entry in _entries(document, "resource_drift") if entry["change"]["actions"] != ["no-op"]]
    outputs = dict(document.get("output_changes") or {})
    told = ({"change": change} for change in outputs.values())
    secrets = Secrets(_secrets([*changed, *drifted, *told]))
    return Planned(
        has_changes=has_changes,
        changes=tuple(_changes(changed, secrets)),
        drifted=tuple(_changes(drifted, secrets)),
        outputs=tuple(_output_changes(outputs, secrets)),
        present=() if has_changes else tuple(_present(document)),
    )


@dataclass(frozen=True, slots=True)
class Expected:
    """What an apply of the plan will leave, as far as it is known: what its tfstate does not say by itself.

    `marks` are those of every resource, the unchanged ones too, by address; `outputs` are the names of all outputs,
    since a tfstate leaves out those that are null.
    """

    marks: Mapping[str, Marks] = field(default_factory=dict)
    outputs: tuple[str, ...] = ()

    @classmethod
    def from_data(cls, data: Any) -> Expected:
        """Read back what was noted; StepFailed where that is something else."""
        try:
            marks = {address: Marks(*found) for address, found in data["marks"].items()}
            return cls(marks, tuple(data["outputs"]))
        except (AttributeError, KeyError, TypeError):
            raise StepFailed("what was noted of the plan cannot be read") from None

    def to_data(self) -> dict[str, Any]:
        """Return it all as plain JSON data."""
        marks = {address: [found.sensitive, found.unknown] for address, found in self.marks.items()}
        return {"marks": marks, "outputs": list(self.outputs)}


@shape_of("the plan's JSON")
def expected(document: Any) -> Expected:
    """Return what an apply of this plan will leave."""
    marks = {
        entry["address"]: Marks(
            entry["change"].get("after_sensitive", False),
            entry["change"].get("after_unknown", False),
        )
        for entry in _entries(document, "resource_changes")
    }
    outputs = (document.get("output_changes") or {}).items()
    return Expected(marks, tuple(sorted(name for name, change in outputs if change["actions"] != ["delete"])))


def _check_format(document: Any) -> None:
    version = document.get("format_version") if isinstance(document, dict) else None
    if not isinstance(version, str) or version.split(".")[0] != "1":
        raise NotUnderstood(f"the plan's JSON has format {version!r}, and only format 1 is known")


def as_refresh(planned: Planned) -> Planned:
    """Return the plan of a refresh: what drifted is what it takes over, and what is gone it forgets."""
    changes = tuple(
        replace(change, action=Action.FORGET) if change.action is Action.DELETE else change
        for change in planned.drifted
    )
    return replace(planned, changes=changes, drifted=())


def _entries(document: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    return list(document.get(key) or ())


def _changes(entries: Iterable[Mapping[str, Any]], secrets: Secrets) -> Iterable[ResourceChange]:
    for entry in entries:
        change = entry["change"]
        imported, moved_from = change.get("importing"), entry.get("previous_address")
        after = with_unknown(change.get("after"), change.get("after_unknown"))
        actions = _actions(entry["address"], change["actions"])
        if not actions and imported:
            actions = (Action.IMPORT,)
        elif not actions and moved_from:
            actions = (Action.MOVE,)
        for action in actions:
            yield ResourceChange(
                address=_address(entry),
                type=entry["type"],
                provider=entry.get("provider_name", ""),
                action=action,
                before=_shown(change.get("before"), change.get("before_sensitive"), secrets),
                after=_shown(after, change.get("after_sensitive"), secrets),
                moved_from=moved_from or None,
                imported_id=_id(imported) if imported else None,
            )


def _id(importing: Mapping[str, Any]) -> str:
    """Return what the import names: an id, an identity of several attributes, or what only the apply will know."""
    identity = importing.get("identity")
    if importing.get("unknown"):
        return UNKNOWN
    return str(importing.get("id") or (json.dumps(identity, sort_keys=True) if identity else ""))


def _output_changes(changes: Mapping[str, Any], secrets: Secrets) -> Iterable[OutputChange]:
    for name, change in sorted(changes.items()):
        actions = _actions(f"output {name}", change["actions"])
        if not actions:
            continue
        before_marks, after_marks = change.get("before_sensitive"), change.get("after_sensitive")
        yield OutputChange(
            name=name,
            action=actions[0],
            before=_shown(change.get("before"), before_marks, secrets),
            after=_shown(with_unknown(change.get("after"), change.get("after_unknown")), after_marks, secrets),
            sensitive=bool(before_marks or after_marks),
        )


def _present(document: Mapping[str, Any]) -> Iterable[Output]:
    """Yield the outputs that an earlier apply left, whoever made it; no tfstate holds those that are null."""
    values = (document.get("prior_state") or {}).get("values") or {}
    found = dict(values.get("outputs") or {})
    nulls: dict[str, Any] = {
        name: {} for name, change in (document.get("output_changes") or {}).items() if _stays_null(change)
    }
    for name, output in sorted({**nulls, **found}.items()):
        yield Output(name, output.get("value"), bool(output.get("sensitive")))


def _stays_null(change: Mapping[str, Any]) -> bool:
    return change["actions"] == ["no-op"] and change.get("after") is None and not change.get("after_unknown")


def _shown(value: Any, marks_of_it: Any, secrets: Secrets) -> Any:
    return None if value is None else veiled(value, marks_of_it, secrets)


def _address(entry: Mapping[str, Any]) -> str:
    deposed = entry.get("deposed")
    address: str = entry["address"]
    return f"{address} (deposed {deposed})" if deposed else address


def _actions(address: str, actions: Iterable[str]) -> tuple[Action, ...]:
    key = tuple(actions)
    if key not in _ACTIONS:
        raise NotUnderstood(f"the plan has an unknown action for {address}: {' and '.join(key)}")
    return _ACTIONS[key]


def _secrets(entries: Iterable[Mapping[str, Any]]) -> Iterable[str]:
    for entry in entries:
        change = entry["change"]
        yield from secrets_in(change.get("before"), change.get("before_sensitive"))
        yield from secrets_in(change.get("after"), change.get("after_sensitive"))
