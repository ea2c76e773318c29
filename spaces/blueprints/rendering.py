"""What an instance would make, as documents to look at: of one in force, or of one that nobody wrote yet."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from spaces.blueprints.derived import evolve
from spaces.blueprints.expansion import fill
from spaces.diagnostics import Diagnostic
from spaces.documents.documents import Placed, PlacedDocuments
from spaces.names import API_VERSION, Kind, ResourceRef, SpaceName
from spaces.reading.resources import parse_file
from spaces.rules.rules import tell, violations

_NOWHERE = "instance"
_DIGITS = re.compile(r"(\d+)")


@dataclass(frozen=True, slots=True)
class Rendered:
    """The documents that an instance makes, as they would be written, and what is wrong with them."""

    documents: tuple[Mapping[str, Any], ...]
    diagnostics: tuple[Diagnostic, ...]


def render_instance(documents: PlacedDocuments, instance: Placed) -> Rendered:
    """Show what an instance in force makes."""
    return Rendered(_written(documents, instance), ())


def render_inputs(
    documents: PlacedDocuments, ref: ResourceRef, blueprint: str, version: str, inputs: Mapping[str, Any]
) -> Rendered:
    """Show what an instance `ref` with these inputs would make, taken for a new one, or for the next of its name."""
    metadata = {"name": ref.name, "space": ref.space}
    spec = {"blueprint": blueprint, "version": version, "inputs": dict(inputs)}
    document = {"apiVersion": API_VERSION, "kind": Kind.BLUEPRINT_INSTANCE, "metadata": metadata, "spec": spec}
    parsed = parse_file(_NOWHERE, json.dumps(document).encode())
    if not parsed.resources:
        return Rendered((), tuple(_placeless(told) for told in parsed.diagnostics))
    instance = Placed(ref, parsed.resources[0])
    with_it = evolve(documents, {ref: instance})
    told = [_placeless(tell(each, instance, with_it)) for each in violations(with_it, instance)]
    return Rendered(_written(with_it, instance), tuple(told))


def versions_of(documents: PlacedDocuments, space: SpaceName, name: str) -> list[Placed]:
    """List the versions of a blueprint, oldest first as people number them."""
    found = [
        each
        for each in documents.of_kind(Kind.BLUEPRINT)
        if each.ref.space == space and each.ref.name.partition("@")[0] == name
    ]
    return sorted(found, key=lambda each: natural(each.ref.name))


def natural(text: str) -> list[tuple[int, int, str]]:
    """Give a key that sorts 9 before 10."""
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in _DIGITS.split(text)]


def _written(documents: PlacedDocuments, instance: Placed) -> tuple[Mapping[str, Any], ...]:
    return tuple({"apiVersion": API_VERSION, **raw} for raw in fill(documents, instance))


def _placeless(told: Diagnostic) -> Diagnostic:
    return replace(told, position=None) if told.position and told.position.file == _NOWHERE else told
