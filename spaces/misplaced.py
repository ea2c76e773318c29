"""The words for documents that have no place: not of their name, or not of their directory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from posixpath import basename

from spaces.diagnostics import Diagnostic, Position, error
from spaces.names import ResourceRef
from spaces.reading.resources import Resource


def name_position(resource: Resource) -> Position:
    """Give where a document says its name."""
    return resource.position(("metadata", "name"))


def tell_second_space(resource: Resource, first: Resource) -> Diagnostic:
    """Say that another space has the directory."""
    other = f"it belongs to {first.name} by {first.file}"
    return error(
        "several-spaces",
        f"a directory belongs to one space, so {basename(resource.file)} cannot declare {resource.name} too",
        name_position(resource),
        f"{other}; declare further spaces in a file of another name",
    )


def tell_unknown_directory(resource: Resource, directory: str) -> Diagnostic:
    """Say that the space of a document is not known."""
    return error(
        "space-not-known",
        f"which space {resource.kind} {resource.name} lies in is not known: "
        f"the space file that {directory or 'the top directory'} belongs to cannot be understood",
        name_position(resource),
        "repair that file, or say metadata.space",
    )


def tell_twice(ref: ResourceRef, places: Sequence[Position]) -> Iterator[Diagnostic]:
    """Say of each document of a name where another one is."""
    for index, here in enumerate(places):
        other = places[index - 1] if index else places[1]
        yield error(
            "duplicate-name",
            f"{ref} is declared more than once; none of them comes into force",
            here,
            f"the other one is at {other.file}:{other.line}:{other.column}",
        )
