"""The Rego rules in Policy documents: extracted for an engine to check, with its findings placed in the files.

This package has no Rego engine. Whoever reads a revision passes a `CheckRego`, and `with_findings` turns a policy with
a broken rule into a diagnostic at the right line.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from spaces.diagnostics import Diagnostic, Position, error, in_order
from spaces.model.policy import PolicySpec, PolicyType
from spaces.names import Kind
from spaces.reading.attachments import place_of
from spaces.reading.flawed import Flawed
from spaces.reading.resources import ParsedFile, Resource


@dataclass(frozen=True, slots=True)
class RegoText:
    """The rule of a policy. Its type determines which rules it may define."""

    type: PolicyType
    text: str


@dataclass(frozen=True, slots=True)
class RegoFinding:
    """A problem of a rule. Line and column count from 1 within its text."""

    code: str
    summary: str
    line: int
    column: int
    hint: str | None = None


CheckRego: TypeAlias = Callable[[Sequence[RegoText]], Mapping[RegoText, tuple[RegoFinding, ...]]]
"""Returns the problems of each of these rules; a rule without an entry is valid. The answer is always the same."""


def unchecked(texts: Sequence[RegoText]) -> Mapping[RegoText, tuple[RegoFinding, ...]]:
    """Return no findings."""
    _ = texts
    return {}


def rego_of(resource: Resource) -> RegoText | None:
    """Return the rule of a Policy; None for other documents."""
    spec = resource.spec
    if not isinstance(spec, PolicySpec):
        return None
    if spec.rego is not None:
        return RegoText(spec.type, spec.rego)
    data = resource.attached(spec.rego_file or "")
    return RegoText(spec.type, data.decode(errors="replace"))


def with_findings(files: Mapping[str, ParsedFile], check: CheckRego) -> dict[str, ParsedFile]:
    """Return the files with broken policies, without those policies and with the diagnostics about them."""
    rules = [
        (path, resource, text)
        for path, file in files.items()
        for resource in file.resources
        if resource.kind is Kind.POLICY and (text := rego_of(resource)) is not None
    ]
    if not rules:
        return {}
    findings = check(sorted({text for _, _, text in rules}, key=lambda rule: (rule.type, rule.text)))
    broken: dict[str, list[tuple[Resource, tuple[RegoFinding, ...]]]] = {}
    for path, resource, text in rules:
        if problems := findings.get(text, ()):
            broken.setdefault(path, []).append((resource, problems))
    return {path: _without(files[path], resources) for path, resources in broken.items()}


def _without(file: ParsedFile, broken: Sequence[tuple[Resource, tuple[RegoFinding, ...]]]) -> ParsedFile:
    gone = {resource.index for resource, _ in broken}
    diagnostics = [_diagnostic(resource, finding) for resource, findings in broken for finding in findings]
    return ParsedFile(
        tuple(resource for resource in file.resources if resource.index not in gone),
        in_order((*file.diagnostics, *diagnostics)),
        file.unreadable,
        (*file.flawed, *(_flawed(resource) for resource, _ in broken)),
        file.attached,
    )


def _flawed(resource: Resource) -> Flawed:
    return Flawed(resource.kind, resource.name, resource.space, resource.position(("metadata", "name")))


def _diagnostic(resource: Resource, finding: RegoFinding) -> Diagnostic:
    spec = resource.spec
    assert isinstance(spec, PolicySpec)  # noqa: S101 - only those have Rego
    if spec.rego_file is not None:
        in_file = Position(place_of(resource.file, spec.rego_file), finding.line, finding.column)
        return error(finding.code, f"Policy {resource.name}: {finding.summary}", in_file, finding.hint)
    start = resource.position(("spec", "rego"))
    position = position_inside(resource.data, start, finding.line, finding.column)
    summary = finding.summary
    if position is None:
        position, summary = start, f"{summary} (line {finding.line}, column {finding.column} of the rule)"
    return error(finding.code, f"Policy {resource.name}: {summary}", position, finding.hint)


def position_inside(data: bytes, start: Position, line: int, column: int) -> Position | None:
    """Return the position of a line and column within the text that begins at `start`; None if it is unknown.

    It is unknown in quoted or folded text. In a block (`|`) every line of the text is a line of the file.
    """
    lines = data.decode(errors="replace").split("\n")
    if start.line > len(lines):
        return None
    first = lines[start.line - 1][start.column - 1 :]
    if first.startswith("|"):
        text = lines[start.line :]
        filled = next((line for line in text if line.strip()), "")
        indent = len(filled) - len(filled.lstrip(" "))
        return Position(start.file, start.line + line, indent + column)
    if first[:1] not in {'"', "'", ">", "&", "!"} and line == 1:
        return Position(start.file, start.line, start.column + column - 1)
    return None
