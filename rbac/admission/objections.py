"""Which changes of a step may not be made, by the rights of those whose they are.

`Step` asks after each trial. Every change of a document is judged for everybody who has a part in it; so are
directories that would go to another space, stacks that would come to depend on another one by what others are called,
and sources that were planted before. Nothing is held here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple, TypeAlias

from rbac.access.access import Access
from rbac.access.actions import Action
from rbac.admission.documents import Denial, Documents
from rbac.admission.former import Former
from rbac.admission.judge import Judge, MissingRight
from rbac.admission.sources import Writes, named
from rbac.identity import Person, Stranger
from spaces.catalog import SPACE_FILES, inside
from spaces.composition.carriers import carriers
from spaces.composition.changed_file import Unit
from spaces.composition.holds import Because, Objection
from spaces.composition.step import Step
from spaces.composition.trial import Trial
from spaces.documents.changes import DocumentChange, Verb
from spaces.documents.documents import PlacedDocuments
from spaces.names import Kind, ResourceRef, StackId
from spaces.rules.dependencies import dependencies_of

Persons: TypeAlias = Callable[[Unit], Iterable[tuple[str, Person | Stranger]]]
"""Whose a held or proposed document is: everybody who has a part in it, by name."""

Planted: TypeAlias = Callable[[PlacedDocuments, StackId, Judge], Writes]
"""Returns the files that a stack would take over and somebody without the right has written."""


class Wrong(NamedTuple):
    """Who lacks which right."""

    name: str
    missing: MissingRight


@dataclass(slots=True)
class Rights:
    """Objects to what its persons have no right to, where access counts, and to what policies over documents deny.

    `Settling` gives it to the `Step`: itself as `Step.objections`, and `denied` as `Step.denials`.
    """

    access: Access
    persons: Persons
    planted: Planted
    documents: Documents
    judging: bool = True
    former: Former = field(default_factory=Former)
    _judges: dict[str, Judge] = field(default_factory=dict)

    def __call__(self, step: Step, trial: Trial) -> list[Objection]:
        """Return the changes of a trial that may not be made."""
        if not self.judging:
            return []
        self._judges = {}
        found: list[Objection] = []
        for change in (*trial.changes, *trial.renamed):
            units = carriers(step, trial, change)
            wrong = self._first(trial, units, partial(Judge.change, change=change))
            if wrong is not None:
                told = self._written(step, trial, change, units)
                found.append(Objection(told, units, _named(change, wrong)))
                continue
            planted = self._planted_in(trial, change, units)
            if planted is not None:
                told = self._written(step, trial, change, units)
                found.append(Objection(told, units, planted[0], Because.WAITS, planted[1]))
        found += self._claims(step, trial)
        found += self._other_parents(step, trial)
        return found

    def denied(self, step: Step, trial: Trial) -> list[Objection]:
        """Return the changes of a trial that policies over documents deny, also where access does not count."""
        return [_denied(each) for each in self.documents.denials(step, trial, self.persons)]

    def _first(self, trial: Trial, units: Iterable[Unit], ask: Callable[[Judge], MissingRight | None]) -> Wrong | None:
        persons = dict(each for unit in units for each in self.persons(unit))
        for name, person in persons.items():
            missing = ask(self.judge(trial, name, person))
            if missing is not None:
                return Wrong(name, missing)
        return None

    def judge(self, trial: Trial, name: str, person: Person | Stranger) -> Judge:
        """Return the judge of a person's changes."""
        if name not in self._judges:
            self._judges[name] = Judge(self.access, person, trial.before.documents, trial.after.documents, self.former)
        return self._judges[name]

    def _planted_in(
        self, trial: Trial, change: DocumentChange, units: Iterable[Unit]
    ) -> tuple[Wrong, frozenset[str]] | None:
        """Object to a stack that would take over files which somebody without the right has put there."""
        if change.ref.kind is not Kind.STACK or change.after is None:
            return None
        stack = StackId(change.ref.space, change.ref.name)
        for name, person in dict(each for unit in units for each in self.persons(unit)).items():
            writes = self.planted(trial.after.documents, stack, self.judge(trial, name, person))
            if writes:
                told = f"it would run {named(writes)}, who had no right to that: look at these files, and approve"
                return Wrong(name, MissingRight(Action("stack", "update"), stack.space, told)), frozenset(writes)
        return None

    def _claims(self, step: Step, trial: Trial) -> Iterator[Objection]:
        """Object to a space file in a directory of a space in which its author may not make spaces."""
        for claim in trial.claimed:
            units = frozenset(unit for name in SPACE_FILES for unit in step.open_units(inside(claim.directory, name)))
            wrong = self._first(trial, units, partial(Judge.claim, space=claim.before))
            if wrong is None:
                continue
            ref = ResourceRef(Kind.SPACE, claim.after, claim.after)
            old, new = trial.before.documents.placed(ref), trial.after.documents.placed(ref)
            change = DocumentChange(ref, Verb.CREATE if old is None else Verb.UPDATE, old, new)
            where = claim.directory or "at the top"
            why = f"the directory {where} belongs to {claim.before}, and {wrong.missing.message}"
            yield Objection(
                change, units, wrong._replace(missing=MissingRight(wrong.missing.action, claim.before, why))
            )

    def _other_parents(self, step: Step, trial: Trial) -> Iterator[Objection]:
        """Object where a bare name of a stack would mean another space's stack, though its document is the same."""
        own = {change.ref for change in trial.changes}
        for change in trial.changes:
            if change.ref.kind is not Kind.STACK:
                continue
            for name in {change.ref.name, *([change.origin.name] if change.origin else [])}:
                for user in sorted(trial.after.documents.mentioning(Kind.STACK, name) - own):
                    for parent in _new_parents(trial, user):
                        units = carriers(step, trial, change)
                        wrong = self._first(trial, units, partial(Judge.reads, stack=parent, user=user))
                        if wrong is not None:
                            yield Objection(change, units, wrong)

    def _written(self, step: Step, trial: Trial, change: DocumentChange, units: Iterable[Unit]) -> DocumentChange:
        """Return the change of a written document that brings one of a made document about."""
        made = [each.resource.made for each in (change.before, change.after) if each is not None and each.resource.made]
        if not made:
            return change
        own = frozenset(units)
        for other in trial.changes:
            if other.ref.kind in (Kind.BLUEPRINT_INSTANCE, Kind.BLUEPRINT) and carriers(step, trial, other) & own:
                return other
        root = made[0].root
        return DocumentChange(
            root, Verb.UPDATE, trial.before.documents.written(root), trial.after.documents.written(root)
        )


def _denied(denial: Denial) -> Objection:
    change = denial.objection.change
    return denial.objection._replace(why=_named(change, Wrong(denial.name, denial.missing)))


def _named(change: DocumentChange, wrong: Wrong) -> Wrong:
    """Name the made document in what is said of its instance."""
    if not any(each is not None and each.resource.made for each in (change.before, change.after)):
        return wrong
    why = f"it would {change.verb} {change.ref}, and {wrong.missing.message}"
    return wrong._replace(missing=MissingRight(wrong.missing.action, wrong.missing.space, why))


def _new_parents(trial: Trial, user: ResourceRef) -> list[ResourceRef]:
    old, new = (catalog.documents.placed(user) for catalog in (trial.before, trial.after))
    if old is None or new is None:
        return []
    was = {each.parent for each in dependencies_of(trial.before.documents, old)}
    now = {each.parent for each in dependencies_of(trial.after.documents, new)}
    return [each.ref for each in sorted(now - was) if each.space != user.space]
