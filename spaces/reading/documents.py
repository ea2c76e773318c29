"""From bytes to documents: the files of a revision, read as YAML and split into documents.

`resources` calls `parse_documents` for each file. It returns the documents that are ours, and the diagnostics of the
others. A hostile file costs little, a broken document hides no other document of its file, and all its errors are
reported at once. Files that never mention our apiVersion are left alone. Nothing here knows what a kind means.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache, partial
from typing import Any, NamedTuple, TypeAlias

from _ruamel_yaml import CParser
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import CollectionEndEvent, CollectionStartEvent
from ruamel.yaml.reader import ReaderError

from spaces.diagnostics import Diagnostic, Position, Severity, error
from spaces.model.explain import did_you_mean
from spaces.names import API_VERSION, KINDS
from spaces.reading.fast_parser import Unusual, read_plain
from spaces.reading.lfs import POINTER, is_pointer
from spaces.reading.parser import MAX_DEPTH, Builder, Path, StreamDocument, TooDeep

OURS = "stationkeeper/"
_OURS = OURS.encode()
MAX_FILE_BYTES = 2 * 1024 * 1024
# Stand for larger files, whose content is not kept: for one that may mention our apiVersion, and one that does not.
TOO_LARGE_OURS = _OURS + b"\0" * MAX_FILE_BYTES
TOO_LARGE_OTHER = b"\0" * (MAX_FILE_BYTES + 1)
# Per file. The pure parser is thirty times slower than the C one; beyond this limit the C parser's verdict stands.
MAX_PURE_CHARACTERS = 128 * 1024
# Per file without a document of ours: enough for any file that a person writes, a bound for generated files.
MAX_SCANNED_EVENTS = 20_000

_SPLIT = "split it, or name it otherwise if it holds no documents"
_DOCUMENT_START = re.compile(r"^---(?=[ \t\r\n]|\Z)", re.MULTILINE)
_ONLY_PREAMBLE = re.compile(r"(?:[ \t]*(?:#[^\n]*)?\r?\n|%[^\n]*\n)*\Z")
_VERSION = re.compile(rb"""apiVersion["']?[ \t]*:[ \t]*["']?([\w./-]{1,40})""", re.ASCII)
_NEAR = 0.8
_UNPRINTABLE = re.compile("[^\\t\\n\\r\\x20-\\x7e\\x85\\xa0-\\ud7ff\\ue000-\\ufffd\\U00010000-\\U0010ffff]")


@dataclass(frozen=True, slots=True)
class Document:
    """One of our documents: its number in the file (from 0) and its value.

    `sound` is False if it breaks a rule of the syntax.
    """

    index: int
    value: dict[str, Any]
    sound: bool


class ReadFile(NamedTuple):
    """Our documents in a file, and the diagnostics about them.

    `unreadable` says why a part of the file that shows no sign of being ours is not YAML; None if all of it is.
    """

    documents: list[Document]
    diagnostics: list[Diagnostic]
    unreadable: Diagnostic | None


ReadDocuments: TypeAlias = Callable[[Sequence[tuple[str, bytes]]], list[ReadFile]]
"""Reads files (path in the repository, bytes) as `parse_documents` reads one."""


@dataclass(frozen=True, slots=True)
class Positions:
    """The positions of the keys and values of one document in its file."""

    file: str
    marks: Mapping[Path, tuple[Position, Position]]

    def value(self, path: Path) -> Position:
        """Return where the value at `path` starts, or else the key of the nearest enclosing node."""
        marks = self.marks.get(path)
        return marks[1] if marks else self.key(path)

    def key(self, path: Path) -> Position:
        """Return where the key of `path` starts, or that of the nearest enclosing node.

        An item of a list has no key: it is the start of the item.
        """
        for end in range(len(path), -1, -1):
            marks = self.marks.get(path[:end])
            if marks:
                return marks[0]
        return Position(self.file)


def parse_documents(file: str, data: bytes) -> ReadFile:
    """Return our documents in `data` and the diagnostics about them; everything else in it is ignored.

    A document that is not YAML does not hide the others of its file.
    """
    if _OURS not in data:
        return ReadFile([], _misspelt(file, data), _pointer(file, data) or _scan(file, data))
    documents: list[Document] = []
    diagnostics: list[Diagnostic] = []
    unreadable: Diagnostic | None = None
    for index, read in enumerate(_read(file, data, recording=False)):
        if not read.complete:
            diagnostics += read.diagnostics
            unreadable = unreadable or read.unreadable
            continue
        version = read.value.get("apiVersion") if isinstance(read.value, dict) else None
        if version is None and _looks_ours(read.value):
            diagnostics.append(_no_version(read.value, locate(file, data, index)))
            continue
        if not isinstance(version, str) or not version.startswith(OURS):
            diagnostics += _missed(file, data, index, read.value)
            continue
        diagnostics += read.diagnostics
        if version == API_VERSION:
            documents.append(Document(index, read.value, sound=not read.diagnostics))
        else:
            position = locate(file, data, index).value(("apiVersion",))
            hint = f"write apiVersion: {API_VERSION}"
            diagnostics.append(error("api-version", f"apiVersion {version[:80]!r} is not known", position, hint))
    return ReadFile(documents, diagnostics, unreadable)


def abridged(data: bytes) -> bytes:
    """Return what is needed of a file to read its documents: of one that is too large, nothing but that it is."""
    if len(data) <= MAX_FILE_BYTES:
        return data
    return TOO_LARGE_OURS if _OURS in data else TOO_LARGE_OTHER


def read_documents(files: Sequence[tuple[str, bytes]]) -> list[ReadFile]:
    """Return the documents of several files, in order."""
    return [parse_documents(file, data) for file, data in files]


def _looks_ours(value: Any) -> bool:
    """Whether a document must be one of ours, whatever its apiVersion."""
    if not isinstance(value, dict):
        return False
    kind = value.get("kind")
    return isinstance(kind, str) and kind in KINDS and isinstance(value.get("metadata"), dict)


def _no_version(value: Mapping[str, Any], places: Positions) -> Diagnostic:
    for key in value:
        if key not in {"apiVersion", "kind", "metadata", "spec"} and (hint := did_you_mean(key, ("apiVersion",))):
            return error("api-version", f"the key {key[:80]!r} is not known", places.key((key,)), hint)
    summary = f"apiVersion is missing, so the {value['kind']} is not read"
    return error("api-version", summary, places.value(()), f"write apiVersion: {API_VERSION}")


def _missed(file: str, data: bytes, index: int, value: Any) -> Iterator[Diagnostic]:
    """Warn about a document that is surely meant to be ours and is not: with a misspelt apiVersion, or inside a list.

    The YAML of other programs is left alone: only one of our kinds beside almost our apiVersion counts.
    """
    if isinstance(value, list):
        if any(_looks_ours(item) and str(item.get("apiVersion")).startswith(OURS) for item in value):
            summary = "documents inside a list are not read: a document is a mapping at the top of a file"
            position, hint = locate(file, data, index).value(()), "remove the dash, and begin each document with ---"
            yield Diagnostic(Severity.WARNING, "document-in-list", summary, hint, position)
    elif _looks_ours(value) and _is_near(str(value.get("apiVersion"))):
        position = locate(file, data, index).value(("apiVersion",))
        summary = f"apiVersion {value['apiVersion'][:80]!r} is not known, so the {value['kind']} is not read"
        yield Diagnostic(Severity.WARNING, "api-version", summary, f"did you mean {API_VERSION}?", position)


def _misspelt(file: str, data: bytes) -> list[Diagnostic]:
    """Return warnings about almost our apiVersion in a file without it. The file is parsed only if it has one."""
    if not any(_is_near(version.decode("ascii")) for version in _VERSION.findall(data)):
        return []
    return [
        warning
        for index, document in enumerate(_read(file, data, recording=False))
        if document.complete
        for warning in _missed(file, data, index, document.value)
    ]


def _is_near(version: str) -> bool:
    prefix = version.partition("/")[0].lower()
    return bool(get_close_matches(prefix, [OURS.rstrip("/")], cutoff=_NEAR))


def _pointer(file: str, data: bytes) -> Diagnostic | None:
    """Return what is wrong with a pointer in the place of documents: read as YAML, it would be their deletion."""
    return error("lfs-pointer", f"the file {POINTER}", Position(file, 1, 1)) if is_pointer(data) else None


def _scan(file: str, data: bytes) -> Diagnostic | None:
    """Return why a file without any sign of us is not YAML, as far as a bounded look reveals."""
    unfit = _unfit(file, data)
    if unfit is not None:
        return unfit
    parser, depth = CParser(data), 0
    try:
        for _ in range(MAX_SCANNED_EVENTS):
            event = parser.get_event()
            if event is None:
                break
            depth += isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
            if depth > MAX_DEPTH:
                at = Position(file, event.start_mark.line + 1, event.start_mark.column + 1)
                return error("yaml-depth", f"nested deeper than {MAX_DEPTH} levels", at)
    except YAMLError as wrong:
        return _syntax_error(file, data.decode(), 1, wrong)
    return None


def locate(file: str, data: bytes, index: int) -> Positions:
    """Return the positions in document number `index`, by parsing `data` again: good documents do not store them."""
    every = _locate_all(file, data)
    return every[index] if index < len(every) else Positions(file, {})


# Caches one file: a file of many documents with a finding each is parsed once, and only its positions are kept.
@lru_cache(maxsize=1)
def _locate_all(file: str, data: bytes) -> tuple[Positions, ...]:
    return tuple(Positions(file, document.places) for document in _read(file, data, recording=True))


def _unfit(file: str, data: bytes) -> Diagnostic | None:
    """Return why a file is not read at all: too large, or not UTF-8."""
    if len(data) > MAX_FILE_BYTES:
        summary = f"the file is larger than {MAX_FILE_BYTES // 1024 // 1024} MiB"
        return error("file-too-large", summary, Position(file), _SPLIT)
    try:
        data.decode()
    except UnicodeDecodeError as wrong:
        line, column = data.count(b"\n", 0, wrong.start) + 1, wrong.start - data.rfind(b"\n", 0, wrong.start)
        return error("not-utf8", "the file is not UTF-8", Position(file, line, column), "save it as UTF-8")
    return None


def _read(file: str, data: bytes, *, recording: bool) -> list[StreamDocument]:
    unfit = _unfit(file, data)
    if unfit is not None:
        return [_refused(unfit)]
    try:
        if not recording:
            try:
                return [StreamDocument(value, [], {}) for value in read_plain(CParser(data).get_event, MAX_DEPTH)]
            except Unusual:
                pass
        builder = Builder(file, recording=recording)
        builder.run(CParser(data).get_event)
    except (YAMLError, TooDeep):
        return _read_one_by_one(file, data.decode(), recording=recording)
    return builder.documents


def _read_one_by_one(file: str, text: str, *, recording: bool) -> list[StreamDocument]:
    documents: list[StreamDocument] = []
    pure_left = MAX_PURE_CHARACTERS
    for line, chunk in chunks(text):
        builder = Builder(file, first_line=line, recording=recording)
        wrong = _attempt(builder, CParser(chunk.encode()).get_event)
        if OURS not in chunk:
            documents += _others(builder, _syntax_error(file, chunk, line, wrong) if wrong is not None else None)
            continue
        if wrong is not None and len(chunk) <= pure_left:
            # The bundled C scanner refuses some valid YAML, such as {url: http://x}.
            pure_left -= len(chunk)
            builder = Builder(file, first_line=line, recording=recording)
            wrong = _attempt(builder, partial(next, YAML(typ="safe", pure=True).parse(chunk), None))
        documents += builder.documents
        if wrong is not None:
            documents.append(_refused(*builder.pending, _syntax_error(file, chunk, line, wrong)))
    return documents


def _others(builder: Builder, wrong: Diagnostic | None) -> list[StreamDocument]:
    """Return somebody else's document as one document, whatever is wrong with it, so that the numbers stay right."""
    deep = next((document.diagnostics[-1] for document in builder.documents if not document.complete), None)
    unreadable = wrong or deep
    if unreadable is None and len(builder.documents) == 1:
        return builder.documents
    return [StreamDocument(None, [], {}, complete=False, unreadable=unreadable)]


def _attempt(builder: Builder, next_event: Callable[[], Any]) -> YAMLError | None:
    """Read a stream to its end, or to the nesting limit; return the syntax error that ended it."""
    try:
        builder.run(next_event)
    except TooDeep as deep:
        builder.documents.append(_refused(*builder.pending, deep.diagnostic))
    except YAMLError as wrong:
        return wrong
    return None


def chunks(text: str) -> Iterator[tuple[int, str]]:
    """Yield the text between document markers: (number of the first line, text). Directives stay with their document.

    `---` at the start of a line ends a document wherever it stands, so each part can be judged by itself.
    """
    cuts = [0]
    for marker in _DOCUMENT_START.finditer(text):
        if not _ONLY_PREAMBLE.fullmatch(text, cuts[-1], marker.start()):
            cuts.append(marker.start())
    line = 1
    for start, end in zip(cuts, [*cuts[1:], len(text)], strict=True):
        yield line, text[start:end]
        line += text.count("\n", start, end)


def read_text(text: str) -> list[Any] | None:
    """Return the values of a text's documents; None where a part of it cannot be read."""
    found = _read("", text.encode(), recording=False)
    return [each.value for each in found] if all(each.complete for each in found) else None


def _refused(*diagnostics: Diagnostic) -> StreamDocument:
    return StreamDocument(None, list(diagnostics), {}, complete=False)


def _syntax_error(file: str, text: str, first_line: int, wrong: YAMLError) -> Diagnostic:
    line, column, problem, hint = first_line, 1, str(wrong).partition("\n")[0], None
    if isinstance(wrong, MarkedYAMLError) and wrong.problem_mark is not None:
        mark = wrong.problem_mark
        if mark.line > text.rstrip().count("\n") and wrong.context_mark is not None:
            # The error was noticed at the end of the text: the node that was left open is the place to look at.
            mark = wrong.context_mark
        line, column = first_line + mark.line, mark.column + 1
        problem = ", ".join(part for part in (wrong.context, wrong.problem) if part)
        if "'\\t'" in problem or "'\t'" in problem:
            hint = "indent with spaces, not tabs"
    elif isinstance(wrong, ReaderError) and (odd := _UNPRINTABLE.search(text)):
        line, column = first_line + text.count("\n", 0, odd.start()), odd.start() - text.rfind("\n", 0, odd.start())
        problem, hint = f"character U+{ord(odd.group()):04X} is not allowed", "write it as an escape in double quotes"
    return error("yaml-syntax", f"not valid YAML: {problem}", Position(file, line, column), hint)
