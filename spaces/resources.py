"""Documents to resources: the typed, named things that the rest of the service works with."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from typing import Any

from pydantic import ValidationError

from spaces.attachments import Attach, Unusable, no_files, place_of
from spaces.diagnostics import Diagnostic, Position, error
from spaces.documents import Document, Places, ReadFile, locate, parse_documents
from spaces.model import SPECS, Metadata, Problem, Spec
from spaces.model.access import RESERVED_NAMES
from spaces.model.base import QUALIFIED_NAME, Path, list_at, mapping_at
from spaces.model.explain import did_you_mean, dotted, explain, shape_of, shown
from spaces.names import ROOT, Digest, Kind, SpaceName

_QUALIFIED_NAME = re.compile(QUALIFIED_NAME)
_KEYS = ("apiVersion", "kind", "metadata", "spec")
_BATCH_BYTES = 32 * 1024
_NONE: Mapping[str, bytes] = {}
_encode = json.JSONEncoder(sort_keys=True, separators=(",", ":"), check_circular=False).encode


@dataclass(frozen=True, slots=True)
class Resource:
    """One good document. `space` is as written, None where the directory decides; `data` is its whole file's bytes.

    `attachments` are the files that it refers to, by path in the repository.
    """

    kind: Kind
    name: str
    space: SpaceName | None
    metadata: Metadata
    spec: Spec
    file: str
    index: int
    data: bytes = field(repr=False, compare=False)
    attachments: Mapping[str, bytes] = field(repr=False, default_factory=lambda: _NONE)

    @property
    def content(self) -> Digest:
        """The digest of kind, metadata and spec as written, whatever their layout and comments, and of the attachments.

        Worked out when it is asked for: most documents are never compared with another one.
        """
        written = [part.model_dump(mode="json", exclude_unset=True) for part in (self.metadata, self.spec)]
        hashes = {place: blake2b(data, digest_size=16).hexdigest() for place, data in self.attachments.items()}
        return Digest(blake2b(_encode([self.kind, *written, hashes]).encode(), digest_size=16).hexdigest())

    def attached(self, written: str) -> bytes:
        """Give the content of a file that the document refers to as `written`; KeyError for any other."""
        return self.attachments[place_of(self.file, written)]

    def position(self, path: tuple[str | int, ...] = ()) -> Position:
        """Give where the value at `path` stands; where there is none, the nearest enclosing node's key."""
        return locate(self.file, self.data, self.index).value(path)


@dataclass(frozen=True, slots=True)
class Flawed:
    """A document with errors of its own, as far as it says what it is; `space` None where the directory decides.

    `needs` are the documents that it names in spite of its errors, each with the place where it does.
    """

    kind: Kind
    name: str
    space: SpaceName | None
    position: Position
    needs: tuple[tuple[Kind, str, Position], ...] = ()


@dataclass(frozen=True, slots=True)
class ParsedFile:
    """What one file holds: the good documents, and everything that is wrong with the others.

    `unreadable` says why a part of it that may be anybody's cannot be read as YAML. `flawed` are the documents with
    errors that still say what they are. `attached` are the paths in the repository that its documents refer to,
    whether there is such a file or not.
    """

    resources: tuple[Resource, ...]
    diagnostics: tuple[Diagnostic, ...]
    unreadable: Diagnostic | None = None
    flawed: tuple[Flawed, ...] = ()
    attached: frozenset[str] = frozenset()


def parse_file(file: str, data: bytes, attach: Attach = no_files) -> ParsedFile:
    """Parse the file at the repository-relative posix path `file`; a broken document does not hide the others."""
    return _understand(file, data, parse_documents(file, data), attach)


def parse_files(files: Iterable[tuple[str, bytes]], attach: Attach = no_files) -> Iterator[tuple[str, ParsedFile]]:
    """Parse many files, as `parse_file` does one."""
    # A processor likes to do the same thing several times: whole files one after the other take an eighth longer.
    for batch in _batches(files):
        read = [parse_documents(file, data) for file, data in batch]
        for (file, data), documents in zip(batch, read, strict=True):
            yield file, _understand(file, data, documents, attach)


