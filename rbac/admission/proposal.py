"""What one commit proposes: some files as they are in force, as they were on the branch, and as they are proposed.

`admit` makes one of a commit's files, and others of what waited or was approved. `authors` says whose each value of it
is, `settling` what comes of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from posixpath import dirname
from typing import NamedTuple, Self

from rbac.admission.entries import Author, Held
from rbac.identity import Person, Stranger
from spaces.catalog import YAML, Catalog
from spaces.composition.changed_file import ChangedFile, Unit
from spaces.composition.reading import FileReading
from spaces.diagnostics import Diagnostic
from spaces.documents.changes import Verb
from spaces.names import KINDS, Kind, ResourceRef, Revision, SpaceName
from spaces.reading.resources import ParsedFile
from spaces.reading.texts import (
    WHOLE,
    DocumentKey,
    DocumentText,
    KnownText,
    align,
    known,
    split,
)


class State(NamedTuple):
    """The tree in force, and what is held.

    `touched` are the documents that may be others; `woken` is what has changed, by the names that entries wait for.
    """

    tree: Catalog
    held: Held
    touched: frozenset[ResourceRef] = frozenset()
    woken: frozenset[str] = frozenset()
    warnings: tuple[Diagnostic, ...] = ()


class Who(NamedTuple):
    """Whose a commit or an approval is."""

    name: str
    person: Person | Stranger
    because: str
    revision: Revision

    @classmethod
    def of(cls, person: Person | Stranger, revision: Revision) -> Self:
        """Name a person; nobody's name is that of somebody who is known."""
        if isinstance(person, Person):
            return cls(str(person.subject), person, person.because, revision)
        return cls(f"unverified ({person.reason})", person, person.message, revision)

    def author(self) -> Author:
        """Return them as the author of a change."""
        return Author(self.name, self.because, self.revision, rightful=True)


@dataclass(slots=True)
class Proposal:
    """Some files, as they are in force and as they are proposed."""

    before: Catalog
    revision: Revision
    """The commit as of which that is in force."""
    held: Held
    files: dict[str, ChangedFile]
    reading: FileReading
    who: Who
    judging: bool
    tried: frozenset[Unit] | None = None
    """The held documents that are tried again; None for a commit, which tries all that it changes."""
    own: bool = False
    """Whether what waited is judged as its own authors'; else all is that of `who`."""
    tips: dict[str, ParsedFile] = field(default_factory=dict)
    _old: dict[str, tuple[DocumentText, ...]] = field(default_factory=dict)

    @classmethod
    def of_commit(
        cls,
        state: State,
        revision: Revision,
        changed: Mapping[str, bytes | None],
        reading: FileReading,
        who: Who,
        *,
        judging: bool,
    ) -> Self:
        """Return what a commit proposes. Files that its documents refer to are looked at too."""
        made = cls(state.tree, revision, state.held, {}, reading, who, judging)
        for path, data in changed.items():
            made._add(path, data)
        made._read()
        made._add_attached()
        made._add_deletions()
        return made

    @classmethod
    def of_entries(
        cls,
        state: State,
        revision: Revision,
        units: frozenset[Unit],
        reading: FileReading,
        who: Who,
        *,
        own: bool = False,
    ) -> Self:
        """Return some held documents, to be tried again."""
        made = cls(state.tree, revision, state.held, {}, reading, who, judging=True, tried=units, own=own)
        paths = dict.fromkeys(unit.path for unit in sorted(units))
        users = state.tree.attaching(path for path in paths if not path.endswith(YAML))
        for path in (*paths, *sorted(users - paths.keys())):
            known = state.held.files.get(path)
            made._add(path, known.tip if known is not None else _force(state.tree, path))
        made._read()
        return made

    # Files

    def _add(self, path: str, tip: bytes | None) -> None:
        known = self.held.files.get(path)
        if known is None:
            self.files[path] = ChangedFile(path, _force(self.before, path), tip)
        else:
            self.files[path] = ChangedFile(path, known.force, tip, lambda texts: self._number(path, texts))

    def _number(self, path: str, texts: tuple[DocumentText, ...]) -> tuple[DocumentText, ...]:
        """Return the documents of a file, some of which are held, with the numbers that they had."""
        entries = self.held.in_file(path)
        return align(texts, known(self._old_file(path)), entries)

    def old_texts(self, path: str) -> Mapping[DocumentKey, bytes]:
        """Return the documents of a file as the branch had them before the commit."""
        return {each.key: each.text for each in self._old_file(path) if each.key is not None}

    def _old_file(self, path: str) -> tuple[DocumentText, ...]:
        if path not in self._old:
            held = self.held.files.get(path)
            force = self.files[path].force_documents
            if held is None:
                self._old[path] = force
            elif not path.endswith(YAML):
                self._old[path] = () if held.tip is None else (DocumentText(WHOLE, held.tip),)
            else:
                before = [each for each in known(force) if each.key not in held.entries]
                before += [KnownText(key, entry.mark, entry.space) for key, entry in held.entries.items()]
                self._old[path] = align(split(held.tip), before, held.entries)
        return self._old[path]

    def _read(self) -> None:
        wanted = {path: file.tip for path, file in self.files.items() if path.endswith(YAML) and path not in self.tips}
        self.tips |= self.reading.parse(
            {p: data for p, data in wanted.items() if data is not None}, self.reading.attach
        )

    def _add_attached(self) -> None:
        """Add the files that documents of these files refer to, where they differ from what is in force."""
        paths: set[str] = set()
        for path in [*self.files]:
            old, new = self.before.files.get(path), self.tips.get(path)
            paths |= old.attached if old is not None else frozenset()
            paths |= new.attached if new is not None else frozenset()
        for path in sorted(paths - self.files.keys()):
            data = self.reading.attach(path)
            tip = data if isinstance(data, bytes) else None
            if tip != _force(self.before, path) or path in self.held.files:
                self._add(path, tip)

    def _add_deletions(self) -> None:
        """Add the files that somebody's held change has taken a document out of which the commit puts elsewhere."""
        if not self.held.files:
            return
        names = set()
        for path, file in self.files.items():
            for key in file.tip_texts if path.endswith(YAML) else ():
                origin = file.origin(key)
                names |= {key[:2], (Kind.STACK.value, origin.name if origin is not None else key.name)}
        for path, held in self.held.files.items():
            gone = (key for key, entry in held.entries.items() if entry.verb is Verb.DELETE or not entry.mark)
            if path not in self.files and any(key[:2] in names for key in gone):
                self._add(path, held.tip)
        self._read()

    def ref_of(self, unit: Unit, tree: Catalog) -> ResourceRef:
        """Return what a document that cannot be read calls itself."""
        written = self.files[unit.path].space(unit.key)
        space = SpaceName(written) if written else tree.space_of(dirname(unit.path))
        kind = Kind(unit.key.kind) if unit.key.kind in KINDS else Kind.STACK
        name = unit.key.name or unit.path
        return ResourceRef(kind, SpaceName(name) if kind is Kind.SPACE else space, name)


def _force(tree: Catalog, path: str) -> bytes | None:
    """Return a file of the tree in force, as far as documents of ours are in it or refer to it."""
    parsed = tree.files.get(path)
    if parsed is not None and parsed.resources and path.endswith(YAML):
        return parsed.resources[0].data
    for file in tree.attached.get(path, ()):
        for resource in tree.files[file].resources:
            if path in resource.attachments:
                return resource.attachments[path]
    return None
