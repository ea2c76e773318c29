"""From a proposal to what is in force, and an entry for each document that is not.

`admit` settles the proposal of a commit, and those of what waited or was approved. What is held at the end of the step
is put into words here; nothing is decided that the step has not decided.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from posixpath import dirname
from typing import NamedTuple

from rbac.access.actions import Action
from rbac.admission.authors import Authors
from rbac.admission.entries import Author, Entry, Held, HeldFile
from rbac.admission.judge import MissingRight
from rbac.admission.objections import Rights, Wrong
from rbac.admission.proposal import Proposal, State
from spaces.catalog import YAML, is_space_file
from spaces.composition.changed_file import ChangedFile, Unit
from spaces.composition.faults import tell_left
from spaces.composition.holds import Because, Hold, Objection, name_of
from spaces.composition.step import Objections, Step
from spaces.composition.trial import Trial
from spaces.diagnostics import Diagnostic
from spaces.documents.changes import DocumentChange, Verb
from spaces.documents.documents import Placed
from spaces.names import Kind, ResourceRef, Revision, SpaceName
from spaces.reading.resources import Resource
from spaces.reading.texts import (
    DocumentKey,
    mark,
)

SPACES = "Space"
"""Among what has changed: something about spaces, by which much can mean something else."""


class HeldBecause(NamedTuple):
    """Why a document is held. `values` say whose they are, and who of them had the right."""

    hold: Hold
    values: Mapping[str, Author]
    missing: tuple[Action, SpaceName] | None
    message: str


@dataclass(slots=True)
class Settling:
    """Settles one proposal."""

    proposal: Proposal
    authors: Authors
    rights: Rights

    def settle(self) -> State:
        """Find what comes into force, and make entries of what does not."""
        standing = {entry.unit: entry.hold for entry in self.proposal.held}
        return self._state(self._step(self.rights, standing, self.authors.kept_out(), self.rights.denied))

    def hold_whole(self, missing: MissingRight) -> State:
        """Hold everything that is proposed."""
        units = (Unit(path, key) for path, file in self.proposal.files.items() for key in file.differing)
        step = self._step(_nothing, {}, dict.fromkeys(units, Hold(Because.NO_RIGHT)), _nothing)
        return self._state(step, Wrong(self.proposal.who.name, missing))

    def _step(
        self, objections: Objections, standing: Mapping[Unit, Hold], held: dict[Unit, Hold], denials: Objections
    ) -> Step:
        it = self.proposal
        declared, unread = it.held.declared(it.files)
        return Step(
            it.before,
            it.files,
            it.tips,
            it.reading,
            objections,
            self.authors.owner,
            standing,
            held,
            declared=declared,
            unread=unread,
            carried=self.authors.carried,
            denials=denials,
        )

    def _state(self, step: Step, whole: Wrong | None = None) -> State:
        trial = step.run()
        files = {path: file for path, file in self.proposal.held.files.items() if path not in self.proposal.files}
        for path, file in self.proposal.files.items():
            units = [unit for unit in step.held_in(path) if self._differs(step, unit)]
            units += [unit for unit in step.released if unit.path == path and file.text(unit.key) is not None]
            if not units:
                continue
            entries = [self._entry(step, trial, unit, whole) for unit in sorted(units)]
            numbers = _renumbered(file, step.instead(path))
            entries = [replace(each, unit=Unit(path, numbers.get(each.unit.key, each.unit.key))) for each in entries]
            files[path] = HeldFile(step.content(path), file.tip, {each.unit.key: each for each in entries})
        held = Held(files)
        touched = trial.refs | {change.ref for change in trial.renamed}
        woken = {name_of(ref) for ref in trial.refs}
        if self.proposal.tried is None:
            woken.update(self.proposal.files)
        if any(ref.kind is Kind.SPACE for ref in trial.refs):
            woken.add(SPACES)
        return State(
            trial.after, held, frozenset(touched), frozenset(woken), (*tell_left(step, trial), *self._warned())
        )

    def _warned(self) -> Iterator[Diagnostic]:
        for told in self.rights.documents.warnings.values():
            yield from told

    def _differs(self, step: Step, unit: Unit) -> bool:
        file = self.proposal.files[unit.path]
        return unit.key in file.differing or unit in step.carried or step.was(unit) != file.text(unit.key)

    def _entry(self, step: Step, trial: Trial, unit: Unit, whole: Wrong | None) -> Entry:
        """Describe one held document: what it would be, whose its values are, and why it is held."""
        file, old = self.proposal.files[unit.path], self.proposal.held.get(self.authors.carried.get(unit, unit))
        change = self._would_be(step, trial, unit)
        hold, values, missing, message = self._why(step, trial, unit, change, old, whole)
        authors = {*values.values()}
        return Entry(
            unit=unit,
            ref=change.ref,
            verb=change.verb,
            hold=replace(hold, objection=None, told=() if hold.because is Because.NO_RIGHT else hold.told),
            values={"": authors.pop()} if len(authors) == 1 else values,
            mark=mark(file.text(unit.key)),
            space=file.space(unit.key),
            at=old.at if old is not None else self.proposal.revision if step.was(unit) is not None else None,
            missing=missing,
            message=message,
            renewed=old.renewed if old is not None else Revision(""),
        )

    def _why(  # noqa: PLR0917
        self, step: Step, trial: Trial, unit: Unit, change: DocumentChange, old: Entry | None, whole: Wrong | None
    ) -> HeldBecause:
        """Return why a document is held: what was objected to, or what does not work, or as before."""
        hold, values = step.held.get(unit) or Hold(Because.NO_RIGHT), self.authors.of(unit)
        wrong: Wrong | None = hold.objection.why if hold.objection is not None else whole
        if wrong is not None and old is not None and all(each.name != wrong.name for each in values.values()):
            # Somebody else's change needs it to come into force as well: it goes on waiting for what it waited for.
            return HeldBecause(old.hold, values, old.missing, old.message)
        if wrong is not None:
            told = hold.objection.change if hold.objection is not None else change
            if hold.because is Because.NO_RIGHT:
                values = _without_right(values, {each for each in values.values() if each.name == wrong.name})
            return HeldBecause(hold, values, (wrong.missing.action, wrong.missing.space), _may_not(*wrong, told))
        if hold.because is not Because.NO_RIGHT:
            why = HeldBecause(hold, values, None, "; ".join(each.summary for each in hold.told))
        else:
            why = HeldBecause(hold, values, *((old.missing, old.message) if old is not None else (None, "")))
        judged = hold.because is not Because.WAITS and self.proposal.tried is None and self.proposal.judging
        return self._judge_own(trial, change, why) if judged else why

    def _judge_own(self, trial: Trial, change: DocumentChange, why: HeldBecause) -> HeldBecause:
        """Judge the commit's person for a document that is held anyway.

        Otherwise a repair of what is broken, by somebody else, would admit it without a right.
        """
        who = self.proposal.who
        if who.author() not in why.values.values():
            return why
        lacking = self.rights.judge(trial, who.name, who.person).change(change)
        if lacking is None:
            return why
        why = why._replace(values=_without_right(why.values, {who.author()}))
        if why.hold.because is not Because.BROKEN:
            return why
        # It would not come into force either if it worked.
        besides = f"; and it does not work: {why.message}" if why.message else ""
        return why._replace(
            hold=replace(why.hold, because=Because.NO_RIGHT),
            missing=(lacking.action, lacking.space),
            message=_may_not(who.name, lacking, change) + besides,
        )

    def _would_be(self, step: Step, trial: Trial, unit: Unit) -> DocumentChange:
        """Return what a held document would change."""
        if not unit.path.endswith(YAML):
            return DocumentChange(self._user_of(trial, unit.path), Verb.UPDATE, None, None)
        origin = self.authors.carried.get(unit, unit)
        before = _find(self.proposal.before.placed.get(origin.path, ()), origin.key, self.proposal.files[origin.path])
        resource = self._resource(unit)
        after = trial.after.place(resource) if resource is not None else None
        if self.proposal.files[unit.path].text(unit.key) is None and before is not None:
            return DocumentChange(before.ref, Verb.DELETE, before, None)
        ref = after.ref if after is not None else self.proposal.ref_of(unit, trial.after)
        meant = self._meant_for(step, unit)
        if meant is not None:
            ref = ref._replace(space=meant)
        origin_ref = self.proposal.files[unit.path].origin(unit.key)
        left = self.proposal.before.documents.placed(origin_ref) if origin_ref is not None else None
        if left is not None and (before is None or before.ref != ref) and origin_ref is not None:
            return DocumentChange(ref, Verb.MOVE, left, after, origin_ref)
        known = self.proposal.before.documents.written(ref)
        if known is None:
            return DocumentChange(ref, Verb.CREATE, None, after)
        return DocumentChange(ref, Verb.UPDATE, known, after)

    @staticmethod
    def _meant_for(step: Step, unit: Unit) -> SpaceName | None:
        """Return the space that a document is meant for, where it waits for that space's own document."""
        hold = step.held.get(unit)
        if hold is None or hold.because is not Because.WAITS or unit.key.kind == Kind.SPACE:
            return None
        spaces = [each for each in hold.linked if each.key.kind == Kind.SPACE and is_space_file(each.path)]
        directory = f"{dirname(unit.path)}/"
        above = [each for each in spaces if directory.startswith(f"{dirname(each.path)}/")]
        return SpaceName(above[0].key.name) if above else None

    def _user_of(self, trial: Trial, path: str) -> ResourceRef:
        """Return the first document that refers to a file, in force or proposed."""
        files = {*trial.after.attaching([path]), *(f for f, tip in self.proposal.tips.items() if path in tip.attached)}
        placed = [each for file in files for each in self._placed(trial, file) if path in each.resource.attachments]
        there = ResourceRef(Kind.POLICY, trial.after.space_of(dirname(path)), path)
        return min((each.ref for each in placed), default=there)

    def _placed(self, trial: Trial, path: str) -> Iterator[Placed]:
        parsed = self.proposal.tips.get(path)
        yield from trial.after.placed.get(path, ())
        yield from (trial.after.place(each) for each in (parsed.resources if parsed is not None else ()))

    def _resource(self, unit: Unit) -> Resource | None:
        parsed = self.proposal.tips.get(unit.path)
        file = self.proposal.files[unit.path]
        if parsed is None or file.text(unit.key) is None:
            return None
        return next((each for each in parsed.resources if _is(each, unit.key, file)), None)


