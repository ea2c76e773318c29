"""Finds what Terragrunt's files use elsewhere in the repository, from their text alone.

Terragrunt's configuration is a program: it can run commands and ask clouds. The service must not evaluate it, so every
text that could name a file of the repository counts as a reference. One too many costs a run that finds nothing.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from reconciler.tools.base import References, SourceReader
from reconciler.tools.terraform.code import FILE_LIMIT, code_files
from reconciler.tools.terraform.modules import follow as follow_modules
from reconciler.tools.terragrunt.command import UNIT

_DEEPEST = 32
_STRING = re.compile(r'"((?:[^"\\\n$]|\\.|\$\{[^}\n]*\}|\$(?!\{))*)"')
_PARENT = re.compile(r'find_in_parent_folders\(\s*(?:"([^"\n]*)")?')
_COMMENT = re.compile(r"^\s*(?:#|//).*$", re.MULTILINE)
_BACKEND = re.compile(r'^\s*remote_state\s*\{|backend\s+\\?"\w+\\?"', re.MULTILINE)
_HERE = re.compile(r"^\$\{\s*get_(?:original_)?terragrunt_dir\(\)\s*\}/?")
_TOP = re.compile(r"^\$\{\s*get_repo_root\(\)\s*\}/?")


def follow(reader: SourceReader, path: str) -> References:
    """Find every file and directory that the units at and below `path` name, at any depth.

    Facts: `backend` is `managed` where the unit at `path` names no backend, and `unkept` lists the units below it that
    name none: the service keeps the tfstates of those.
    """
    root = posixpath.normpath(path) if path else "."
    found = _Search(reader, root)
    own = found.unit(root)
    units = [unit for unit in found.units_below(root) if unit != root]
    unkept = [posixpath.relpath(unit, root) for unit in units if not found.unit(unit)]
    return References(
        paths=frozenset(place for place in found.used if not _within(place, root)),
        facts={"backend": "own" if own else "managed", "unkept": sorted(unkept)},
    )


@dataclass(slots=True)
class _Search:
    reader: SourceReader
    root: str
    used: set[str] = field(default_factory=set)
    backends: dict[str, bool] = field(default_factory=dict)

    def units_below(self, directory: str, depth: int = 0) -> Iterator[str]:
        """Yield the directories with a unit in them."""
        listing = self.reader.listing(_for_reader(directory))
        if listing is None or depth > _DEEPEST:
            return
        if any(name == UNIT for name, _ in listing):
            yield directory
        for name in self.reader.directories(_for_reader(directory)):
            # Terragrunt keeps in hidden directories what it made itself, and looks into none.
            if not name.startswith("."):
                yield from self.units_below(_join(directory, name), depth + 1)

    def unit(self, directory: str) -> bool:
        """Follow a unit's files, and return whether they or its code name a backend."""
        if directory in self.backends:
            return self.backends[directory]
        self.backends[directory] = False
        waiting, seen, backend = self._configuration(directory), set[str](), False
        while waiting:
            file = waiting.pop()
            if file in seen:
                continue
            seen.add(file)
            text = self._read(file)
            backend = backend or _BACKEND.search(text) is not None
            for named in self._named(text, directory, posixpath.dirname(file) or "."):
                if named.endswith((".hcl", ".hcl.json")):
                    waiting.append(named)
                else:
                    backend = self._directory(named) or backend
        self.backends[directory] = self._code(directory) or backend
        return self.backends[directory]

    def _configuration(self, directory: str) -> list[str]:
        listing = self.reader.listing(_for_reader(directory)) or ()
        return [_join(directory, name) for name, _ in listing if name.endswith((".hcl", ".hcl.json"))]

    def _read(self, file: str) -> str:
        data = self.reader.read(file) or b""
        return _COMMENT.sub("", data[:FILE_LIMIT].decode("utf-8", "replace"))

    def _named(self, text: str, unit: str, beside: str) -> Iterator[str]:
        """Yield the places in the repository that a text names, and note each as used."""
        for name in (found or "root.hcl" for found in _PARENT.findall(text)):
            yield from self._above(unit, name)
        for written in _STRING.findall(text):
            for place in _places(written, unit, beside):
                self.used.add(place)
                yield place

    def _above(self, unit: str, name: str) -> Iterator[str]:
        """Yield the nearest file of a name above a unit. Those that would be nearer count as missing."""
        above = unit
        while above != ".":
            above = posixpath.dirname(above) or "."
            place = _join(above, name)
            self.used.add(place)
            if self.reader.read(place) is not None or self.reader.listing(place) is not None:
                yield place
                return

    def _directory(self, place: str) -> bool:
        """Follow a directory that is named, and return whether it is a module that names a backend."""
        names = [name for name, _ in self.reader.listing(_for_reader(place)) or ()]
        if UNIT in names:
            self.unit(place)
            return False
        return self._code(place)

    def _code(self, directory: str) -> bool:
        names = [name for name, _ in self.reader.listing(_for_reader(directory)) or ()]
        if not code_files(names, tofu=True):
            return False
        found = follow_modules(self.reader, directory, tofu=True)
        self.used |= found.paths
        return bool(found.facts["backend"] == "own")


def _places(written: str, unit: str, beside: str) -> Iterator[str]:
    """Yield the places that a text may name: relative to the unit, and to the file that says so."""
    if _TOP.match(written):
        starts, rest = ["."], _TOP.sub("", written)
    elif _HERE.match(written):
        starts, rest = [unit], _HERE.sub("", written)
    elif written.startswith(("./", "../")) or written in {".", ".."}:
        starts, rest = [unit, beside], written
    else:
        return
    # A source may be a directory, "//" and a directory below it, of which the first is copied whole.
    whole, _, below = rest.partition("//")
    for relative in dict.fromkeys((whole, f"{whole}/{below}")):
        if "${" in relative:
            continue
        for start in dict.fromkeys(starts):
            place = posixpath.normpath(posixpath.join(start, relative))
            if place != ".." and not place.startswith(("../", "/")):
                yield place


def _join(directory: str, name: str) -> str:
    return name if directory == "." else f"{directory}/{name}"


def _for_reader(directory: str) -> str:
    return "" if directory == "." else directory


def _within(place: str, root: str) -> bool:
    return root in {place, "."} or place.startswith(f"{root}/")
