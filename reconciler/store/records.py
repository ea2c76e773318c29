"""Verdicts, plans and the configuration's state as JSON, and back."""

from __future__ import annotations

import dataclasses
from datetime import datetime
from typing import Any

from reconciler.core.results import Action, MadeBy, OutputChange, Planned, ResourceChange
from reconciler.core.verdicts import Judgement, Result, Verdict
from reconciler.store.pins import pin_from_json, pin_to_json
from reconciler.store.stored import ConfigurationState, Halt, KeptDocument
from reconciler.store.texts import moment, moment_text
from spaces.names import Digest, SpaceName, SpacePath, StackId


def configuration_to_json(state: ConfigurationState) -> dict[str, Any]:
    """Return the configuration's state as JSON."""
    halted = state.halted
    return {
        "generation": state.generation,
        "url": state.url,
        "branch": state.branch,
        "configPath": state.config_path,
        "attemptedRevision": state.attempted_revision,
        "admittedRevision": state.admitted_revision,
        "sources": dict(state.sources),
        "remembered": dict(state.remembered),
        "kept": [dataclasses.asdict(document) for document in state.kept],
        "diagnostics": [dict(diagnostic) for diagnostic in state.diagnostics],
        "halted": [halted.reason, halted.message, halted.revision, moment_text(halted.since)] if halted else None,
        "documents": dict(state.documents),
        "former": {space: list(line) for space, line in state.former.items()} if state.former is not None else None,
        "byName": list(state.by_name) if state.by_name is not None else None,
        "restored": state.restored,
        "changedAt": moment_text(state.changed_at),
        "database": state.database,
        "pins": {str(stack): pin_to_json(pin) for stack, pin in state.pins.items()},
        "version": state.version,
    }


def _former(body: dict[str, list[str]] | None) -> dict[SpaceName, tuple[SpaceName, ...]] | None:
    return {SpaceName(space): tuple(map(SpaceName, line)) for space, line in body.items()} if body is not None else None


def _paths(body: list[str] | None) -> tuple[SpacePath, ...] | None:
    return tuple(map(SpacePath, body)) if body is not None else None


def configuration_from_json(body: dict[str, Any]) -> ConfigurationState:
    """Read the configuration's state; an empty object is a fresh store."""
    if not body:
        return ConfigurationState()
    halted = body["halted"]
    return ConfigurationState(
        generation=body["generation"],
        url=body["url"],
        branch=body["branch"],
        config_path=body.get("configPath"),
        attempted_revision=body["attemptedRevision"],
        admitted_revision=body["admittedRevision"],
        sources=body["sources"],
        remembered=body.get("remembered", {}),
        kept=tuple(KeptDocument(**document) for document in body["kept"]),
        diagnostics=tuple(body["diagnostics"]),
        halted=Halt(halted[0], halted[1], halted[2], datetime.fromisoformat(halted[3])) if halted else None,
        documents=body["documents"],
        former=_former(body.get("former")),
        by_name=_paths(body.get("byName")),
        restored=body.get("restored"),
        changed_at=moment(body["changedAt"]),
        database=body.get("database"),
        pins={StackId.parse(stack): pin_from_json(pin) for stack, pin in body.get("pins", {}).items()},
        version=body.get("version"),
    )


def judgement_to_json(judgement: Judgement) -> dict[str, Any]:
    """Return the verdicts of policies as JSON."""
    return {
        "digest": judgement.digest,
        "planDigest": judgement.plan_digest,
        "attempt": judgement.attempt,
        "at": moment_text(judgement.at),
        "verdicts": [_verdict_to_json(it) for it in judgement.verdicts],
    }


def _verdict_to_json(it: Verdict) -> list[Any]:
    return [it.policy, it.type, it.mandatory, it.result, list(it.messages), list(it.warnings), it.error]


def judgement_from_json(body: dict[str, Any]) -> Judgement:
    """Return the verdicts of policies from their JSON."""
    verdicts = tuple(
        Verdict(policy, kind, mandatory, Result(result), tuple(messages), tuple(warnings), error)
        for policy, kind, mandatory, result, messages, warnings, error in body["verdicts"]
    )
    at = datetime.fromisoformat(body["at"])
    return Judgement(Digest(body["digest"]), body["planDigest"], body["attempt"], at, verdicts)


def planned_to_json(planned: Planned) -> dict[str, Any]:
    """Return the result of a plan as JSON."""
    return {
        "hasChanges": planned.has_changes,
        "changes": [_change_to_json(change) for change in planned.changes],
        "drifted": [_change_to_json(change) for change in planned.drifted],
        "outputs": [[it.name, it.action, it.before, it.after, it.sensitive] for it in planned.outputs],
        "facts": dict(planned.facts),
        "madeBy": None if planned.made_by is None else [planned.made_by.binary, planned.made_by.version],
    }


def planned_from_json(body: dict[str, Any]) -> Planned:
    """Return the result of a plan from its JSON."""
    return Planned(
        body["hasChanges"],
        tuple(_change_from_json(change) for change in body["changes"]),
        tuple(_change_from_json(change) for change in body["drifted"]),
        tuple(
            OutputChange(name, Action(action), before, after, sensitive)
            for name, action, before, after, sensitive in body.get("outputs", ())
        ),
        facts=body.get("facts", {}),
        made_by=MadeBy(*body["madeBy"]) if body.get("madeBy") else None,
    )


def _change_to_json(change: ResourceChange) -> list[Any]:
    return [
        *(change.address, change.type, change.provider, change.action, change.before, change.after),
        *(change.moved_from, change.imported_id),
    ]


def _change_from_json(body: list[Any]) -> ResourceChange:
    address, kind, provider, action, *rest = body
    return ResourceChange(address, kind, provider, Action(action), *rest)
