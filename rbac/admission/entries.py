"""What is held of the configuration: documents that stay as they were in their file, value by value with its author.

An entry is made when a step of admission ends, and is all that is remembered about a held document: who changed which
of its values, whether they had the right, and what might end the wait.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

from rbac.access.actions import Action
from rbac.access.subjects import Subject, SubjectKind
from rbac.admission.held import HeldChange
from rbac.identity import Person
from spaces.catalog import YAML
from spaces.composition.changed_file import Unit
from spaces.composition.holds import Because, Hold
from spaces.diagnostics import Diagnostic, Position, Severity
from spaces.documents.changes import Verb
from spaces.names import Kind, ResourceRef, Revision, SpaceName
from spaces.reading.attachments import NOT_THERE, Attach, Unusable
from spaces.reading.texts import UNKNOWN, DocumentKey
from spaces.rules.blame import Declared


@dataclass(frozen=True, slots=True)
class Author:
    """Whose change of a value it is. `rightful` says whether they had the right to it when they made it."""

    name: str
    because: str
    revision: Revision
    rightful: bool

    @property
    def person(self) -> Person | None:
        """The person, for who is known."""
        kind, colon, name = self.name.partition(":")
        if not colon or kind not in {each.value for each in SubjectKind}:
            return None
        return Person(Subject(SubjectKind(kind), name), self.because)


@dataclass(frozen=True, slots=True)
class Entry:
    """A document that stays as it was in its file. `ref` is what it would be, `mark` that of its proposed text."""

    unit: Unit
    ref: ResourceRef
    verb: Verb
    hold: Hold
    values: Mapping[str, Author]
    """Whose the values are that differ from what is in force, by place; by the place "" all that are not named."""
    mark: str
    space: str
    """The space of the proposed document as written; empty where the directory decides."""
    at: Revision | None
    """As of which commit the document is in force; None: not at all."""
    missing: tuple[Action, SpaceName] | None = None
    message: str = ""
    renewed: Revision = Revision("")  # noqa: RUF009
    """When files that the document refers to were last changed: an approval is for exactly what was there."""

    def author_of(self, place: str) -> Author | None:
        """Return whose a value is."""
        return self.values.get(place) or self.values.get("")

    @property
    def author(self) -> Author:
        """Whose it is first of all: somebody without the right, else whoever changed it last."""
        every = sorted(self.values.values(), key=lambda each: (each.rightful, each.revision, each.name))
        wrong = [each for each in every if not each.rightful]
        return wrong[-1] if wrong else every[-1] if every else Author("", "", Revision(""), rightful=False)

    @property
    def latest(self) -> Revision:
        """The commit by which it was held or changed last, as far as that is known."""
        return self.author.revision

    def to_record(self) -> dict[str, Any]:
        """Return all of it, to be stored."""
        authors = sorted({*self.values.values()}, key=lambda each: (each.name, each.revision, each.rightful))
        numbers = {each: number for number, each in enumerate(authors)}
        hold = self.hold
        return {
            "path": self.unit.path,
            "key": list(self.unit.key),
            "ref": list(self.ref),
            "verb": self.verb.value,
            "because": hold.because.value,
            "told": [_diagnostic_record(each) for each in hold.told],
            "linked": [[each.path, list(each.key)] for each in sorted(hold.linked)],
            "wakes": sorted(hold.wakes),
            "authors": [[each.name, each.because, each.revision, each.rightful] for each in authors],
            "values": {place: numbers[author] for place, author in self.values.items()},
            "mark": self.mark,
            "space": self.space,
            "at": self.at,
            "missing": [str(self.missing[0]), self.missing[1]] if self.missing else None,
            "message": self.message,
            "renewed": self.renewed,
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Entry:
        """Read back what `to_record` returned."""
        kind, space, name = record["ref"]
        authors = [Author(who, why, Revision(at), bool(rightful)) for who, why, at, rightful in record["authors"]]
        missing = record["missing"]
        return cls(
            _unit(record["path"], record["key"]),
            ResourceRef(Kind(kind), SpaceName(space), name),
            Verb(record["verb"]),
            Hold(
                Because(record["because"]),
                tuple(_diagnostic(each) for each in record["told"]),
                frozenset(_unit(path, key) for path, key in record["linked"]),
                frozenset(record["wakes"]),
            ),
            {place: authors[number] for place, number in record["values"].items()},
            record["mark"],
            record["space"],
            Revision(record["at"]) if record["at"] is not None else None,
            (Action.parse(missing[0]), SpaceName(missing[1])) if missing else None,
            record["message"],
            Revision(record["renewed"]),
        )


@dataclass(frozen=True, slots=True)
class HeldFile:
    """A file as it is in force and as the branch has it (None if there is none), and what is held of it."""

    force: bytes | None = field(repr=False)
    tip: bytes | None = field(repr=False)
    entries: Mapping[DocumentKey, Entry]


@dataclass(frozen=True, slots=True, eq=False)
class Held:
    """All that is held, by file: together, where what is in force is not what the branch has."""

    files: Mapping[str, HeldFile] = field(default_factory=dict)

    def __iter__(self) -> Iterator[Entry]:
        """Yield every entry."""
        return (entry for file in self.files.values() for entry in file.entries.values())

    def get(self, unit: Unit) -> Entry | None:
        """Return what is held of a document."""
        file = self.files.get(unit.path)
        return file.entries.get(unit.key) if file is not None else None

    def in_file(self, path: str) -> Mapping[DocumentKey, Entry]:
        """Return what is held of a file."""
        file = self.files.get(path)
        return file.entries if file is not None else {}

    def attach(self, attach: Attach, trying: Collection[str] = ()) -> Attach:
        """Return what reads files as they are in force: those that are held, but for some, as they were."""

        def read(path: str) -> bytes | Unusable:
            file = self.files.get(path) if path not in trying else None
            if file is None:
                return attach(path)
            return NOT_THERE if file.force is None else file.force

        return read

    def declared(self, beside: Collection[str]) -> tuple[Declared, list[str]]:
        """Return documents held in other files that are no secret, each with space and place; and unreadable files."""
        found: dict[tuple[Kind, str], list[tuple[SpaceName | None, Position]]] = {}
        unread = []
        for entry in self:
            path, key = entry.unit
            if path in beside or not path.endswith(YAML) or entry.hold.because is Because.NO_RIGHT:
                continue
            if key.kind in ("", UNKNOWN):
                unread.append(path)
            elif entry.verb is Verb.CREATE:
                places = (told.position for told in entry.hold.told if told.position and told.position.file == path)
                at = next(places, Position(path))
                found.setdefault((entry.ref.kind, key.name), []).append((entry.ref.space, at))
        return found, unread

    def together(self, units: Iterable[Unit]) -> frozenset[Unit]:
        """Return some held documents and all that come into force with them or not at all."""
        found: set[Unit] = set()
        left = list(units)
        while left:
            unit = left.pop()
            entry = self.get(unit)
            if unit not in found and entry is not None:
                found.add(unit)
                left += entry.hold.linked if entry.hold.because is Because.NO_RIGHT else ()
        return frozenset(found)

    def id_of(self, entry: Entry) -> str:
        """Return what names a held change: any change of what would come into force with it makes another name."""
        words = [entry.unit.path, *map(str, entry.unit.key)]
        for unit in sorted(self.together([entry.unit])):
            other = self.get(unit) or entry
            words += [unit.path, *map(str, unit.key), other.mark, other.latest, other.renewed]
        return hashlib.sha256("\n".join(words).encode(errors="surrogateescape")).hexdigest()[:12]

    def change(self, entry: Entry) -> HeldChange:
        """Return a held document as it is listed."""
        author, unreadable = entry.author, entry.unit.key.kind == UNKNOWN
        message = entry.message.replace(str(entry.ref), entry.unit.path) if unreadable else entry.message
        return HeldChange(
            self.id_of(entry),
            entry.ref,
            entry.verb,
            author.name,
            entry.missing,
            author.revision,
            message,
            entry.hold.because,
            entry.unit.path,
            at=entry.at,
            unreadable=unreadable,
        )

    def changes(self) -> list[HeldChange]:
        """Return every held document, by kind, space and name; a move is one, and so is a file that cannot be read."""
        found = [self.change(entry) for entry in self if not (self._hides(entry) or self._moves(entry))]
        return sorted(found, key=lambda each: (each.ref, each.id))

    def _hides(self, entry: Entry) -> bool:
        """Whether an entry is text of which nobody can tell what it is, in a file that others speak for."""
        if entry.unit.key.kind != UNKNOWN:
            return False
        first = min(self.in_file(entry.unit.path), key=lambda key: (key.kind == UNKNOWN, key))
        return entry.unit.key != first

    def _moves(self, entry: Entry) -> bool:
        """Whether an entry is the old place of a stack that would move."""
        others = (self.get(unit) for unit in entry.hold.linked) if entry.verb is Verb.DELETE else ()
        return any(each is not None and each.verb is Verb.MOVE for each in others)

    def to_records(self, paths: Iterable[str] | None = None) -> dict[str, tuple[bytes | None, list[dict[str, Any]]]]:
        """Return all of it, or some files, to be stored: each file as it is in force, and what is held of it."""
        wanted = self.files if paths is None else paths
        return {
            path: (self.files[path].force, [entry.to_record() for entry in self.files[path].entries.values()])
            for path in wanted
        }

    @classmethod
    def from_records(
        cls,
        records: Mapping[str, tuple[bytes | None, Iterable[Mapping[str, Any]]]],
        tip: Callable[[str], bytes | None],
    ) -> Self:
        """Read back what `to_records` returned; `tip` reads the branch's files."""
        files = {}
        for path, (force, entries) in records.items():
            found = [Entry.from_record(each) for each in entries]
            files[path] = HeldFile(force, tip(path), {each.unit.key: each for each in found})
        return cls(files)

    def renew(self, names: Collection[str], revision: Revision, person: str) -> Held:
        """Note that files which some held documents refer to were changed, and by whom."""
        if not names:
            return self
        files = dict(self.files)
        for entry in [each for each in self if self.id_of(each) in names]:
            file = files[entry.unit.path]
            files[entry.unit.path] = replace(
                file, entries={**file.entries, entry.unit.key: _renewed(entry, revision, person)}
            )
        return Held(files)


def _renewed(entry: Entry, revision: Revision, person: str) -> Entry:
    since = f"; its files were changed by {person} since"
    message = entry.message if since in entry.message else entry.message + since
    return replace(entry, renewed=revision, message=message)


def _unit(path: str, key: Iterable[Any]) -> Unit:
    return Unit(path, DocumentKey(*key))


def _diagnostic_record(told: Diagnostic) -> list[Any]:
    at = told.position
    return [told.severity.value, told.code, told.summary, told.hint, [at.file, at.line, at.column] if at else None]


def _diagnostic(record: list[Any]) -> Diagnostic:
    severity, code, summary, hint, at = record
    return Diagnostic(Severity(severity), code, summary, hint, Position(*at) if at else None)
