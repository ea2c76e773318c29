"""Reads from one Terraform file what the service needs to know: local modules, and whether a backend is named."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from threading import Lock
from typing import Any

from reconciler.tools.hcl_scan import Block, Text, scan

FILE_LIMIT = 4 * 1024 * 1024
"""Bytes of a file that are looked at; a larger one is left to the tool."""


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What one file says: local module sources by module name, and whether it names a backend or `cloud`."""

    modules: Mapping[str, str] = field(default_factory=dict)
    backend: bool = False


_NOTHING = FileFacts()


def facts(data: bytes, *, is_json: bool) -> FileFacts:
    """Read a file; one that is broken gives what can be read of it, since the tool explains broken code best."""
    if len(data) > FILE_LIMIT or not (b"module" in data or b"backend" in data or b"cloud" in data):
        return _NOTHING
    text = data.decode("utf-8", "replace").removeprefix("\ufeff")
    modules: dict[str, str] = {}
    backend = False
    for found in _in_json(text) if is_json else _in_hcl(text):
        match found:
            case ("module", name, source) if _is_local(source):
                modules[name] = source
            case ("backend", _, _):
                backend = True
            case _:
                pass
    return FileFacts(modules, backend)


def _is_local(source: str) -> bool:
    # An absolute path is no module of the repository either; following it is what finds that out.
    return source.startswith(("./", "../", "/")) or source in {".", ".."}


def _in_hcl(text: str) -> Iterator[tuple[str, str, str]]:
    for found in scan(text):
        match found:
            case Text((("module", name),), "source", source):
                yield "module", name, source
            case Block((("terraform",), ("backend", _) | ("cloud",))):
                yield "backend", "", ""
            case _:
                pass


def _in_json(text: str) -> Iterator[tuple[str, str, str]]:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return
    for part in _objects(document):
        for modules in _objects(part.get("module")):
            for name, bodies in modules.items():
                for body in _objects(bodies):
                    if isinstance(body.get("source"), str):
                        yield "module", name, body["source"]
        for settings in _objects(part.get("terraform")):
            if settings.get("backend") or "cloud" in settings:
                yield "backend", "", ""


def _objects(value: Any) -> Iterator[Mapping[str, Any]]:
    """Give an object, or the objects of a list: JSON syntax allows one for the other everywhere."""
    for item in value if isinstance(value, list) else [value]:
        if isinstance(item, dict):
            yield item


class FactsByBlob:
    """Remembers what files say by their blob id, the most recently used ones."""

    def __init__(self, size: int = 65536) -> None:
        self._lock = Lock()
        self._known: dict[tuple[str, bool], FileFacts] = {}
        self._size = size

    def get(self, blob: str, *, is_json: bool) -> FileFacts | None:
        """Give what a blob is known to say."""
        key = (blob, is_json)
        with self._lock:
            found = self._known.pop(key, None)
            if found is not None:
                self._known[key] = found
        return found

    def put(self, blob: str, found: FileFacts, *, is_json: bool) -> None:
        """Remember what a blob says."""
        with self._lock:
            self._known[(blob, is_json)] = found
            if len(self._known) > self._size:
                del self._known[next(iter(self._known))]


@lru_cache(maxsize=1)
def shared() -> FactsByBlob:
    """Give the cache that this process uses."""
    return FactsByBlob()
