"""Asks the policies over documents: for admission, for `station validate`, and for a preview of a merge."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime

from rbac.admission.documents import denial, warnings
from reconciler.core.verdicts import Verdict, config_verdict
from reconciler.policies import evaluation
from reconciler.policies.process import CHECKING, ask
from spaces.diagnostics import Diagnostic, Severity
from spaces.documents.changes import DocumentChange, Verb
from spaces.documents.documents import PlacedDocuments
from spaces.effective.config_policies import (
    ConfigQuestion,
    ConfigVerdict,
    config_policies,
    document_input,
    judges_documents,
)
from spaces.effective.policies import Guardrail
from spaces.model.policy import Enforcement
from spaces.names import Kind

_AT_ONCE = 200
"""How many documents one policy is shown in a row."""


def ask_config(
    questions: Sequence[ConfigQuestion], told: Callable[[Verdict], None] = lambda _: None
) -> list[ConfigVerdict]:
    """Return a verdict for each question, in order. A policy that cannot be evaluated denies."""
    groups = list(_groups(questions))
    asked = [
        {**evaluation.question(policy, {}), "inputs": [json.dumps(questions[number].input) for number in group]}
        for policy, group in groups
    ]
    found: dict[int, ConfigVerdict] = {}
    for (policy, group), answer in zip(groups, ask("judge", asked, {}, CHECKING) if asked else (), strict=True):
        each = answer.get("each")
        answers = each if isinstance(each, list) and len(each) == len(group) else [answer] * len(group)
        mandatory = policy.spec.enforcement is Enforcement.MANDATORY
        for number, said in zip(group, answers, strict=True):
            verdict = config_verdict(policy.name, mandatory=mandatory, answer=said)
            told(verdict)
            found[number] = ConfigVerdict(verdict.messages, verdict.warnings)
    return [found[number] for number in range(len(questions))]


def _groups(questions: Sequence[ConfigQuestion]) -> Iterator[tuple[Guardrail, list[int]]]:
    """Yield each policy with the numbers of some of its questions, which it gets in a row."""
    by_policy: dict[str, list[int]] = {}
    for number, question in enumerate(questions):
        by_policy.setdefault(question.policy.name, []).append(number)
    for numbers in by_policy.values():
        for start in range(0, len(numbers), _AT_ONCE):
            yield questions[numbers[0]].policy, numbers[start : start + _AT_ONCE]


def about_documents(documents: PlacedDocuments) -> Iterator[Diagnostic]:
    """Yield what the policies among some documents say of all of these, as if each were new."""
    if not judges_documents(documents):
        return
    now = datetime.now(UTC)
    asked = [
        (change, ConfigQuestion(policy, document_input(documents, documents, change, None, now)))
        for placed in map(documents.placed, sorted(documents.refs()))
        if placed is not None and placed.ref.kind is not Kind.POLICY
        for change in [DocumentChange(placed.ref, Verb.CREATE, None, placed)]
        for policy in config_policies(documents, documents, change)
    ]
    verdicts = ask_config([question for _, question in asked])
    for (change, question), verdict in zip(asked, verdicts, strict=True):
        policy = question.policy
        yield from warnings(policy, change, verdict)
        if verdict.denied and policy.spec.enforcement is Enforcement.MANDATORY:
            at = change.after.resource.position(("metadata", "name")) if change.after is not None else None
            hint = f"change it, or ask somebody with policy:update in {policy.ref.space} to let it past"
            yield Diagnostic(Severity.ERROR, "policy-denies", f"{change.ref}: {denial(policy, verdict)}", hint, at)