def _batches(files: Iterable[tuple[str, bytes]]) -> Iterator[list[tuple[str, bytes]]]:
    batch, size = [], 0
    for file, data in files:
        batch.append((file, data))
        size += len(data)
        if size >= _BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _understand(file: str, data: bytes, read: ReadFile, attach: Attach) -> ParsedFile:
    diagnostics = read.diagnostics
    resources, flawed = [], []
    attached: set[str] = set()
    for document in read.documents:
        resource, problems = _resource(file, data, document)
        if resource is not None:
            resource, missing = _attach(resource, attach, attached)
            problems += missing
        if resource is not None and document.sound:
            resources.append(resource)
        elif (named := _flawed(file, data, document)) is not None:
            flawed.append(named)
        if problems:
            places = locate(file, data, document.index)
            diagnostics += [_diagnostic(problem, places) for problem in problems]
    told = tuple(sorted(diagnostics, key=lambda each: each.sort_key))
    return ParsedFile(tuple(resources), told, read.unreadable, tuple(flawed), frozenset(attached))


def _attach(resource: Resource, attach: Attach, attached: set[str]) -> tuple[Resource | None, list[Problem]]:
    """Add the content of the files that a document refers to; note their paths in `attached`."""
    found: dict[str, bytes] = {}
    problems = []
    for path, written in resource.spec.attachments():
        place = place_of(resource.file, written)
        attached.add(place)
        data = attach(place)
        if isinstance(data, Unusable):
            summary = f"{dotted(('spec', *path))}: {shown(written)} {data.what}"
            problems.append(Problem(("spec", *path), data.code, summary, "the path counts from this file's directory"))
        else:
            found[place] = data
    if problems or not found:
        return None if problems else resource, problems
    return replace(resource, attachments=found), []


def _flawed(file: str, data: bytes, document: Document) -> Flawed | None:
    word, metadata = document.value.get("kind"), document.value.get("metadata")
    if not isinstance(word, str) or word not in SPECS or not isinstance(metadata, dict):
        return None
    name, space = metadata.get("name"), metadata.get("space")
    if not isinstance(name, str):
        return None
    kind, places = Kind(word), locate(file, data, document.index)
    own = SpaceName(space) if isinstance(space, str) else None
    needs = tuple(_needs(document.value.get("spec"), places)) if kind is Kind.STACK else ()
    return Flawed(kind, name, own, places.value(("metadata", "name")), needs)


def _needs(spec: Any, places: Places) -> Iterator[tuple[Kind, str, Position]]:
    """Read what a stack's spec names, as far as that is written well."""
    if not isinstance(spec, dict):
        return
    for index, use in enumerate(list_at(spec, "contexts")):
        path: Path = ("spec", "contexts", index)
        name, path = (use.get("name"), (*path, "name")) if isinstance(use, dict) else (use, path)
        if isinstance(name, str) and _QUALIFIED_NAME.search(name):
            yield Kind.CONTEXT, name, places.value(path)
    for index, entry in enumerate(list_at(spec, "dependsOn")):
        path = ("spec", "dependsOn", index)
        name, path = (entry.get("stack"), (*path, "stack")) if isinstance(entry, dict) else (entry, path)
        if isinstance(name, str) and _QUALIFIED_NAME.search(name):
            yield Kind.STACK, name, places.value(path)
    name = mapping_at(spec, "source").get("repository")
    if isinstance(name, str) and _QUALIFIED_NAME.search(name):
        yield Kind.REPOSITORY, name, places.value(("spec", "source", "repository"))


