"""Orders, jobs and reports as JSON: what is sent to a runner, and what stays on disk as the exit record."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from reconciler.core.phases import Leg, Phase
from reconciler.core.results import Action, Applied, MadeBy, Output, OutputChange, Planned, Resource, ResourceChange
from reconciler.runner.contract.job import (
    JOB_FIELDS,
    ORDER_FIELDS,
    Ending,
    GitAccess,
    Hook,
    Identity,
    Job,
    LegOrder,
    LegReport,
    Limits,
    TfstateAccess,
)

_Data = Mapping[str, Any]


def order_to_data(order: LegOrder) -> dict[str, Any]:
    """Return an order as plain JSON data; of a job, the order in it."""
    return _plain(order, ORDER_FIELDS)


def order_from_data(data: _Data) -> LegOrder:
    """Read an order back; KeyError, TypeError or ValueError when it is not one."""
    return LegOrder(**_typed(data))


def job_to_data(job: Job) -> dict[str, Any]:
    """Return a job as plain JSON data."""
    data = _plain(job, JOB_FIELDS)
    data["tfstate"] = None if job.tfstate is None else [job.tfstate.directory, job.tfstate.path, job.tfstate.token]
    return data


def job_from_data(data: _Data) -> Job:
    """Read a job back; KeyError, TypeError or ValueError when it is not one."""
    tfstate = None if data["tfstate"] is None else TfstateAccess(*data["tfstate"])
    return Job(**{**_typed(data), "tfstate": tfstate})


def _plain(order: LegOrder, names: Iterable[str]) -> dict[str, Any]:
    data = {name: getattr(order, name) for name in names}
    data["hooks"] = {
        at: [[hook.command, hook.source, list(hook.may_set)] for hook in hooks] for at, hooks in order.hooks.items()
    }
    data["limits"] = {name: getattr(order.limits, name) for name in Limits.__slots__}
    identity, made_by = order.identity, order.made_by
    data["identity"] = None if identity is None else [dict(identity.files), dict(identity.paths), dict(identity.env)]
    data["made_by"] = None if made_by is None else [made_by.binary, made_by.version]
    data["git"] = [[getattr(access, name) for name in GitAccess.__slots__] for access in order.git]
    for name in ("options", "facts", "env", "inputs", "secret_files", "secrets", "about"):
        data[name] = dict(data[name])
    data["limits"]["phase_seconds"] = dict(order.limits.phase_seconds)
    return data


def _typed(data: _Data) -> dict[str, Any]:
    limits = dict(data["limits"])
    limits["phase_seconds"] = {Phase(name): float(seconds) for name, seconds in limits["phase_seconds"].items()}
    return {
        **data,
        "leg": Leg(data["leg"]),
        "hooks": {at: tuple(map(_hook_from_data, hooks)) for at, hooks in data["hooks"].items()},
        "limits": Limits(**limits),
        "masked": tuple(data["masked"]),
        "targets": tuple(data["targets"]),
        "identity": None if data["identity"] is None else Identity(*data["identity"]),
        "made_by": None if data["made_by"] is None else MadeBy(*data["made_by"]),
        "git": tuple(GitAccess(*access) for access in data["git"]),
    }


def _hook_from_data(data: list[Any]) -> Hook:
    command, source, may_set = data
    return Hook(command, source, tuple(may_set))


def planned_to_data(planned: Planned) -> dict[str, Any]:
    """Return a plan's result as plain JSON data."""
    return {
        "has_changes": planned.has_changes,
        "changes": [_change_to_data(change) for change in planned.changes],
        "drifted": [_change_to_data(change) for change in planned.drifted],
        "outputs": [{name: getattr(each, name) for name in OutputChange.__slots__} for each in planned.outputs],
        "facts": dict(planned.facts),
        "made_by": None if planned.made_by is None else [planned.made_by.binary, planned.made_by.version],
    }


def planned_from_data(data: _Data) -> Planned:
    """Read a plan's result back."""
    return Planned(
        bool(data["has_changes"]),
        tuple(_change_from_data(change) for change in data["changes"]),
        tuple(_change_from_data(change) for change in data["drifted"]),
        tuple(OutputChange(**{**each, "action": Action(each["action"])}) for each in data.get("outputs", ())),
        facts=data.get("facts", {}),
        made_by=MadeBy(*data["made_by"]) if data.get("made_by") else None,
    )


def report_to_data(report: LegReport) -> dict[str, Any]:
    """Return a report as plain JSON data."""
    data = {name: getattr(report, name) for name in LegReport.__slots__}
    data["phase_seconds"] = {phase: round(seconds, 4) for phase, seconds in report.phase_seconds.items()}
    data["planned"] = None if report.planned is None else planned_to_data(report.planned)
    data["applied"] = None if report.applied is None else _applied_to_data(report.applied)
    data["pending_tfstate"] = None if report.pending_tfstate is None else str(report.pending_tfstate)
    return data


def report_from_data(data: _Data) -> LegReport:
    """Read a report back; KeyError, TypeError or ValueError when it is not one."""
    return LegReport(
        **{
            **data,
            "leg": Leg(data["leg"]),
            "ending": Ending(data["ending"]),
            "phase": Phase(data["phase"]),
            "phase_seconds": {Phase(name): float(seconds) for name, seconds in data["phase_seconds"].items()},
            "planned": None if data["planned"] is None else planned_from_data(data["planned"]),
            "applied": None if data["applied"] is None else _applied_from_data(data["applied"]),
            "pending_tfstate": None if data["pending_tfstate"] is None else Path(data["pending_tfstate"]),
        }
    )


def to_line(data: _Data) -> bytes:
    """Write one line of JSON."""
    return json.dumps(data, separators=(",", ":")).encode() + b"\n"


def _change_to_data(change: ResourceChange) -> dict[str, Any]:
    return {name: getattr(change, name) for name in ResourceChange.__slots__}


def _change_from_data(data: _Data) -> ResourceChange:
    return ResourceChange(**{**data, "action": Action(data["action"])})


def _applied_to_data(applied: Applied) -> dict[str, Any]:
    resources = applied.resources
    return {
        "resources": None
        if resources is None
        else [
            {**{name: getattr(each, name) for name in Resource.__slots__}, "attributes": dict(each.attributes)}
            for each in resources
        ],
        "outputs": [{name: getattr(each, name) for name in Output.__slots__} for each in applied.outputs],
        "by_plan": applied.by_plan,
    }


def _applied_from_data(data: _Data) -> Applied:
    resources = data["resources"]
    return Applied(
        None if resources is None else tuple(Resource(**each) for each in resources),
        tuple(Output(**each) for each in data["outputs"]),
        bool(data.get("by_plan")),
    )
