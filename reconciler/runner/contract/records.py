"""Jobs and reports as JSON: what goes through the pipe and what stays on disk as the exit record."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from reconciler.core.phases import Leg, Phase
from reconciler.core.results import Action, Applied, MadeBy, Output, OutputChange, Planned, Resource, ResourceChange
from reconciler.runner.contract.job import Ending, GitAccess, Hook, Identity, Job, LegReport, Limits, TfstateAccess

_Data = Mapping[str, Any]


def job_to_data(job: Job) -> dict[str, Any]:
    """Return a job as plain JSON data."""
    data = {name: getattr(job, name) for name in Job.__slots__}
    data["hooks"] = {
        at: [[hook.command, hook.source, list(hook.may_set)] for hook in hooks] for at, hooks in job.hooks.items()
    }
    data["limits"] = {name: getattr(job.limits, name) for name in Limits.__slots__}
    data["tfstate"] = None if job.tfstate is None else [job.tfstate.directory, job.tfstate.path, job.tfstate.token]
    identity = job.identity
    data["identity"] = None if identity is None else [dict(identity.files), dict(identity.paths), dict(identity.env)]
    data["git"] = [[getattr(access, name) for name in GitAccess.__slots__] for access in job.git]
    for name in ("options", "facts", "env", "inputs", "secret_files", "secrets", "about"):
        data[name] = dict(data[name])
    data["limits"]["phase_seconds"] = dict(job.limits.phase_seconds)
    return data


def job_from_data(data: _Data) -> Job:
    """Read a job back; KeyError, TypeError or ValueError when it is not one."""
    limits = dict(data["limits"])
    limits["phase_seconds"] = {Phase(name): float(seconds) for name, seconds in limits["phase_seconds"].items()}
    return Job(
        **{
            **data,
            "leg": Leg(data["leg"]),
            "hooks": {at: tuple(map(_hook_from_data, hooks)) for at, hooks in data["hooks"].items()},
            "limits": Limits(**limits),
            "tfstate": None if data["tfstate"] is None else TfstateAccess(*data["tfstate"]),
            "masked": tuple(data["masked"]),
            "targets": tuple(data["targets"]),
            "identity": None if data["identity"] is None else Identity(*data["identity"]),
            "git": tuple(GitAccess(*access) for access in data["git"]),
        }
    )


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
