"""From documents to resources: the typed, named things that the rest of the service works with.

The catalog calls `parse_files` with the files that changed; blueprints call `make_resource` for each document of a
template. Both return resources that passed every check of a single document, and diagnostics for the rest. Rules across
documents, spaces and rights are checked elsewhere. Nothing here reads a file: content of attached files comes through
`Attach`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from typing import Any, NamedTuple

from pydantic import ValidationError

from spaces.diagnostics import Diagnostic, Position, error, in_order
from spaces.expressions.spans import OPENS
from spaces.model.base import Metadata, Path, Problem
from spaces.model.blueprint import BlueprintSpec, versioned
from spaces.model.explain import dotted, explain, shown
from spaces.model.kinds import SPECS, Spec
from spaces.model.template import template_problems
from spaces.names import ROOT, Digest, Kind, ResourceRef, SpaceName
from spaces.reading.attachments import FROM_TOP, Attach, Unusable, no_files, place_of
from spaces.reading.documents import (
    Document,
    Positions,
    ReadDocuments,
    ReadFile,
    locate,
    parse_documents,
    read_documents,
)
from spaces.reading.envelope import kind_of, metadata_problems, outer_problems
from spaces.reading.flawed import Flawed, flawed_document
from spaces.reading.sops import sops_flaw

_OUTSIDE = Unusable("file-not-found", "is not read: write the path in the template without expressions")
_BATCH_BYTES = 32 * 1024
_NONE: Mapping[str, bytes] = {}
_encode = json.JSONEncoder(sort_keys=True, separators=(",", ":"), check_circular=False).encode


@dataclass(frozen=True, slots=True)
class Made:
    """The origin of a document that an instance made: document number `index` of its blueprint's template.

    `root` is the instance that somebody wrote: `instance` itself, or the one that made that instance.
    """

    instance: ResourceRef
    blueprint: ResourceRef
    version: str
    index: int
    root: ResourceRef

    @property
    def title(self) -> str:
        """The blueprint's name as instances write it, without the version."""
        return f"{self.blueprint.space}/{self.blueprint.name.partition('@')[0]}"


@dataclass(frozen=True, slots=True)
class Resource:
    """One valid document. `space` is as written; None: its directory decides. `data` is the content of its whole file.

    `name` is metadata.name, for a blueprint with the version. `attachments` are the files that it refers to, by path in
    the repository. For a document that an instance made, file and data are those of its blueprint.
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
    made: Made | None = None
    _content: Digest | None = field(init=False, repr=False, compare=False, default=None)

    @property
    def content(self) -> Digest:
        """The digest of kind, metadata and spec as written, without layout and comments, and of the attachments.

        It is computed once, when first needed: most documents are never compared with another one, the others often.
        """
        if self._content is None:
            object.__setattr__(self, "_content", self._digest())
        assert self._content is not None  # noqa: S101 - it was set just now
        return self._content

    def _digest(self) -> Digest:
        written = [part.model_dump(mode="json", exclude_unset=True) for part in (self.metadata, self.spec)]
        hashes = {place: blake2b(data, digest_size=16).hexdigest() for place, data in self.attachments.items()}
        # The maker belongs to the content. The version does not: it shows in the document that it makes.
        made = [[str(self.made.instance), self.made.title]] if self.made is not None else []
        return Digest(blake2b(_encode([self.kind, *written, hashes, *made]).encode(), digest_size=16).hexdigest())

    def attached(self, written: str) -> bytes:
        """Return the content of a file that the document refers to as `written`; raise KeyError for any other."""
        return self.attachments[place_of(self.file, written)]

    def position(self, path: tuple[str | int, ...] = (), within: tuple[int, int] | None = None) -> Position:
        """Return the position of the value at `path`, or of the nearest enclosing node's key if there is no such value.

        `within` is an expression of that text, by its number, and the offset in it. The value of a document that an
        instance made has its position in the template.
        """
        if self.made is not None:
            path = ("spec", "template", self.made.index, *path)
        position = locate(self.file, self.data, self.index).value(path)
        return _within(self.data, position, within) if within is not None else position


class ParsedFile(NamedTuple):
    """The content of one file: the valid documents, and the diagnostics about the others.

    `unreadable` says why a part of it that may belong to anybody is not YAML. `flawed` are the documents with errors
    that still say what they are. `attached` are the paths in the repository that its documents refer to, whether the
    files exist or not.
    """

    resources: tuple[Resource, ...]
    diagnostics: tuple[Diagnostic, ...]
    unreadable: Diagnostic | None = None
    flawed: tuple[Flawed, ...] = ()
    attached: frozenset[str] = frozenset()


def parse_file(file: str, data: bytes, attach: Attach = no_files) -> ParsedFile:
    """Parse the file at the repository-relative posix path `file`. A broken document does not hide the others."""
    return _understand(file, data, parse_documents(file, data), attach)


def parse_files(
    files: Iterable[tuple[str, bytes]], attach: Attach = no_files, read: ReadDocuments = read_documents
) -> Iterator[tuple[str, ParsedFile]]:
    """Yield many files, each parsed as `parse_file` does."""
    # In batches, because reading and understanding file by file takes an eighth longer (processor caches).
    for batch in _batches(files):
        for (file, data), documents in zip(batch, read(batch), strict=True):
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
        elif (named := flawed_document(file, data, document)) is not None:
            flawed.append(named)
        if problems:
            positions = locate(file, data, document.index)
            diagnostics += [_diagnostic(problem, positions, data) for problem in problems]
    return ParsedFile(tuple(resources), in_order(diagnostics), read.unreadable, tuple(flawed), frozenset(attached))


def _attach(resource: Resource, attach: Attach, attached: set[str]) -> tuple[Resource | None, list[Problem]]:
    """Add the content of the files that a document refers to, and their paths to `attached`."""
    contents: dict[str, bytes] = {}
    problems = []
    for path, written in resource.spec.attachments():
        place = place_of(resource.file, written)
        attached.add(place)
        # A file anywhere would be content of this document, and who changes it would need the right for this one.
        data = FROM_TOP if written.startswith("/") and resource.made is None else attach(place)
        if isinstance(data, Unusable):
            summary = f"{dotted(('spec', *path))}: {shown(written)} {data.what}"
            problems.append(
                Problem(("spec", *path), data.code, summary, "the path is relative to this file's directory")
            )
        else:
            contents[place] = data
    if not problems and contents:
        problems = list(_flaws_of_sops(resource, contents))
    if problems or not contents:
        return None if problems else resource, problems
    return replace(resource, attachments=contents), []


def _flaws_of_sops(resource: Resource, contents: Mapping[str, bytes]) -> Iterator[Problem]:
    """Yield the secrets that cannot be in the SOPS files that they name."""
    for path, _, secret in resource.spec.secrets():
        if secret.sops is not None and secret.sops_file is not None:
            place = place_of(resource.file, secret.sops_file)
            wrong = sops_flaw(place, contents[place], secret.sops.partition("#")[2])
            if wrong is not None:
                summary = f"{dotted(('spec', *path, 'sops'))}: {shown(place)} {wrong}"
                yield Problem(("spec", *path, "sops"), "invalid-sops", summary)


def make_resource(
    blueprint: Resource, raw: dict[str, Any], made: Made, space: SpaceName, given: Mapping[str, bytes]
) -> tuple[Resource | None, list[Problem]]:
    """Read a document that an instance makes. Positions are those of the template; `given` are the instance's files."""
    resource, problems = _resource(blueprint.file, blueprint.data, Document(blueprint.index, raw, sound=True))
    if resource is None:
        return None, problems
    files = {**given, **blueprint.attachments}
    resource, missing = _attach(
        replace(resource, space=space, made=made), lambda place: files.get(place, _OUTSIDE), set()
    )
    return resource, problems if resource is not None else missing


