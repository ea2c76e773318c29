"""From a proposal to what is in force, and an entry for each document that is not.

`admit` settles the proposal of a commit, and those of what waited or was approved. What is held at the end of the step
is put into words here; nothing is decided that the step has not decided.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from posixpath import dirname

from rbac.admission.authors import Authors
from rbac.admission.entries import Author, Entry, Held, HeldFile
from rbac.admission.judge import MissingRight
from rbac.admission.objections import Rights, Wrong
from rbac.admission.proposal import Proposal, State
from spaces.catalog import YAML, is_space_file
from spaces.composition.changed_file import ChangedFile, Unit
from spaces.composition.faults import left
from spaces.composition.holds import Because, Hold, name_of
from spaces.composition.step import Step
from spaces.composition.trial import Trial
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


@dataclass(slots=True)
class Settling:
    """Settles one proposal."""

    proposal: Proposal
    authors: Authors
    rights: Rights

    def settle(self) -> State:
        """Find what comes into force, and make entries of what does not."""
        held = self.authors.kept_out()
        standing = {entry.unit: entry.hold for entry in self.proposal.held}
        step = Step(
            self.proposal.before,
            self.proposal.files,
            self.proposal.tips,
            self.proposal.reading,
            self.rights,
            self.authors.owner,
            standing,
            held,
            carried=self.authors.carried,
        )
        trial = step.run()
        return self._state(step, trial)

    def hold_whole(self, missing: MissingRight) -> State:
        """Hold everything that is proposed."""
        units = {Unit(path, key) for path, file in self.proposal.files.items() for key in file.differing}
        held = {unit: Hold(Because.NO_RIGHT) for unit in units}
        step = Step(
            self.proposal.before,
            self.proposal.files,
            self.proposal.tips,
            self.proposal.reading,
            lambda _s, _t: [],
            self.authors.owner,
            {},
            held,
        )
        trial = step.run()
        return self._state(step, trial, Wrong(self.proposal.who.name, missing))

    def _state(self, step: Step, trial: Trial, whole: Wrong | None = None) -> State:
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
        return State(trial.after, held, frozenset(touched), frozenset(woken), tuple(left(step, trial)))

    def _differs(self, step: Step, unit: Unit) -> bool:
        file = self.proposal.files[unit.path]
        return unit.key in file.differing or unit in step.carried or step.was(unit) != file.text(unit.key)

    def _entry(self, step: Step, trial: Trial, unit: Unit, whole: Wrong | None) -> Entry:
        """Describe one held document: whose its values are, which right is missing, and why in words.

        What is broken is judged here as well. Otherwise a repair by somebody else would admit it without a right.
        """
        origin = self.authors.carried.get(unit, unit)
        old = self.proposal.held.get(origin)
        hold = step.held.get(unit) or Hold(Because.NO_RIGHT)
        values = dict(self.authors.of(unit))
        change = self._would_be(step, trial, unit)
        wrong = hold.objection.why if hold.objection is not None else whole
        missing, message = (old.missing, old.message) if old is not None else (None, "")
        if isinstance(wrong, Wrong) and old is not None and all(each.name != wrong.name for each in values.values()):
            # Somebody else's change needs it to come into force as well: it goes on waiting for what it waited for.
            hold = old.hold
        elif isinstance(wrong, Wrong):
            missing = wrong.missing.action, wrong.missing.space
            told = hold.objection.change if hold.objection is not None else change
            message = f"{wrong.name} may not {told.verb} {told.ref}: {wrong.missing.message}"
            if hold.because is Because.NO_RIGHT:
                values = {
                    where: replace(each, rightful=each.rightful and each.name != wrong.name)
                    for where, each in values.items()
                }
        elif hold.because is not Because.NO_RIGHT:
            missing, message = None, "; ".join(each.summary for each in hold.told)
        judged = hold.because is not Because.WAITS and self.proposal.tried is None and self.proposal.judging
        if wrong is None and judged:
            lacking = self._judge_own(trial, change, values)
            if lacking is not None and hold.because is Because.BROKEN:
                # It would not come into force either if it worked.
                hold = replace(hold, because=Because.NO_RIGHT)
                missing = lacking.action, lacking.space
                besides = f"; and it does not work: {message}" if message else ""
                message = f"{self.proposal.who.name} may not {change.verb} {change.ref}: {lacking.message}{besides}"
        at = old.at if old is not None else self.proposal.revision if step.was(unit) is not None else None
        bare = replace(hold, objection=None)
        if hold.because is Because.NO_RIGHT:
            bare = replace(bare, told=())
        renewed = old.renewed if old is not None else Revision("")
        if len({*values.values()}) == 1:
            values = {"": next(iter(values.values()))}
        text = self.proposal.files[unit.path].text(unit.key)
        space = self.proposal.files[unit.path].space(unit.key)
        return Entry(unit, change.ref, change.verb, bare, values, mark(text), space, at, missing, message, renewed)

    def _judge_own(self, trial: Trial, change: DocumentChange, values: dict[str, Author]) -> MissingRight | None:
        """Note whether the commit's person had the right to what they changed in a document that is held anyway."""
        mine = [where for where, each in values.items() if each == self.proposal.who.author()]
        missing = (
            self.rights.judge(trial, self.proposal.who.name, self.proposal.who.person).change(change) if mine else None
        )
        if missing is not None:
            values |= {where: replace(values[where], rightful=False) for where in mine}
        return missing

    def _would_be(self, step: Step, trial: Trial, unit: Unit) -> DocumentChange:
        """Return what a held document would change."""
        origin = self.authors.carried.get(unit, unit)
        before = _find(self.proposal.before.placed.get(origin.path, ()), origin.key, self.proposal.files[origin.path])
        resource = self._resource(unit)
        after = trial.after.place(resource) if resource is not None else None
        if not unit.path.endswith(YAML):
            users = sorted(
                p.ref
                for f in {*trial.after.attaching([unit.path]), *self._users(unit.path)}
                for p in self._placed(trial, f)
                if unit.path in p.resource.attachments
            )
            ref = users[0] if users else ResourceRef(Kind.POLICY, trial.after.space_of(dirname(unit.path)), unit.path)
            return DocumentChange(ref, Verb.UPDATE, None, None)
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

    def _users(self, path: str) -> Iterable[str]:
        return (file for file, parsed in self.proposal.tips.items() if path in parsed.attached)

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
