"""The policies that judge documents, and what they are asked about one of them. Pure.

Like every policy they extend downwards, and nothing below their space can escape them: they are those in force before a
change, over the space that a document is in and the one it comes from, by the labels of before and after.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple, TypeAlias

from spaces.documents.changes import DocumentChange
from spaces.documents.documents import Placed, PlacedDocuments
from spaces.effective.policies import Guardrail, added_up, surroundings
from spaces.model.policy import PolicySpec, PolicyType
from spaces.model.stack import StackSpec
from spaces.names import Kind
from spaces.reading.rego import rego_of


class ConfigVerdict(NamedTuple):
    """What a policy says of a document: why it denies it, and what it warns of."""

    denied: tuple[str, ...] = ()
    warned: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ConfigQuestion:
    """One document for one policy."""

    policy: Guardrail
    input: dict[str, Any] = field(repr=False)


AskConfig: TypeAlias = Callable[[Sequence[ConfigQuestion]], Sequence[ConfigVerdict]]
"""Asks policies about documents; returns a verdict for each question, in order. One that fails denies."""


def nobody_asked(questions: Sequence[ConfigQuestion]) -> Sequence[ConfigVerdict]:
    """Let every document pass."""
    return [ConfigVerdict() for _ in questions]


def judges_documents(documents: PlacedDocuments) -> bool:
    """Whether any policy judges documents."""
    return any(True for _ in _in_force(documents))


def config_policies(before: PlacedDocuments, after: PlacedDocuments, change: DocumentChange) -> tuple[Guardrail, ...]:
    """Return the policies of `before` that judge a change, those of the farthest spaces first, then by name."""
    places = [(documents, each.ref.space) for documents in (before, after) for each in _ends(change)]
    above = {space for documents, space in places for space in documents.tree.lineage(space)}
    labels: frozenset[tuple[str, str]] | None = None
    found: list[tuple[int, Guardrail]] = []
    for policy in _in_force(before):
        if policy.ref.space not in above:
            continue
        attach = policy.spec.attach
        if attach is not None and attach.tools is not None and not _uses(change, attach.tools):
            continue
        if attach is not None and attach.match_labels:
            labels = labels or frozenset[tuple[str, str]]().union(
                *(added_up(documents, space) for documents, space in places)
            )
            if not attach.match_labels.items() <= labels:
                continue
        found.append((len(before.tree.lineage(policy.ref.space)), policy))
    return tuple(policy for _, policy in sorted(found, key=lambda each: (each[0], each[1].ref)))


def document_input(
    before: PlacedDocuments, after: PlacedDocuments, change: DocumentChange, person: str | None, now: datetime
) -> dict[str, Any]:
    """Return the input of a policy about a change."""
    documents, space = (after, change.ref.space) if change.after is not None else (before, change.ref.space)
    around = surroundings(documents, space)
    return {
        "now": now.isoformat(timespec="seconds").replace("+00:00", "Z"),
        "verb": change.verb.value,
        "document": written(change.after),
        "previous": written(change.before),
        "space": {"name": around.name, "labels": dict(around.labels), "path": list(around.path)},
        "person": person,
    }


def written(placed: Placed | None) -> dict[str, Any] | None:
    """Return a document as policies see it: with every key of its kind, null where it says nothing."""
    if placed is None:
        return None
    resource = placed.resource
    metadata = resource.metadata.model_dump(mode="json", by_alias=True)
    return {
        "kind": placed.ref.kind.value,
        "metadata": {**metadata, "space": placed.ref.space},
        "spec": resource.spec.model_dump(mode="json", by_alias=True),
        "file": resource.file,
    }


def _in_force(documents: PlacedDocuments) -> Iterator[Guardrail]:
    for placed in documents.of_kind(Kind.POLICY):
        policy, rego = placed.resource.spec, rego_of(placed.resource)
        if isinstance(policy, PolicySpec) and policy.type is PolicyType.CONFIG and rego is not None:
            yield Guardrail(placed.ref, policy, rego)


def _ends(change: DocumentChange) -> list[Placed]:
    return [each for each in (change.before, change.after) if each is not None]


def _uses(change: DocumentChange, tools: Sequence[str]) -> bool:
    specs = (each.resource.spec for each in _ends(change))
    return any(isinstance(spec, StackSpec) and spec.tool in tools for spec in specs)
