"""Follows a Terraform module's local modules through the repository.

Only the repository's own text is read. A source that is no plain string cannot be followed (OpenTofu computes
some): the stack's `include` names such a directory.
"""

from __future__ import annotations

import posixpath
from dataclasses import dataclass
from functools import lru_cache
from threading import Lock

from reconciler.tools.base import References, SourceReader
from reconciler.tools.terraform.code import CodeFile, FileFacts, code_files, facts


@dataclass(frozen=True, slots=True)
class _Module:
    sources: tuple[tuple[str, str], ...]
    """(source, file that says so)"""
    backend: bool


def follow(reader: SourceReader, path: str, *, tofu: bool) -> References:
    """Find every local module that the module at `path` uses, at any depth, and whether it names a backend.

    The result holds as long as `path` and each of its `paths` hold the same tree, or still nothing.
    """
    root = posixpath.normpath(path) if path else "."
    used: set[str] = set()
    seen = {root}
    waiting = [root]
    problems: list[str] = []
    backend = False
    while waiting:
        directory = waiting.pop()
        module = _module(reader, directory, tofu=tofu)
        if module is None:
            continue
        if directory == root:
            backend = module.backend
        for source, file in module.sources:
            place = posixpath.join(directory, file) if directory != "." else file
            named = _resolve(directory, source)
            if named is None:
                problems.append(f'module source "{source}" in {place} leaves the repository')
                continue
            used.add(named)
            # The tool goes on from where the links end: a module's own sources are relative to that.
            target = reader.real(named)
            if target not in seen:
                seen.add(target)
                waiting.append(target)
                if reader.listing(_for_reader(target)) is None:
                    problems.append(f'module source "{source}" in {place}: the repository has no directory {target}')
    return References(
        paths=frozenset(place for place in used if not _within(place, root)),
        facts={"backend": "own" if backend else "managed"},
        problems=tuple(sorted(problems)),
    )


def _within(place: str, root: str) -> bool:
    return root in {place, "."} or place.startswith(f"{root}/")


def _for_reader(directory: str) -> str:
    return "" if directory == "." else directory


def _resolve(directory: str, source: str) -> str | None:
    if source.startswith("/"):
        return None
    target = posixpath.normpath(posixpath.join(directory, source))
    return None if target == ".." or target.startswith("../") else target


def _module(reader: SourceReader, directory: str, *, tofu: bool) -> _Module | None:
    listing = reader.listing(_for_reader(directory))
    if listing is None:
        return None
    blobs = dict(listing)
    modules: dict[str, tuple[str, str]] = {}
    backend = False
    for file in code_files(blobs, tofu=tofu):
        found = _facts(reader, directory, file, blobs[file.name])
        backend = backend or found.backend
        modules |= {name: (source, file.name) for name, source in found.modules.items()}
    return _Module(tuple(modules.values()), backend)


def _facts(reader: SourceReader, directory: str, file: CodeFile, blob: str) -> FileFacts:
    known = shared().get(blob, is_json=file.is_json)
    if known is None:
        data = reader.read(posixpath.join(_for_reader(directory), file.name))
        known = facts(data or b"", is_json=file.is_json)
        shared().put(blob, known, is_json=file.is_json)
    return known


class FactsByBlob:
    """Remembers what files say by their blob id, the most recently used ones."""

    def __init__(self, size: int = 65536) -> None:
        self._lock = Lock()
        self._known: dict[tuple[str, bool], FileFacts] = {}
        self._size = size

    def get(self, blob: str, *, is_json: bool) -> FileFacts | None:
        """Return what a blob is known to say."""
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
    """Return the cache that this process uses."""
    return FactsByBlob()
