"""The Rego in documents: taken out for whoever can read it, and what that says, at its place in the files.

Reading Rego takes an engine, which is not for this package: whoever reads a revision brings a `CheckRego` along.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from spaces.diagnostics import Diagnostic, Position, error
from spaces.model.policy import PolicySpec, PolicyType
from spaces.names import Kind
from spaces.reading.attachments import place_of
from spaces.reading.resources import Flawed, ParsedFile, Resource


@dataclass(frozen=True, slots=True)
class RegoText:
    """A policy's rule. What it may say depends on its type."""

    type: PolicyType
    text: str


@dataclass(frozen=True, slots=True)
class RegoFinding:
    """Something wrong with a rule: line and column count from 1 within its text."""

    code: str
    summary: str
    line: int
    column: int
    hint: str | None = None


CheckRego: TypeAlias = Callable[[Sequence[RegoText]], Mapping[RegoText, tuple[RegoFinding, ...]]]
"""Says what is wrong with each of these rules; one that is not among the answers is in order. The same every time."""


def unchecked(texts: Sequence[RegoText]) -> Mapping[RegoText, tuple[RegoFinding, ...]]:
    """Find nothing."""
    _ = texts
    return {}


def rego_of(resource: Resource) -> RegoText | None:
    """Take the rule out of a Policy; None for other documents."""
    spec = resource.spec
    if not isinstance(spec, PolicySpec):
        return None
    if spec.rego is not None:
        return RegoText(spec.type, spec.rego)
    data = resource.attached(spec.rego_file or "")
    return RegoText(spec.type, data.decode(errors="replace"))


def with_findings(files: Mapping[str, ParsedFile], check: CheckRego) -> dict[str, ParsedFile]:
    """Take the policies whose rule is not in order out of what was parsed, and say why; gives the files that differ."""
    found = [
        (path, resource, text)
        for path, file in files.items()
        for resource in file.resources
        if resource.kind is Kind.POLICY and (text := rego_of(resource)) is not None
    ]
    if not found:
        return {}
    findings = check(sorted({text for _, _, text in found}, key=lambda each: (each.type, each.text)))
    broken: dict[str, list[tuple[Resource, tuple[RegoFinding, ...]]]] = {}
    for path, resource, text in found:
        if told := findings.get(text, ()):
            broken.setdefault(path, []).append((resource, told))
    return {path: _without(files[path], resources) for path, resources in broken.items()}


def _without(file: ParsedFile, broken: Sequence[tuple[Resource, tuple[RegoFinding, ...]]]) -> ParsedFile:
    gone = {resource.index for resource, _ in broken}
    told = [_tell(resource, finding) for resource, findings in broken for finding in findings]
    return ParsedFile(
        tuple(resource for resource in file.resources if resource.index not in gone),
        tuple(sorted((*file.diagnostics, *told), key=lambda each: each.sort_key)),
        file.unreadable,
        (*file.flawed, *(_flawed(resource) for resource, _ in broken)),
        file.attached,
    )


def _flawed(resource: Resource) -> Flawed:
    return Flawed(resource.kind, resource.name, resource.space, resource.position(("metadata", "name")))


def _tell(resource: Resource, finding: RegoFinding) -> Diagnostic:
    spec = resource.spec
    assert isinstance(spec, PolicySpec)  # noqa: S101 - only those have Rego
    if spec.rego_file is not None:
        at = Position(place_of(resource.file, spec.rego_file), finding.line, finding.column)
        return error(finding.code, f"Policy {resource.name}: {finding.summary}", at, finding.hint)
    start = resource.position(("spec", "rego"))
    here = inside(resource.data, start, finding.line, finding.column)
    summary = finding.summary
    if here is None:
        here, summary = start, f"{summary} (line {finding.line}, column {finding.column} of the rule)"
    return error(finding.code, f"Policy {resource.name}: {summary}", here, finding.hint)


def inside(data: bytes, start: Position, line: int, column: int) -> Position | None:
    """Find the place of a line and column within the text that begins at `start`; None where only YAML knows.

    That is so for a text in quotes, or folded. In a block (`|`) every line of the text is one of the file.
    """
    lines = data.decode(errors="replace").split("\n")
    if start.line > len(lines):
        return None
    first = lines[start.line - 1][start.column - 1 :]
    if first.startswith("|"):
        text = lines[start.line :]
        filled = next((each for each in text if each.strip()), "")
        indent = len(filled) - len(filled.lstrip(" "))
        return Position(start.file, start.line + line, indent + column)
    if first[:1] not in {'"', "'", ">", "&", "!"} and line == 1:
        return Position(start.file, start.line, start.column + column - 1)
    return None
