"""What documents with errors of their own still say: who they are, and which documents they name.

So the rules across documents can tell whose fault a missing document is, and do not blame others for it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from spaces.diagnostics import Position
from spaces.model.base import QUALIFIED_NAME, Path, list_at, mapping_at
from spaces.model.blueprint import versioned
from spaces.model.kinds import SPECS
from spaces.model.pool import DEFAULT_POOL
from spaces.names import Kind, SpaceName
from spaces.reading.documents import Document, Positions, locate

_QUALIFIED_NAME = re.compile(QUALIFIED_NAME)


@dataclass(frozen=True, slots=True)
class Flawed:
    """A document with errors of its own that still says what it is. `space` None: its directory decides.

    `needs` are the documents that it names in spite of its errors, each with the position where it does.
    """

    kind: Kind
    name: str
    space: SpaceName | None
    position: Position
    needs: tuple[tuple[Kind, str, Position], ...] = ()


def flawed_document(file: str, data: bytes, document: Document) -> Flawed | None:
    """Return what the document says of itself in spite of its errors; None if it has no kind or name."""
    word, metadata = document.value.get("kind"), document.value.get("metadata")
    if not isinstance(word, str) or word not in SPECS or not isinstance(metadata, dict):
        return None
    name, space = metadata.get("name"), metadata.get("space")
    if not isinstance(name, str):
        return None
    kind, positions = Kind(word), locate(file, data, document.index)
    if kind is Kind.BLUEPRINT:
        version = mapping_at(document.value, "spec").get("version")
        name = versioned(name, version) if isinstance(version, str) else name
    own = SpaceName(space) if isinstance(space, str) else None
    needs = tuple(_needs(kind, document.value.get("spec"), positions))
    return Flawed(kind, name, own, positions.value(("metadata", "name")), needs)


def _needs(kind: Kind, spec: Any, positions: Positions) -> Iterator[tuple[Kind, str, Position]]:
    """Yield the documents that a spec names, as far as the names are written well."""
    if not isinstance(spec, dict):
        return
    if kind is Kind.BLUEPRINT_INSTANCE:
        name, version = spec.get("blueprint"), spec.get("version")
        if isinstance(name, str) and isinstance(version, str) and _QUALIFIED_NAME.search(name):
            yield Kind.BLUEPRINT, versioned(name, version), positions.value(("spec", "blueprint"))
    if kind in {Kind.STACK, Kind.CONTEXT}:
        yield from _needed_credentials(spec, positions)
    if kind is Kind.STACK:
        yield from _needed_by_stack(spec, positions)


def _needed_credentials(spec: dict[str, Any], positions: Positions) -> Iterator[tuple[Kind, str, Position]]:
    for index, name in enumerate(list_at(spec, "gitCredentials")):
        if isinstance(name, str) and _QUALIFIED_NAME.search(name):
            yield Kind.REPOSITORY, name, positions.value(("spec", "gitCredentials", index))


def _needed_by_stack(spec: dict[str, Any], positions: Positions) -> Iterator[tuple[Kind, str, Position]]:
    for index, use in enumerate(list_at(spec, "contexts")):
        path: Path = ("spec", "contexts", index)
        name, path = (use.get("name"), (*path, "name")) if isinstance(use, dict) else (use, path)
        if isinstance(name, str) and _QUALIFIED_NAME.search(name):
            yield Kind.CONTEXT, name, positions.value(path)
    for index, name in enumerate(list_at(spec, "integrations")):
        if isinstance(name, str) and _QUALIFIED_NAME.search(name):
            yield Kind.CLOUD_INTEGRATION, name, positions.value(("spec", "integrations", index))
    pool = spec.get("workerPool")
    if isinstance(pool, str) and pool != DEFAULT_POOL and _QUALIFIED_NAME.search(pool):
        yield Kind.WORKER_POOL, pool, positions.value(("spec", "workerPool"))
    for index, entry in enumerate(list_at(spec, "dependsOn")):
        path = ("spec", "dependsOn", index)
        name, path = (entry.get("stack"), (*path, "stack")) if isinstance(entry, dict) else (entry, path)
        if isinstance(name, str) and _QUALIFIED_NAME.search(name):
            yield Kind.STACK, name, positions.value(path)
    name = mapping_at(spec, "source").get("repository")
    if isinstance(name, str) and _QUALIFIED_NAME.search(name):
        yield Kind.REPOSITORY, name, positions.value(("spec", "source", "repository"))
