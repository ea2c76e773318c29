"""Follows the kustomizations of a source through the repository: directories and files beside the source's own.

Only the repository's own text is read; an address of another repository is kustomize's business. Called in the service.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping
from typing import Any

from reconciler.tools.base import References, SourceReader
from reconciler.tools.kubernetes.manifests import KUSTOMIZATIONS
from spaces.reading.documents import read_text

_LISTS = (
    "resources",
    "bases",
    "components",
    "crds",
    "configurations",
    "generators",
    "transformers",
    "validators",
    "patchesStrategicMerge",
)
_WITH_PATH = ("patches", "patchesJson6902", "replacements")
_GENERATORS = ("configMapGenerator", "secretGenerator")


def follow(reader: SourceReader, path: str) -> References:
    """Find every directory and file that the kustomization at `path` uses outside of it, at any depth."""
    root = posixpath.normpath(path) if path else "."
    used: set[str] = set()
    seen, waiting = {root}, [root]
    problems: list[str] = []
    while waiting:
        directory = waiting.pop()
        for name in _named(reader, directory):
            target = posixpath.normpath(posixpath.join(directory, name))
            if target == ".." or target.startswith("../"):
                problems.append(f'"{name}" in the kustomization of {directory} leaves the repository')
                continue
            if not _within(target, root):
                used.add(target)
            if target not in seen and reader.listing(_for_reader(target)) is not None:
                seen.add(target)
                waiting.append(target)
    return References(frozenset(used), problems=tuple(sorted(problems)))


def _named(reader: SourceReader, directory: str) -> Iterator[str]:
    """Yield the places that a directory's kustomization names; nothing where there is none, or a broken one."""
    for name in KUSTOMIZATIONS:
        data = reader.read(posixpath.join(_for_reader(directory), name))
        if data is None:
            continue
        for document in read_text(data.decode("utf-8", "replace")) or ():
            if isinstance(document, dict):
                yield from filter(_is_local, _places(document))


def _places(document: Mapping[str, Any]) -> Iterator[str]:
    for key in _LISTS:
        yield from (each for each in _list(document.get(key)) if isinstance(each, str) and "\n" not in each)
    for key in _WITH_PATH:
        yield from _paths(document.get(key))
    for key in _GENERATORS:
        for generator in _list(document.get(key)):
            if not isinstance(generator, dict):
                continue
            for files in ("files", "envs"):
                yield from (str(each).partition("=")[2] or str(each) for each in _list(generator.get(files)))
            if isinstance(generator.get("env"), str):
                yield generator["env"]
    yield from _paths([document.get("openapi")])


def _paths(entries: Any) -> Iterator[str]:
    for entry in _list(entries):
        if isinstance(entry, dict) and isinstance(entry.get("path"), str):
            yield entry["path"]


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _is_local(name: str) -> bool:
    return "://" not in name and not name.startswith(("/", "git@", "github.com/"))


def _within(place: str, root: str) -> bool:
    return root in {place, "."} or place.startswith(f"{root}/")


def _for_reader(directory: str) -> str:
    return "" if directory == "." else directory
