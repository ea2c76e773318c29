"""What is valid and does nothing, or not what its writer meant: warned of, and in force all the same."""

from __future__ import annotations

from collections.abc import Iterator

from spaces.diagnostics import Diagnostic, Severity
from spaces.documents.documents import PlacedDocuments
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
    for kind in (Kind.CONTEXT, Kind.STACK):
        for placed in documents.of_kind(kind):
            spec = placed.resource.spec
            for index, name in enumerate(spec.git_credentials if isinstance(spec, Configuration) else ()):
                named = documents.find(Kind.REPOSITORY, name, placed.ref.space)
                of_named = named.resource.spec if named is not None else None
                if named is not None and isinstance(of_named, RepositorySpec) and of_named.credentials is None:
                    summary = f"{placed.ref} takes the credentials of {named.ref}, which has none"
                    at = placed.resource.position(("spec", "gitCredentials", index))
                    yield Diagnostic(Severity.WARNING, "no-credentials", summary, "add them there, or leave it out", at)
