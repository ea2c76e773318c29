"""What policies say of the documents of a step: a denial keeps a document as it was, whoever wrote it.

The policies are those in force before the step, so that nobody can commit a document and the end of the policy against
it at once. Who may change such a policy may let a document past it, by an approval, and may always change policies: a
policy that denies everything, or that cannot be evaluated, is mended by a commit. Nothing is evaluated here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeAlias

from rbac.access.access import Access
from rbac.access.actions import on_document
from rbac.admission.judge import MissingRight
from rbac.identity import Person, Stranger
from spaces.composition.carriers import carriers
from spaces.composition.changed_file import Unit
from spaces.composition.holds import Because, Objection, name_of
from spaces.composition.step import Step
from spaces.composition.trial import Trial
from spaces.diagnostics import Diagnostic, Severity
from spaces.documents.changes import DocumentChange, Verb
from spaces.effective.config_policies import (
    AskConfig,
    ConfigQuestion,
    ConfigVerdict,
    config_policies,
    document_input,
    judges_documents,
)
from spaces.effective.policies import Guardrail
from spaces.model.policy import Enforcement
from spaces.names import Kind, ResourceRef

_Persons: TypeAlias = Callable[[Unit], Iterable[tuple[str, Person | Stranger]]]
_NAMED = 3
_POLICY = on_document(Kind.POLICY, Verb.UPDATE)


@dataclass(frozen=True, slots=True)
class Denial:
    """A document that a policy denies, for whom, and what would let it past."""

    objection: Objection
    name: str
    missing: MissingRight


@dataclass(slots=True)
class Documents:
    """Asks the policies over documents, each question once in a step."""

    ask: AskConfig
    access: Access
    now: datetime
    approved: bool = False
    """Whether what is tried was approved: then the policies give way to who may change them."""
    warnings: dict[tuple[str, ResourceRef], list[Diagnostic]] = field(default_factory=dict)
    """What was said of documents that come into force all the same."""
    _known: dict[tuple[str, ResourceRef], tuple[dict[str, Any], ConfigVerdict]] = field(default_factory=dict)

    def denials(self, step: Step, trial: Trial, persons: _Persons) -> Iterator[Denial]:
        """Return the changes of a trial that policies deny."""
        if not judges_documents(trial.before.documents):
            return
        self.warnings = {}
        asked: list[tuple[DocumentChange, frozenset[Unit], dict[str, Person | Stranger], ConfigQuestion]] = []
        for change in trial.changes:
            policies = config_policies(trial.before.documents, trial.after.documents, change)
            units = carriers(step, trial, change) if policies else frozenset[Unit]()
            whose = dict(each for unit in units for each in persons(unit))
            first = next(iter(whose.values()), None)
            person = str(first.subject) if isinstance(first, Person) else None
            for policy in policies:
                if not self._gives_way(policy, change, whose.values()):
                    given = document_input(trial.before.documents, trial.after.documents, change, person, self.now)
                    asked.append((change, units, whose, ConfigQuestion(policy, given)))
        verdicts = self._verdicts([(change.ref, question) for change, _, _, question in asked])
        for (change, units, whose, question), verdict in zip(asked, verdicts, strict=True):
            policy = question.policy
            mandatory = policy.spec.enforcement is Enforcement.MANDATORY
            self.warnings[policy.name, change.ref] = list(warnings(policy, change, verdict))
            if verdict.denied and mandatory:
                missing = MissingRight(_POLICY, policy.ref.space, denial(policy, verdict))
                wakes = frozenset({name_of(policy.ref)})
                objection = Objection(change, units, None, Because.DENIED, wakes)
                yield Denial(objection, next(iter(whose), ""), missing)

    def _gives_way(self, policy: Guardrail, change: DocumentChange, whose: Iterable[Person | Stranger]) -> bool:
        """Whether a policy has no say: an approval, or a change of a policy, by those who may change it."""
        if not self.approved and change.ref.kind is not Kind.POLICY:
            return False
        persons = list(whose)
        return bool(persons) and all(
            isinstance(person, Person) and self.access.decide(person.subject, _POLICY, policy.ref.space).allowed
            for person in persons
        )

    def _verdicts(self, asked: list[tuple[ResourceRef, ConfigQuestion]]) -> list[ConfigVerdict]:
        """Return a verdict for each question. A step tries many times, and mostly the same documents."""
        keys = [(question.policy.name, ref) for ref, question in asked]
        new = [
            (key, question)
            for key, (_, question) in zip(keys, asked, strict=True)
            if key not in self._known or self._known[key][0] != question.input
        ]
        for (key, question), verdict in zip(new, self.ask([each for _, each in new]) if new else (), strict=True):
            self._known[key] = question.input, verdict
        return [self._known[key][1] for key in keys]


def denial(policy: Guardrail, verdict: ConfigVerdict) -> str:
    """Word why a policy denies a document."""
    more = len(verdict.denied) - _NAMED
    named = "; ".join(verdict.denied[:_NAMED]) + (f"; and {more} more" if more > 0 else "")
    return f"policy {policy.name} denies it: {named}"


def warnings(policy: Guardrail, change: DocumentChange, verdict: ConfigVerdict) -> Iterator[Diagnostic]:
    """Yield what a policy warns of, and what it denies where it is advisory."""
    placed = change.after or change.before
    at = placed.resource.position(("metadata", "name")) if placed is not None else None
    advice = verdict.denied if policy.spec.enforcement is Enforcement.ADVISORY else ()
    for sentence in (*advice, *verdict.warned):
        yield Diagnostic(
            Severity.WARNING, "policy-warns", f"policy {policy.name} on {change.ref}: {sentence}", None, at
        )