def _nothing(_step: Step, _trial: Trial) -> list[Objection]:
    return []


def _without_right(values: Mapping[str, Author], whose: Collection[Author]) -> dict[str, Author]:
    """Note that some authors had not the right to their values."""
    return {where: replace(each, rightful=False) if each in whose else each for where, each in values.items()}


def _may_not(name: str, missing: MissingRight, change: DocumentChange) -> str:
    return f"{name} may not {change.verb} {change.ref}: {missing.message}"


def _is(resource: Resource, key: DocumentKey, file: ChangedFile) -> bool:
    identity = DocumentKey(resource.kind.value, resource.name)
    return identity == key.identity and file.key_of(resource, {}) == key


def _find(placed: Iterable[Placed], key: DocumentKey, file: ChangedFile) -> Placed | None:
    return next((each for each in placed if file.key_of(each.resource, None) == key), None)


def _renumbered(file: ChangedFile, instead: Mapping[DocumentKey, bytes | None]) -> dict[DocumentKey, DocumentKey]:
    """Return new numbers for documents that call themselves the same: as they stand in force, then those held."""
    if not any(each.copy for each in (*file.tip_texts, *instead)):
        return {}
    counts: dict[DocumentKey, int] = {}
    found: dict[DocumentKey, DocumentKey] = {}
    for key in (*file.composed_keys(instead), *sorted({*file.tip_texts, *instead})):
        if key not in found:
            number = counts.get(key.identity, 0)
            counts[key.identity] = number + 1
            found[key] = key._replace(copy=number)
    return found
