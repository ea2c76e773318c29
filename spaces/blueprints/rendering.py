"""The documents that an instance makes, for people to look at: of an instance in force, or of one not yet written."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from spaces.blueprints.derived import evolve, remade
from spaces.blueprints.expansion import fill
from spaces.diagnostics import Diagnostic
from spaces.documents.changes import DocumentChange, changes
from spaces.documents.documents import Placed, PlacedDocuments
from spaces.names import API_VERSION, Kind, ResourceRef, SpaceName
from spaces.reading.resources import parse_file
from spaces.rules.rules import violations
from spaces.rules.words import tell

_NOWHERE = "instance"
_DIGITS = re.compile(r"(\d+)")
_ODD = re.compile(r"[\x7f-\uffff]")
"""What YAML may read in another way than JSON does. Beyond it, JSON escapes in halves, which YAML does not join."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """The documents that an instance makes, as they would be written, and the diagnostics about them."""

    documents: tuple[Mapping[str, Any], ...]
    diagnostics: tuple[Diagnostic, ...]
    instance: Mapping[str, Any] = field(default_factory=dict)
    """The instance's own document, if it is one to try out."""
    after: PlacedDocuments | None = None
    """All documents with it; None where it cannot be read, or is in force already."""
    changes: tuple[DocumentChange, ...] = ()
    """What would change: the instance and what it makes."""


def render_instance(documents: PlacedDocuments, instance: Placed) -> Rendered:
    """Return the documents that an instance in force makes."""
    return Rendered(_written(documents, instance), ())


def render_inputs(
    documents: PlacedDocuments, ref: ResourceRef, blueprint: str, version: str, inputs: Mapping[str, Any]
) -> Rendered:
    """Return the documents that an instance `ref` with these inputs would make, as a new one or in place of the old."""
    metadata = {"name": ref.name, "space": ref.space}
    spec = {"blueprint": blueprint, "version": version, "inputs": dict(inputs)}
    document = {"apiVersion": API_VERSION, "kind": Kind.BLUEPRINT_INSTANCE, "metadata": metadata, "spec": spec}
    parsed = parse_file(_NOWHERE, _as_file(document))
    if not parsed.resources:
        return Rendered((), tuple(map(_without_position, parsed.diagnostics)), document)
    instance = Placed(ref, parsed.resources[0])
    with_it = evolve(documents, {ref: instance})
    broken = (tell(violation, instance, with_it) for violation in violations(with_it, instance))
    return Rendered(
        _written(with_it, instance),
        tuple(map(_without_position, broken)),
        document,
        with_it,
        changes(documents, with_it, {ref, *remade(documents, with_it)}),
    )


def _as_file(document: Mapping[str, Any]) -> bytes:
    """Return a document as JSON that YAML reads as exactly the same."""
    text = json.dumps(document, ensure_ascii=False)
    return _ODD.sub(lambda found: f"\\u{ord(found[0]):04x}", text).encode()


def versions_of(documents: PlacedDocuments, space: SpaceName, name: str) -> list[Placed]:
    """Return the versions of a blueprint, the oldest first by number."""
    versions = (
        blueprint
        for blueprint in documents.of_kind(Kind.BLUEPRINT)
        if blueprint.ref.space == space and blueprint.ref.name.partition("@")[0] == name
    )
    return sorted(versions, key=lambda blueprint: natural(blueprint.ref.name))


def natural(text: str) -> list[tuple[int, int, str]]:
    """Return a sort key that puts 9 before 10."""
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in _DIGITS.split(text)]


def _written(documents: PlacedDocuments, instance: Placed) -> tuple[Mapping[str, Any], ...]:
    return tuple({"apiVersion": API_VERSION, **raw} for raw in fill(documents, instance))


def _without_position(diagnostic: Diagnostic) -> Diagnostic:
    unwritten = diagnostic.position is not None and diagnostic.position.file == _NOWHERE
    return replace(diagnostic, position=None) if unwritten else diagnostic