def _resource(file: str, data: bytes, document: Document) -> tuple[Resource | None, list[Problem]]:
    raw = document.value
    problems = list(_outer_problems(raw))
    kind, about_kind = _kind(raw)
    problems += about_kind
    if kind is None:
        return None, problems
    model = SPECS[kind]
    raw_metadata, raw_spec = raw.get("metadata"), raw.get("spec")
    if raw_spec is None:
        raw_spec = {}
    metadata = spec = None
    if isinstance(raw_metadata, dict):
        problems += _metadata_problems(kind, raw_metadata)
        try:
            metadata = Metadata.model_validate(raw_metadata)
        except ValidationError as failure:
            problems += explain(failure, Metadata, ("metadata",))
    if isinstance(raw_spec, dict):
        own = [problem._replace(path=("spec", *problem.path)) for problem in model.problems(raw_spec)]
        problems += own
        try:
            spec = model.model_validate(raw_spec)
        except ValidationError as failure:
            told = {problem.path for problem in own if problem.path != ("spec",)}
            problems += [each for each in explain(failure, model, ("spec",)) if each.path not in told]
    if problems or metadata is None or spec is None:
        return None, problems
    space = SpaceName(metadata.space) if metadata.space is not None else None
    return Resource(kind, metadata.name, space, metadata, spec, file, document.index, data), problems


def _outer_problems(raw: dict[str, Any]) -> Iterator[Problem]:
    for key in raw:
        if key not in _KEYS:
            hint = did_you_mean(key, _KEYS) or f"known are {', '.join(_KEYS)}"
            yield Problem((key,), "unknown-key", f"{dotted((key,))} is not known", hint, at_key=True)
    if "metadata" not in raw:
        yield Problem((), "missing-key", "metadata is missing", "it needs at least metadata.name")
    elif not isinstance(raw["metadata"], dict):
        summary = f"metadata must be a mapping, is {shape_of(raw['metadata'])}"
        yield Problem(("metadata",), "wrong-type", summary, at_key=True)
    if not isinstance(raw.get("spec"), dict | None):
        yield Problem(("spec",), "wrong-type", f"spec must be a mapping, is {shape_of(raw['spec'])}", at_key=True)


def _kind(raw: dict[str, Any]) -> tuple[Kind | None, list[Problem]]:
    if "kind" not in raw:
        return None, [Problem((), "missing-key", "kind is missing", f"one of {', '.join(SPECS)}")]
    word = raw["kind"]
    if not isinstance(word, str):
        return None, [Problem(("kind",), "wrong-type", f"kind must be text, is {shape_of(word)}")]
    try:
        kind = Kind(word)
    except ValueError:
        hint = did_you_mean(word, list(Kind)) or f"one of {', '.join(SPECS)}"
        return None, [Problem(("kind",), "unknown-kind", f"the kind {word[:80]!r} is not known", hint)]
    if kind not in SPECS:
        summary = f"{kind} is not supported by this version"
        return None, [Problem(("kind",), "kind-not-supported", summary, f"supported are {', '.join(SPECS)}")]
    return kind, []


def _metadata_problems(kind: Kind, raw: dict[str, Any]) -> Iterator[Problem]:
    if kind is Kind.SPACE:
        if "space" in raw:
            summary, hint = "a Space has no metadata.space", "write its parent as spec.parent"
            yield Problem(("metadata", "space"), "invalid-value", summary, hint, at_key=True)
        if raw.get("name") == ROOT:
            yield Problem(("metadata", "name"), "reserved-name", "the space root always exists", "leave this out")
    if isinstance(raw.get("name"), str) and raw["name"] in RESERVED_NAMES.get(kind, ()):
        summary = f"the {kind} {raw['name']} is built in"
        yield Problem(("metadata", "name"), "reserved-name", summary, "give it another name")
    if kind is not Kind.STACK and "movedFrom" in raw:
        summary = f"metadata.movedFrom is for stacks, this is a {kind}"
        yield Problem(("metadata", "movedFrom"), "invalid-value", summary, "leave it out", at_key=True)


def _diagnostic(problem: Problem, places: Places) -> Diagnostic:
    path: Path = problem.path
    at = places.key(path) if problem.at_key else places.value(path)
    return error(problem.code, problem.summary, at, problem.hint)
