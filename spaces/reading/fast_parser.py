"""The fast path from YAML events to values, for streams without unusual features; `Builder` reads all others.

`documents` tries it first. It returns exactly the values that `Builder` would, or raises `Unusual`; it never reports an
error by itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from ruamel.yaml.events import (
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from spaces.reading.parser import NUMERIC, WORDS, read_number

NextEvent: TypeAlias = Callable[[], Any]


class Unusual(Exception):
    """The stream has something that only `Builder` can read or report."""


def read_plain(next_event: NextEvent, depth: int) -> list[Any]:
    """Return the values of a stream's documents, as `Builder` would; raise whatever the source of the events raises.

    Raise Unusual for anchors, aliases, tags, invalid keys, numbers out of range, and nesting deeper than `depth`.
    """
    documents = []
    while (event := next_event()) is not None:
        if type(event) is DocumentStartEvent:
            documents.append(_value(next_event(), next_event, depth))
    return documents


def _value(event: Any, next_event: NextEvent, depth: int) -> Any:
    sort = type(event)
    if sort is ScalarEvent:
        return _scalar(event)
    if depth == 0 or event.anchor is not None:
        raise Unusual
    if sort is MappingStartEvent and event.ctag is None:
        return _mapping(next_event, depth - 1)
    if sort is SequenceStartEvent and event.ctag is None:
        return _sequence(next_event, depth - 1)
    raise Unusual


def _mapping(next_event: NextEvent, depth: int) -> dict[str, Any]:
    # Nearly all of a file is read in these lines, so plain text is recognized here, without a call for each scalar.
    result: dict[str, Any] = {}
    while type(event := next_event()) is ScalarEvent:
        key = event.value
        if event.style or event.ctag is not None or event.anchor is not None or key in WORDS or key[0] in NUMERIC:
            key = _scalar(event)
        if key in result or type(key) is not str:
            raise Unusual
        event = next_event()
        if type(event) is not ScalarEvent:
            result[key] = _value(event, next_event, depth)
            continue
        value = event.value
        if event.style or event.ctag is not None or event.anchor is not None or value in WORDS or value[0] in NUMERIC:
            value = _scalar(event)
        result[key] = value
    if type(event) is not MappingEndEvent or "<<" in result:
        raise Unusual
    return result


def _sequence(next_event: NextEvent, depth: int) -> list[Any]:
    result = []
    while type(event := next_event()) is not SequenceEndEvent:
        result.append(_value(event, next_event, depth))
    return result


def _scalar(event: Any) -> Any:
    if event.ctag is not None or event.anchor is not None:
        raise Unusual
    text = event.value
    if event.style or (text not in WORDS and text[0] not in NUMERIC):
        return text
    if text in WORDS:
        return WORDS[text]
    try:
        return read_number(text)
    except ValueError:
        raise Unusual from None
