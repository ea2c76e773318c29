"""What is remembered of an InForce beyond its revision, as JSON, and how to read it back."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeAlias, TypedDict

from spaces.documents.documents import Placed
from spaces.in_force import Kept, Recorded
from spaces.names import Kind, ResourceRef, Revision, SpaceName
from spaces.reading.attachments import Unusable
from spaces.reading.resources import parse_file
from spaces.settling import KeptBecause


class RefJson(TypedDict):
    """A document's reference."""

    kind: str
    space: str
    name: str


class KeptJson(RefJson):
    """A kept document: its version is document number `index` of `file` at `revision`."""

    parent: str | None
    file: str
    index: int
    revision: str
    because: str
    waits_for: list[str]


class RecordJson(TypedDict):
    """All that `restore` needs besides the files of the revision that was settled."""

    kept: list[KeptJson]
    pending: list[RefJson]
    directories: dict[str, str]


def to_record(recorded: Recorded) -> RecordJson:
    """Write down what is to be remembered; empty lists when all is well."""
    return {
        "kept": [_kept_json(ref, kept) for ref, kept in sorted(recorded.kept.items(), key=lambda item: item[0])],
        "pending": [_ref_json(ref) for ref in sorted(recorded.pending)],
        "directories": {directory: str(space) for directory, space in sorted(recorded.directories.items())},
    }


ReadFile: TypeAlias = Callable[[Revision, str], bytes | Unusable]
"""Gives a file of the repository as it was at a revision."""


def from_record(record: RecordJson, read: ReadFile) -> Recorded:
    """Read back what was remembered.

    ValueError names a document that is not found there: the record and the repository do not belong together, or
    this version reads the document no more. Nothing may be taken for deleted then.
    """
    kept = {_ref(each): _kept(each, read) for each in record["kept"]}
    directories = {directory: SpaceName(space) for directory, space in record["directories"].items()}
    return Recorded(kept, frozenset(_ref(each) for each in record["pending"]), directories)


def _ref_json(ref: ResourceRef) -> RefJson:
    return {"kind": ref.kind.value, "space": ref.space, "name": ref.name}


def _kept_json(ref: ResourceRef, kept: Kept) -> KeptJson:
    return {
        "kind": ref.kind.value,
        "space": ref.space,
        "name": ref.name,
        "parent": kept.placed.parent,
        "file": kept.resource.file,
        "index": kept.resource.index,
        "revision": kept.revision,
        "because": kept.because.value,
        "waits_for": list(kept.waits_for),
    }


def _ref(record: RefJson | KeptJson) -> ResourceRef:
    return ResourceRef(Kind(record["kind"]), SpaceName(record["space"]), record["name"])


def _kept(record: KeptJson, read: ReadFile) -> Kept:
    ref, file, revision = _ref(record), record["file"], Revision(record["revision"])
    data, attach = read(revision, file), partial(read, revision)
    for resource in parse_file(file, data, attach).resources if isinstance(data, bytes) else ():
        if resource.index == record["index"] and resource.kind is ref.kind and resource.name == ref.name:
            parent = SpaceName(record["parent"]) if record["parent"] is not None else None
            placed = Placed(ref, resource, parent)
            return Kept(placed, revision, KeptBecause(record["because"]), tuple(record["waits_for"]))
    raise ValueError(f"{ref} is not document {record['index'] + 1} of {file} at {revision}")
