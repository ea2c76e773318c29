"""The work of `station policy test`: reads policies and inputs, evaluates them, compares with expectations."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from reconciler.cli.errors import CliError
from reconciler.cli.validate import attach_in
from reconciler.core.verdicts import Result, Verdict
from reconciler.policies.checking import check_rego
from reconciler.policies.child import RULES
from reconciler.policies.evaluation import evaluate
from spaces.composition.reading import FileReading
from spaces.diagnostics import Diagnostic, Position, Severity
from spaces.documents.changes import DocumentChange, Verb
from spaces.documents.documents import Placed, PlacedDocuments
from spaces.effective.config_policies import document_input
from spaces.effective.policies import Guardrail
from spaces.model.policy import PolicySpec, PolicyType
from spaces.names import ROOT, Kind, ResourceRef
from spaces.reading.rego import RegoText, rego_of

_ALLOWED = frozenset({Result.ALLOW, Result.WARN, Result.APPROVE, Result.TRACK, Result.NOTIFY, Result.QUIET})


def load_policies(path: Path, name: str | None, kind: str) -> list[Guardrail]:
    """Return the policies of a YAML or .rego file; raise CliError for one that is invalid."""
    data = _read(path)
    if path.suffix == ".rego":
        text = RegoText(PolicyType(kind), data.decode(errors="replace"))
        findings = check_rego([text]).get(text, ())
        if findings:
            raise CliError(f"{path}:{findings[0].line}:{findings[0].column}: {findings[0].summary}")
        spec = PolicySpec.model_validate({"type": kind, "rego": text.text})
        return [Guardrail(ResourceRef(Kind.POLICY, ROOT, path.stem), spec, text)]
    attach = attach_in(path.parent)
    parsed = FileReading(attach, check=check_rego).parse({path.name: data}, attach)[path.name]
    told = [each for each in parsed.diagnostics if each.severity is Severity.ERROR]
    if told:
        raise _wrong(path, told)
    found = []
    for resource in parsed.resources:
        policy, rego = resource.spec, rego_of(resource)
        if isinstance(policy, PolicySpec) and rego is not None and name in (None, resource.name):
            found.append(Guardrail(ResourceRef(Kind.POLICY, resource.space or ROOT, resource.name), policy, rego))
    if not found:
        raise CliError(f"there is no Policy {name} in {path}" if name else f"there is no Policy in {path}")
    return found


def load_inputs(path: Path) -> list[dict[str, Any]]:
    """Return the recorded input in a file as `{input, expect}`; a file may hold the input alone.

    For policies over documents the file may be one of a configuration repository: each document is an input.
    """
    data = _read(path)
    found = _documents(path, data) if path.suffix != ".json" else []
    return found or [_load_input(path, data)]


def _documents(path: Path, data: bytes) -> list[dict[str, Any]]:
    attach = attach_in(path.parent)
    parsed = FileReading(attach, check=check_rego).parse({path.name: data}, attach)[path.name]
    told = [each for each in parsed.diagnostics if each.severity is Severity.ERROR]
    if told and (parsed.resources or b"apiVersion: stationkeeper/" in data):
        raise _wrong(path, told)
    nothing, now = PlacedDocuments.empty(), datetime.now(UTC)
    found = []
    for resource in parsed.resources:
        placed = Placed(ResourceRef(resource.kind, resource.space or ROOT, resource.name), resource)
        change = DocumentChange(placed.ref, Verb.CREATE, None, placed)
        found.append({"input": document_input(nothing, nothing, change, None, now)})
    return found


def _wrong(path: Path, told: Sequence[Diagnostic]) -> CliError:
    first = told[0]
    at = first.position or Position(path.name)
    more = f" (and {len(told) - 1} more)" if len(told) > 1 else ""
    return CliError(f"{path.parent / at.file}:{at.line}:{at.column}: {first.summary}{more}")


def _load_input(path: Path, data: bytes) -> dict[str, Any]:
    try:
        read = json.loads(data) if path.suffix == ".json" else YAML(typ="safe", pure=True).load(data)
    except (ValueError, YAMLError) as wrong:
        raise CliError(f"{path} cannot be read: {str(wrong).splitlines()[0]}") from None
    if not isinstance(read, dict):
        raise CliError(f"{path} is not a policy input: it must be a mapping")
    return read if isinstance(read.get("input"), dict) else {"input": read}


def tried(policies: Sequence[Guardrail], recorded: Mapping[str, Any], file: str, expect: str | None) -> list[Any]:
    """Evaluate the policies on one recorded input; return a row for each policy."""
    expected = recorded.get("expect")
    if expected is not None and not isinstance(expected, dict):
        raise CliError(f"{file}: expect must be a mapping, such as {{deny: [message]}}")
    verdicts = evaluate(policies, json.loads(json.dumps(recorded["input"], default=str)))
    rows = []
    for policy, verdict in zip(policies, verdicts, strict=True):
        unexpected = _unexpected(policy, verdict, expected, expect, file)
        rows.append(
            {
                "policy": policy.name,
                "input": file,
                "type": verdict.type,
                "result": "error" if verdict.error else verdict.result.value,
                "messages": list(verdict.messages),
                "warnings": list(verdict.warnings),
                "allowed": verdict.result in _ALLOWED,
                "error": verdict.error,
                "asExpected": None if expected is None and expect is None else unexpected is None,
                "unexpected": unexpected,
            }
        )
    return rows


def _unexpected(
    policy: Guardrail, verdict: Verdict, expected: Mapping[str, Any] | None, expect: str | None, file: str
) -> str | None:
    """Return how a verdict differs from what is expected; None where it does not."""
    if expect is not None and (verdict.result in _ALLOWED) != (expect == "allow"):
        return f"{expect} was expected"
    if expected is None:
        return None
    known = RULES[policy.spec.type.value]
    unknown = sorted(set(expected) - {word for words in RULES.values() for word in words})
    if unknown:
        raise CliError(f"{file}: expect has an unknown key {unknown[0]}: use {', '.join(known)}")
    for word in known:
        if word not in expected:
            continue
        wanted = sorted(expected[word]) if isinstance(expected[word], list) else expected[word]
        said = _said(verdict, word, sentences=isinstance(wanted, list))
        if said != wanted:
            return f"{word} was expected to be {json.dumps(wanted, ensure_ascii=False)}"
    return None


def _said(verdict: Verdict, word: str, *, sentences: bool) -> object:
    if word in {"deny", "confirm"}:
        # What wants a confirmation does not show behind a denial.
        return sorted(verdict.messages) if verdict.result.value == word else []
    if word in {"warn", "notify"}:
        return sorted(verdict.warnings if word == "warn" else verdict.messages)
    said = verdict.result.value == word
    return (sorted(verdict.messages) if said else []) if sentences and verdict.type == PolicyType.PUSH else said


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as wrong:
        raise CliError(f"{path} cannot be read: {wrong.strerror}") from None
