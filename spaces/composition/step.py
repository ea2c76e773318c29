"""What of some changed files can come into force: as many of their documents as work together.

Admission asks, with the files of a commit, and again with those that waited; `validate` asks with all files at once.
`Step.run` begins with everything and only ever holds more: each round tries the files as they would be, and whatever is
without the right or breaks a rule stays as it was. It ends when a round finds nothing; at the latest when all is held.
Who has which right is not known here: `objections` says which changes may not be made.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from spaces.catalog import YAML, Catalog, is_space_file
from spaces.composition import faults, whereabouts
from spaces.composition.changed_file import ChangedFile, Unit
from spaces.composition.holds import Because, Hold, Objection, name_of
from spaces.composition.reading import FileReading
from spaces.composition.trial import Trial
from spaces.documents.changes import Verb
from spaces.documents.documents import Placed
from spaces.documents.references import moved_from
from spaces.names import Kind
from spaces.reading.attachments import NOT_THERE, Unusable
from spaces.reading.resources import ParsedFile
from spaces.reading.texts import DocumentKey
from spaces.rules.blame import Declared

Objections: TypeAlias = Callable[["Step", Trial], list[Objection]]
"""Returns the changes of a trial that may not be made."""


@dataclass(slots=True)
class Step:
    """The search. `held` starts with what is held before anything is tried, and ends as all that is.

    A service makes one in `rbac.admission.settling`, with the rights of people as `objections`.
    """

    before: Catalog
    files: Mapping[str, ChangedFile]
    tips: Mapping[str, ParsedFile]
    """What the proposed files hold, each read for itself."""
    reading: FileReading
    objections: Objections
    owner: Callable[[Unit], str]
    """Names whose a change is."""
    standing: Mapping[Unit, Hold] = field(default_factory=dict)
    """What was held before the step."""
    held: dict[Unit, Hold] = field(default_factory=dict)
    released: dict[Unit, Unit] = field(default_factory=dict)
    """Documents that only a held change had taken out of the newest files, each with the one that takes its place."""
    declared: Declared = field(default_factory=dict)
    """Documents that are held in other files, and no secret."""
    unread: Collection[str] = ()
    """Other files that cannot be read."""
    carried: Mapping[Unit, Unit] = field(default_factory=dict)
    """Held documents that lie elsewhere now, each with where it lay: what is in force of it goes along."""
    denials: Objections = lambda _step, _trial: []
    """Returns what policies deny of the changes that nothing else is against."""
    hiding: frozenset[Unit] = frozenset()
    """Proposed documents that may be any document."""
    _parsed: dict[tuple[str, bytes, bool], ParsedFile] = field(default_factory=dict)
    _held_by_path: dict[str, set[Unit]] = field(default_factory=dict)

    def run(self) -> Trial:
        """Find what can come into force; return the last trial."""
        for unit in self.held:
            self._held_by_path.setdefault(unit.path, set()).add(unit)
        settled = self._files_are_settled()
        for path, parsed in self.tips.items():
            if (tip := self.files[path].tip) is not None:
                self._parsed[path, tip, settled] = parsed
        self.hiding = faults.broken(self)
        while True:
            trial = Trial.of(self.before, self._files())
            # Each of these holds something and returns True, or finds nothing. The first that holds ends the round,
            # because what the later ones would find may depend on it.
            if not (
                faults.lost(self, trial)
                or self._objected(trial)
                or self._clashing(trial)
                or self._moved_away(trial)
                or whereabouts.abandoned(self, trial)
                or whereabouts.astray(self, trial)
                or whereabouts.leaving(self, trial)
                or faults.invalid(self, trial)
                or self._hold(self.denials(self, trial))
            ):
                faults.tell_flawed(self, trial)
                return trial

    # Files

    def held_in(self, path: str) -> Collection[Unit]:
        """Return what is held of a file."""
        return self._held_by_path.get(path, ())

    def content(self, path: str) -> bytes | None:
        """Return a changed file as it would be in force."""
        file = self.files[path]
        instead = self.instead(path)
        return file.composed(instead) if instead else file.tip

    def instead(self, path: str) -> dict[DocumentKey, bytes | None]:
        """Return the documents of a file that stay as they were, each as it would be in force."""
        texts = {unit.key: self.was(unit) for unit in self.held_in(path)}
        texts |= {unit.key: None for unit in self.released if unit.path == path}
        return texts

    def was(self, unit: Unit) -> bytes | None:
        """Return a document as it is in force, also if it lay elsewhere before."""
        origin, here = self.carried.get(unit), self.files[unit.path].force_texts
        if origin is None or unit.key in here:
            return here.get(unit.key)
        return None if origin in self.held else self.files[origin.path].force_texts.get(origin.key)

    def _files(self) -> dict[str, ParsedFile | None]:
        found: dict[str, ParsedFile | None] = {}
        wanted: dict[str, bytes] = {}
        settled = self._files_are_settled()
        for path in self.files:
            data = self.content(path) if path.endswith(YAML) else None
            if data is not None and (path, data, settled) not in self._parsed:
                wanted[path] = data
            if path.endswith(YAML):
                found[path] = None if data is None else self._parsed.get((path, data, settled))
        for path, parsed in self.reading.parse(wanted, self._attach).items():
            found[path] = self._parsed[path, wanted[path], settled] = parsed
        return found

    def _files_are_settled(self) -> bool:
        """Whether no file that documents refer to is held: then what was read with the proposed ones is right."""
        return all(path.endswith(YAML) for path in self._held_by_path)

    def _attach(self, path: str) -> bytes | Unusable:
        if path not in self.files or not self.held_in(path):
            return self.reading.attach(path)
        data = self.content(path)
        return NOT_THERE if data is None else data

    # Documents

    def open_units(self, path: str) -> frozenset[Unit]:
        """Return the documents of a file that would be others and are not held."""
        file = self.files.get(path)
        if file is None:
            return frozenset()
        return frozenset(Unit(path, key) for key in file.differing) - self.held.keys()

    def is_open(self, unit: Unit) -> bool:
        """Whether a document would be another one and is not held."""
        file = self.files.get(unit.path)
        return file is not None and unit.key in file.differing and unit not in self.held

    def everything(self) -> frozenset[Unit]:
        """Return all that would be otherwise."""
        return frozenset(unit for path in self.files for unit in self.open_units(path))

    def unit_of(self, placed: Placed, *, before: bool) -> Unit | None:
        """Return which text of a changed file a written document is."""
        resource = placed.resource
        file = self.files.get(resource.file)
        if file is None or resource.made is not None:
            return None
        return Unit(resource.file, file.key_of(resource, None if before else self.instead(resource.file)))

    # Holding

    def hold(self, units: Iterable[Unit], hold: Hold) -> bool:
        """Hold some documents, together; return whether any was not held yet."""
        new = frozenset(units).difference(self.held)
        linked = frozenset({*new, *hold.linked})
        for unit in new:
            self._held_by_path.setdefault(unit.path, set()).add(unit)
            self.held[unit] = replace(hold, linked=linked - {unit}, wakes=hold.wakes | {unit.path})
            self.released = {old: by for old, by in self.released.items() if by != unit}
        return bool(new)

    # Rights and rules

    def _objected(self, trial: Trial) -> bool:
        found = self.objections(self, trial)
        # First where things lie: what somebody means for a space that is held is not judged as if it lay elsewhere.
        spaces = [
            each
            for each in found
            if any(is_space_file(unit.path) for unit in each.units) or each.change.ref.kind is Kind.SPACE
        ]
        return self._hold(spaces or found)

    def _hold(self, objections: Iterable[Objection]) -> bool:
        again = False
        for each in objections:
            again |= self.hold(each.units, Hold(each.because, wakes=each.wakes, objection=each))
        return again

    def _clashing(self, trial: Trial) -> bool:
        again = False
        for clash in trial.clashes:
            mine, theirs = self._open_placed(clash.placed), self._open_placed(clash.other)
            if self._let_go(clash.placed, theirs) or self._let_go(clash.other, mine):
                again = True
                continue
            new = {unit for unit in (*mine, *theirs) if not self.files[unit.path].was_there(unit.key)}
            units = new or {*mine, *theirs} or set(self.everything())
            wakes = frozenset({clash.placed.resource.file, clash.other.resource.file, name_of(clash.placed.ref)})
            for unit in units:
                told = clash.told[0] if unit in mine else clash.told[1]
                again |= self.hold([unit], Hold(Because.BROKEN, (told,), wakes=wakes))
        return again

    def _moved_away(self, trial: Trial) -> bool:
        """Let go of the old place of a stack that moves, where only somebody's held change has taken that out."""
        again = False
        for change in trial.changes:
            origin = moved_from(change.after.resource) if change.verb is Verb.CREATE and change.after else None
            left = trial.after.documents.written(origin) if origin is not None else None
            if left is not None and change.after is not None:
                again |= self._let_go(left, self._open_placed(change.after))
        return again

    def _let_go(self, placed: Placed, successors: Collection[Unit]) -> bool:
        """Let go of a document that only somebody's held change has taken out of the files, for one that follows it."""
        unit = self.unit_of(placed, before=False)
        if not successors or unit is None or unit not in self.held or unit in self.released:
            return False
        if self.files[unit.path].text(unit.key) is not None or unit not in self.standing:
            return False
        self.released[unit] = next(iter(successors))
        return True

    def _open_placed(self, placed: Placed) -> frozenset[Unit]:
        unit = self.unit_of(placed, before=False)
        return frozenset({unit}) if unit is not None and self.is_open(unit) else frozenset()
