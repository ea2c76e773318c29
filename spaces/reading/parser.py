"""From YAML events to values by the YAML 1.2 core schema.

`documents` feeds a `Builder` the events of a stream and takes the documents from it. All limits are here: on nesting,
on aliases, on findings for each document. The builder keeps its own stack, so deep nesting cannot exhaust the
interpreter's. It reports bad input as diagnostics, and raises only `TooDeep`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias

from ruamel.yaml.events import (
    AliasEvent,
    DocumentEndEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
    StreamStartEvent,
)

from spaces.diagnostics import Diagnostic, Position, error

NUMERIC = frozenset("-+.0123456789")
"""The characters that a number can begin with."""
WORDS = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
"""The plain words that are not text, with their values."""

_INTEGER = re.compile(r"[-+]?[0-9]{1,40}|0o[0-7]{1,40}|0x[0-9a-fA-F]{1,40}", re.ASCII)
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?", re.ASCII)
_NOT_FINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
# Matches all that the three above match and more: a quick test that 10.0.0.0/16, 30m or ./file is no number.
_LIKE_A_NUMBER = re.compile(r"[-+.0-9a-fA-FinINoxX]+")


def read_number(text: str) -> str | int | float:
    """Return the number, or the text itself if it only begins like one; raise ValueError for a number out of range."""
    if not _LIKE_A_NUMBER.fullmatch(text):
        return text
    if _INTEGER.fullmatch(text):
        return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))
    if _FLOAT.fullmatch(text):
        number = float(text)
        if math.isfinite(number):
            return number
    elif not _NOT_FINITE.fullmatch(text):
        return text
    raise ValueError("the number is out of range")


MAX_DEPTH = 64
MAX_ALIASES = 20
MAX_ALIASED_NODES = 10_000
# Per document: beyond this number, further findings only repeat the same mistake.
MAX_FINDINGS = 50

Path: TypeAlias = tuple[str | int, ...]

_DROPPED = "\0dropped"


class TooDeep(Exception):
    """The nesting exceeds the limit. Reading on would cost time and gain nothing."""

    def __init__(self, diagnostic: Diagnostic) -> None:
        super().__init__(diagnostic.summary)
        self.diagnostic = diagnostic


@dataclass(slots=True)
class StreamDocument:
    """One document of a stream. When recorded, `places` maps a path to the starts of its key and its value.

    `unreadable` says why somebody else's document could not be read. It is reported only if the file held a document of
    ours before.
    """

    value: Any
    diagnostics: list[Diagnostic]
    places: dict[Path, tuple[Position, Position]]
    complete: bool = True
    unreadable: Diagnostic | None = None


class Builder:
    """Builds documents from the events of one stream, which begins at line `first_line` of the file."""

    _node: Any
    _key: str | None

    def __init__(self, file: str, *, first_line: int = 1, recording: bool = False) -> None:
        self.documents: list[StreamDocument] = []
        self._file = file
        self._first_line = first_line
        self._recording = recording
        self._begin(None)

    @property
    def pending(self) -> list[Diagnostic]:
        """The diagnostics of the document in which the stream broke off."""
        return self._diagnostics

    def run(self, next_event: Callable[[], Any]) -> None:
        """Consume all events; raise TooDeep, and whatever the source of the events raises."""
        handlers = self._HANDLERS
        while (event := next_event()) is not None:
            handlers[type(event)](self, event)

    def _begin(self, _event: Any) -> None:
        # The document's value is the only item of this list. `_key` is None if a mapping's key comes next.
        self._root: list[Any] = []
        self._node = self._root
        self._key = None
        self._key_at: Any = None
        self._path: Path = ()
        self._stack: list[tuple[Any, str | None, Path, str | None]] = []
        self._anchors: dict[str, Any] = {}
        self._aliases = 0
        self._aliased_nodes = 0
        self._diagnostics: list[Diagnostic] = []
        self._positions: dict[Path, tuple[Position, Position]] = {}

    def _finish(self, _event: Any) -> None:
        value = self._root[0] if self._root else None
        self.documents.append(StreamDocument(value, self._diagnostics, self._positions))
        self._diagnostics = []

    def _scalar(self, event: Any) -> None:
        value: Any = event.value
        if event.ctag is not None:
            self._refuse_tag(event)
        elif not event.style:
            if value in WORDS:
                value = WORDS[value]
            elif value[0] in NUMERIC:
                value = self._number(value, event)
        if event.anchor is not None:
            self._anchors[event.anchor] = value
        node = self._node
        if type(node) is list:
            node.append(value)
        elif self._key is None:
            self._take_key(value, event)
            return
        elif self._key is not _DROPPED:
            node[self._key] = value
        if self._recording:
            self._record(event)
        self._key = None

    def _take_key(self, key: Any, event: Any) -> None:
        self._key = key
        if self._recording:
            self._key_at = event.start_mark
        if type(key) is not str:
            self._refuse("yaml-key", f"the key {event.value[:80]!r} is not text", event, "quote it")
            self._key = _DROPPED
        elif key in self._node:
            self._refuse("duplicate-key", f"the key {key[:80]!r} is given twice", event, "keep one of the two")
            self._key = _DROPPED
        elif key == "<<" and not event.style:
            hint = "YAML 1.2 has no merge keys: write the values out, or put them into a Context"
            self._refuse("yaml-merge-key", "merge keys (<<) are not supported", event, hint)
            self._key = _DROPPED

    def _open_mapping(self, event: Any) -> None:
        self._open({}, event)

    def _open_sequence(self, event: Any) -> None:
        self._open([], event)

    def _open(self, container: Any, event: Any) -> None:
        if len(self._stack) >= MAX_DEPTH:
            summary = f"nested deeper than {MAX_DEPTH} levels"
            raise TooDeep(error("yaml-depth", summary, self._at(event.start_mark)))
        if event.ctag is not None:
            self._refuse_tag(event)
        node, afterwards, path = self._node, None, self._path
        if type(node) is list:
            node.append(container)
        elif self._key is None:
            self._refuse("yaml-key", "a key must be text, not a list or a mapping", event)
            afterwards = _DROPPED
        elif self._key is not _DROPPED:
            node[self._key] = container
        if self._recording:
            path = self._record(event)
        self._stack.append((node, afterwards, self._path, event.anchor))
        self._node, self._key, self._path = container, None, path

    def _close(self, _event: Any) -> None:
        closed = self._node
        self._node, self._key, self._path, anchor = self._stack.pop()
        if anchor is not None:
            self._anchors[anchor] = closed

    def _alias(self, event: Any) -> None:
        value = self._resolve(event)
        if type(self._node) is list:
            self._node.append(value)
        elif self._key is None:
            self._refuse("yaml-key", "a key must be text, not an alias", event)
            self._key = _DROPPED
            return
        elif self._key is not _DROPPED:
            self._node[self._key] = value
        if self._recording:
            self._record(event)
        self._key = None

    def _resolve(self, event: Any) -> Any:
        """Return the value that the alias refers to; None, with a diagnostic, if the alias is not allowed."""
        self._aliases += 1
        if event.anchor not in self._anchors:
            self._refuse("yaml-alias", f"the alias {event.anchor[:80]!r} has no anchor before it", event)
            return None
        value = self._anchors[event.anchor]
        self._aliased_nodes += _size(value, MAX_ALIASED_NODES)
        if self._aliases <= MAX_ALIASES and self._aliased_nodes <= MAX_ALIASED_NODES:
            return value
        if not any(diagnostic.code == "yaml-alias-limit" for diagnostic in self._diagnostics):
            summary = f"more than {MAX_ALIASES} aliases, or aliases that expand to more than {MAX_ALIASED_NODES} values"
            self._refuse("yaml-alias-limit", summary, event, "move the shared values into a Context")
        return None

    def _number(self, text: str, event: Any) -> Any:
        try:
            return read_number(text)
        except ValueError as wrong:
            self._refuse("yaml-number", str(wrong), event, "quote it if it is meant as text")
            return 0

    def _record(self, event: Any) -> Path:
        """Record where key and value start, and return the value's path."""
        start = self._at(event.start_mark)
        if not self._stack:
            self._positions[()] = (start, start)
            return ()
        if type(self._node) is list:
            path: Path = (*self._path, len(self._node) - 1)
            self._positions[path] = (start, start)
            return path
        path = (*self._path, _DROPPED if self._key is None else self._key)
        if self._key is not None and self._key is not _DROPPED:
            self._positions[path] = (self._at(self._key_at), start)
        return path

    def _refuse_tag(self, event: Any) -> None:
        self._refuse("yaml-tag", f"the tag {str(event.tag)[:80]!r} is not supported", event, "leave tags out")

    def _refuse(self, code: str, summary: str, event: Any, hint: str | None = None) -> None:
        if len(self._diagnostics) < MAX_FINDINGS:
            self._diagnostics.append(error(code, summary, self._at(event.start_mark), hint))

    def _at(self, mark: Any) -> Position:
        return Position(self._file, self._first_line + mark.line, mark.column + 1)

    # The start and the end of a stream need no handling.
    _HANDLERS: ClassVar[dict[type, Callable[[Builder, Any], None]]] = {
        ScalarEvent: _scalar,
        MappingStartEvent: _open_mapping,
        SequenceStartEvent: _open_sequence,
        MappingEndEvent: _close,
        SequenceEndEvent: _close,
        AliasEvent: _alias,
        DocumentStartEvent: _begin,
        DocumentEndEvent: _finish,
        StreamStartEvent: lambda _builder, _event: None,
        StreamEndEvent: lambda _builder, _event: None,
    }


def _size(value: Any, limit: int) -> int:
    """Return the number of values in `value`, shared ones counted each time, up to just above `limit`."""
    todo, count = [value], 0
    while todo and count <= limit:
        item = todo.pop()
        count += 1
        if isinstance(item, dict):
            todo.extend(item.values())
        elif isinstance(item, list):
            todo.extend(item)
    return count