def _template_problems(raw: dict[str, Any]) -> list[Problem]:
    """Return the problems of a document of a template as written."""
    return _resource("", b"", Document(0, raw, sound=True))[1]


def _resource(file: str, data: bytes, document: Document) -> tuple[Resource | None, list[Problem]]:
    raw = document.value
    problems = list(outer_problems(raw))
    kind, about_kind = kind_of(raw)
    problems += about_kind
    if kind is None:
        return None, problems
    model = SPECS[kind]
    raw_metadata, raw_spec = raw.get("metadata"), raw.get("spec")
    if raw_spec is None:
        raw_spec = {}
    metadata = spec = None
    if isinstance(raw_metadata, dict):
        problems += metadata_problems(kind, raw_metadata)
        try:
            metadata = Metadata.model_validate(raw_metadata)
        except ValidationError as failure:
            problems += explain(failure, Metadata, ("metadata",))
    if isinstance(raw_spec, dict):
        own = [problem._replace(path=("spec", *problem.path)) for problem in model.problems(raw_spec)]
        if kind is Kind.SPACE and isinstance(raw_metadata, dict) and raw_metadata.get("name") == ROOT:
            own += _problems_of_the_root(raw_spec)
        problems += own
        try:
            spec = model.model_validate(raw_spec)
        except ValidationError as failure:
            known = {problem.path for problem in own if problem.path != ("spec",)}
            problems += [problem for problem in explain(failure, model, ("spec",)) if problem.path not in known]
        if kind is Kind.BLUEPRINT:
            in_template = template_problems(raw_spec, _template_problems)
            problems += [problem._replace(path=("spec", *problem.path)) for problem in in_template]
    if problems or metadata is None or spec is None:
        return None, problems
    space = SpaceName(metadata.space) if metadata.space is not None else None
    name = versioned(metadata.name, spec.version) if isinstance(spec, BlueprintSpec) else metadata.name
    return Resource(kind, name, space, metadata, spec, file, document.index, data), problems


def _problems_of_the_root(spec: dict[str, Any]) -> Iterator[Problem]:
    """Yield what the space above all others cannot have."""
    for key in ("parent", "inherit"):
        if key in spec:
            summary = f"the space root is above all others and has no spec.{key}"
            yield Problem(("spec", key), "invalid-value", summary, "remove it", at_key=True)


def _diagnostic(problem: Problem, positions: Positions, data: bytes) -> Diagnostic:
    path: Path = problem.path
    position = positions.key(path) if problem.at_key else positions.value(path)
    if problem.within is not None:
        position = _within(data, position, problem.within)
    return error(problem.code, problem.summary, position, problem.hint)


def _within(data: bytes, start: Position, within: tuple[int, int]) -> Position:
    """Return the position in an expression of the text that starts at `start`, or that start if it cannot be found."""
    text, (index, offset) = data.decode(errors="replace"), within
    source = sum(len(line) + 1 for line in text.split("\n")[: start.line - 1]) + start.column - 1
    for _ in range(index + 1):
        source = text.find(OPENS, source)
        if source < 0:
            return start
        source += len(OPENS)
    target = source + offset if "\n" not in text[source : source + offset] else source
    line_start = text.rfind("\n", 0, target) + 1
    return Position(start.file, text.count("\n", 0, target) + 1, target - line_start + 1)
