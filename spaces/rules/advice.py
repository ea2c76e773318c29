"""What is valid and does nothing, or not what its writer meant: warned of, and in force all the same."""

from __future__ import annotations

from collections.abc import Iterator

from spaces.diagnostics import Diagnostic, Severity
from spaces.documents.documents import Placed, PlacedDocuments
from spaces.model.configuration import Configuration
from spaces.model.notifier import NotifierEvent, NotifierSpec
from spaces.model.repository import RepositorySpec
from spaces.names import ROOT, Kind
from spaces.rules.people import strangers


def advice(documents: PlacedDocuments) -> Iterator[Diagnostic]:
    """Warn of names that nobody has, and of what can have no effect where it stands."""
    yield from strangers(documents)
    yield from _never_told(documents)
    yield from _without_credentials(documents)


def _never_told(documents: PlacedDocuments) -> Iterator[Diagnostic]:
    for placed in documents.of_kind(Kind.NOTIFIER):
        spec = placed.resource.spec
        if isinstance(spec, NotifierSpec) and NotifierEvent.HALTED in spec.events and placed.ref.space != ROOT:
            summary = f"{placed.ref} is never told of halted: a halt concerns everybody, and goes to notifiers of root"
            at = placed.resource.position(("spec", "events", spec.events.index(NotifierEvent.HALTED)))
            yield Diagnostic(Severity.WARNING, "never-told", summary, "leave it out, or add a notifier in root", at)


def _without_credentials(documents: PlacedDocuments) -> Iterator[Diagnostic]:
    """Begin with the repositories: they are few, and each is asked who names it. This runs with every commit."""
    named = {
        ref
        for repository in documents.of_kind(Kind.REPOSITORY)
        if _is_open(repository)
        for ref in documents.mentioning(Kind.REPOSITORY, repository.ref.name)
    }
    for ref in sorted(named, key=str):
        placed = documents.placed(ref)
        spec = placed.resource.spec if placed is not None else None
        if placed is None or not isinstance(spec, Configuration):
            continue
        for index, name in enumerate(spec.git_credentials):
            found = documents.find(Kind.REPOSITORY, name, ref.space)
            if found is not None and _is_open(found):
                summary = f"{ref} takes the credentials of {found.ref}, which has none"
                at = placed.resource.position(("spec", "gitCredentials", index))
                yield Diagnostic(Severity.WARNING, "no-credentials", summary, "add them there, or leave it out", at)


def _is_open(repository: Placed) -> bool:
    spec = repository.resource.spec
    return isinstance(spec, RepositorySpec) and spec.credentials is None
