"""Whose the values of proposed documents are, also when others change the document around them or carry it elsewhere.

`Step` asks whose a change is, `settling` notes it in the entries. A value that a commit leaves as it was keeps its
author; who writes it anew makes it their own; who takes it out again ends the matter.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from posixpath import dirname
from typing import Any

from rbac.admission.entries import Author, Entry
from rbac.admission.proposal import Proposal
from rbac.identity import Person, Stranger
from spaces.catalog import YAML
from spaces.composition.changed_file import Unit
from spaces.composition.holds import Because, Hold
from spaces.names import KINDS, Kind
from spaces.reading.resources import Resource
from spaces.reading.texts import (
    UNKNOWN,
    mark,
    read_value,
    split,
)
from spaces.reading.values import REMOVED, differences, line_differences


@dataclass(slots=True)
class Authors:
    """The authors of one proposal."""

    proposal: Proposal
    carried: dict[Unit, Unit] = field(default_factory=dict)
    """Held documents that the commit has put elsewhere, each with where it lay."""
    _authors: dict[Unit, Mapping[str, Author]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.proposal.tried is None:
            self._find_carried()

    def of(self, unit: Unit) -> Mapping[str, Author]:
        """Return whose the values of a document are that differ from what is in force, by place."""
        if unit not in self._authors:
            self._authors[unit] = self._work_out(unit)
        return self._authors[unit]

    def _work_out(self, unit: Unit) -> Mapping[str, Author]:
        origin = self.carried.get(unit, unit)
        entry, own = self.proposal.held.get(origin), self.proposal.who.author()
        base = self.base(unit)
        tip = self.proposal.files[unit.path].tip_texts.get(unit.key)
        after = self._differences(unit, base, tip)
        if entry is None:
            return dict.fromkeys(after, own)
        if self.proposal.tried is not None:
            return {where: entry.author_of(where) or entry.author for where in after}
        old = self.proposal.old_texts(origin.path).get(origin.key)
        if entry.hold.because is Because.BROKEN and old is None and tip is None:
            # A file that was broken says nothing about what is missing in it: whoever repairs it does.
            return dict.fromkeys(after, own)
        before = self._differences(unit, base, old)
        again = mark(old) != mark(tip) or origin != unit
        found: dict[str, Author] = {}
        for where, value in after.items():
            author = entry.author_of(where)
            kept = author is not None and before.get(where) in (value, REMOVED)
            # Who goes on with a change of their own makes all of it anew.
            mine = again and author is not None and author.name == self.proposal.who.name
            found[where] = author if author is not None and kept and not mine else own
        return found

    def base(self, unit: Unit) -> bytes | None:
        """Return the document that a held one is compared with: as it is in force there, or wherever it lies."""
        origin = self.carried.get(unit, unit)
        for each in (unit, origin):
            text = self.proposal.files[each.path].force_texts.get(each.key)
            if text is not None:
                return text
        if not unit.path.endswith(YAML) or unit.key.kind not in KINDS:
            return None
        placed = self.proposal.before.documents.written(self.proposal.ref_of(unit, self.proposal.before))
        return _text(placed.resource) if placed is not None else None

    def _differences(self, unit: Unit, base: bytes | None, text: bytes | None) -> dict[str, str]:
        """Return how a document differs from what is in force, by place; never nothing."""
        values = [self._value(unit, each) for each in (base, text)]
        if (base is not None and values[0] is None) or (text is not None and values[1] is None):
            return line_differences(base, text) or {"": ""}
        return differences(*values) or {"": ""}

    def _value(self, unit: Unit, text: bytes | None) -> Any:
        """Return what a document says; None for one that cannot be read.

        What names it says nothing by itself, and where it lies is the same whether it says so or its directory.
        """
        if text is None or not unit.path.endswith(YAML) or unit.key.kind in ("", UNKNOWN):
            return None
        value = read_value(text)
        if not isinstance(value, dict) or not isinstance(value.get("metadata"), dict):
            return None
        written = dict(value["metadata"])
        if unit.key.kind == Kind.SPACE or written.get("space") == self.proposal.before.space_of(dirname(unit.path)):
            written.pop("space", None)
        written.pop("name", None)
        rest = {key: each for key, each in value.items() if key not in ("apiVersion", "kind", "metadata")}
        return rest | ({"metadata": written} if written else {})

    def persons(self, unit: Unit) -> Iterator[tuple[str, Person | Stranger]]:
        """Yield everybody who has a part in a document, by name."""
        if self.proposal.tried is not None and not self.proposal.own:
            yield self.proposal.who.name, self.proposal.who.person
            return
        for author in {*self.of(unit).values()}:
            if author.name == self.proposal.who.name and self.proposal.tried is None:
                yield author.name, self.proposal.who.person
            else:
                yield (
                    author.name,
                    author.person or Stranger("Unknown", f"nobody knows whose it is: {author.because}", ""),
                )

    def owner(self, unit: Unit) -> str:
        """Return whose a held document is, first of all."""
        entry = self.proposal.held.get(unit)
        if entry is not None and (self.proposal.tried is not None or unit.path not in self.proposal.files):
            return entry.author.name
        if entry is not None and unit in self._authors:
            wrong = [each.name for each in self._authors[unit].values() if not each.rightful]
            return wrong[0] if wrong else self.proposal.who.name
        return self.proposal.who.name

    def kept_out(self) -> dict[Unit, Hold]:
        """Return what is held before anything is tried: what has somebody else's values without the right in it."""
        found: dict[Unit, Hold] = {}
        for path, file in self.proposal.files.items():
            entries = self.proposal.held.in_file(path)
            if self.proposal.tried is not None:
                found |= {entry.unit: entry.hold for entry in entries.values() if entry.unit not in self.proposal.tried}
                continue
            units = {Unit(path, key) for key in entries if key in file.differing}
            units |= {unit for unit in self.carried if unit.path == path}
            for unit in units if self.proposal.judging else ():
                entry = self.proposal.held.get(self.carried.get(unit, unit))
                if entry is not None and any(not each.rightful for each in self.of(unit).values()):
                    found[unit] = Hold(Because.NO_RIGHT, linked=entry.hold.linked, wakes=entry.hold.wakes)
        return found

    def _find_carried(self) -> None:
        """Find held documents that the commit takes out here and puts back elsewhere."""
        gone = [
            entry
            for path, file in self.proposal.files.items()
            for key, entry in self.proposal.held.in_file(path).items()
            if key not in file.tip_texts and key in self.proposal.old_texts(path) and key.kind not in ("", UNKNOWN)
            if any(not author.rightful for author in entry.values.values())
        ]
        if not gone:
            return
        new = [
            Unit(path, key)
            for path, file in self.proposal.files.items()
            if path.endswith(YAML)
            for key in file.tip_texts
            if key not in self.proposal.old_texts(path) and key in file.differing and key.kind not in ("", UNKNOWN)
        ]
        for entry in gone:
            unit = next((each for each in new if each not in self.carried and self._carries(entry, each)), None)
            if unit is not None:
                self.carried[unit] = entry.unit

    def _carries(self, entry: Entry, unit: Unit) -> bool:
        if unit.key.kind != entry.unit.key.kind:
            return False
        old = self.proposal.old_texts(entry.unit.path)[entry.unit.key]
        text = self.proposal.files[unit.path].tip_texts[unit.key]
        if mark(old) == mark(text):
            return True
        base = self.base(entry.unit)
        before, after = self._differences(unit, base, old), self._differences(unit, base, text)
        theirs = [where for where in before if not self._rightful(entry, where)]
        kept = [where for where in theirs if after.get(where) == before[where]]
        named = unit.key.name == entry.unit.key.name or self.proposal.files[unit.path].origin(unit.key) == entry.ref
        return bool(kept) and (named or len(kept) == len(theirs))

    @staticmethod
    def _rightful(entry: Entry, place: str) -> bool:
        author = entry.author_of(place)
        return author is None or author.rightful


def _text(resource: Resource) -> bytes | None:
    """Return the text of a document in its file."""
    texts = split(resource.data)
    return texts[resource.index].text if resource.index < len(texts) else None
