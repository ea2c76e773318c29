"""The words for documents that have no place: not of their name, or not of their directory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from posixpath import basename

from spaces.diagnostics import Diagnostic, Position, error
from spaces.names import ResourceRef
from spaces.reading.resources import Resource


def name_position(resource: Resource) -> Position:
    """Return where a document says its name."""
    return resource.position(("metadata", "name"))


def tell_second_space(resource: Resource, first: Resource) -> Diagnostic:
    """Return the error about a space in a directory that another space has."""
    return error(
        "several-spaces",
        f"a directory belongs to one space, so {basename(resource.file)} cannot declare {resource.name} too",
        name_position(resource),
        f"it belongs to {first.name} by {first.file}; declare further spaces in a file of another name",
    )


def tell_twice(ref: ResourceRef, places: Sequence[Position]) -> Iterator[Diagnostic]:
    """Yield for each document of a name the error that another one has it."""
    for index, here in enumerate(places):
        other = places[index - 1] if index else places[1]
        yield error(
            "duplicate-name",
            f"{ref} is declared more than once",
            here,
            f"the other one is at {other.file}:{other.line}:{other.column}",
        )
