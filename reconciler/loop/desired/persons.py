"""Whose commits are: by verified signatures or by addresses, as the settings say.

`Admitting` asks `of` for each commit of the configuration that changes something. `SourceAuthors` and `SourceSigners`
ask `authors` for commits of source repositories. Which key or address is whose is decided in `rbac.identity`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from rbac.access.subjects import Subject, SubjectKind
from rbac.identity import (
    LOCAL_OPERATOR,
    Addresses,
    Admins,
    Forge,
    Identities,
    IdentityMode,
    KeyRing,
    Person,
    Signer,
    Stranger,
)
from reconciler.git.objects import CommitInfo
from reconciler.git.signatures import Signatures
from spaces.documents.documents import PlacedDocuments
from spaces.model.people import UserSpec
from spaces.model.repository import SourceIdentity
from spaces.names import ROOT, Kind, ResourceRef, Revision

_ORDER_AGAIN = "order it again, or ask somebody with the right to approve the change"


class FindsPersons(Protocol):
    """Finds out whose a commit is."""

    def of(self, commit: CommitInfo, documents: PlacedDocuments, now: datetime) -> Person | Stranger:
        """Return the person of a commit, by what was in force before it."""


@dataclass(frozen=True, slots=True)
class OwnCommits:
    """The commits that the service makes for people: the keys that it signs them with, and who ordered each."""

    ring: KeyRing
    orderer: Callable[[Revision], Subject | None]
    """Returns whose order a commit is; None if the service has no record of it."""


@dataclass(slots=True)
class Persons:
    """Finds the persons of commits. Only the loop's own thread asks."""

    signatures: Signatures
    mode: IdentityMode
    admins: Admins
    forges: tuple[Forge, ...] = ()
    own: OwnCommits | None = None
    _known: tuple[Mapping[str, UserSpec], Identities] | None = None

    def of(self, commit: CommitInfo, documents: PlacedDocuments, now: datetime) -> Person | Stranger:
        """Return the person of a commit, by what was in force before it and what the keys are worth now."""
        if (orderer := self._orderer(commit, documents, now)) is not None:
            return orderer
        identities = self._identities(documents)
        verdict = None
        if self.mode is IdentityMode.SIGNED:
            verdict = self.signatures.verify(commit, identities.ring, now)
        return identities.person(verdict, Addresses(commit.author_email, commit.committer_email))

    def _orderer(self, commit: CommitInfo, documents: PlacedDocuments, now: datetime) -> Person | Stranger | None:
        """Return who ordered a commit that the service's own key signed; None: it did not sign it.

        It is nobody's if the service has no record of it, or if who ordered it has left.
        """
        if self.own is None or not isinstance(self.signatures.verify(commit, self.own.ring, now), Signer):
            return None
        subject = self.own.orderer(commit.revision)
        if subject is None:
            why = "the service's own key signed it, and the service has no record that somebody ordered it"
            return Stranger("NotOrdered", why, _ORDER_AGAIN)
        if not self._knows(subject, documents):
            return Stranger("OrdererLeft", f"{subject} ordered it, and is in force no more", _ORDER_AGAIN)
        return Person(subject, "ordered, in a commit that the service made and signed")

    def _knows(self, subject: Subject, documents: PlacedDocuments) -> bool:
        match subject.kind:
            case SubjectKind.USER:
                known = subject.name in users_of(documents)
            case SubjectKind.API_KEY:
                known = documents.placed(ResourceRef(Kind.API_KEY, ROOT, subject.name)) is not None
            case _:
                known = subject == LOCAL_OPERATOR
        return known or subject in self.admins.subjects

    def authors(
        self, commit: CommitInfo, documents: PlacedDocuments, evidence: SourceIdentity, now: datetime
    ) -> tuple[Person | Stranger, ...]:
        """Return whose a commit of a source repository is, by what is in force."""
        if (orderer := self._orderer(commit, documents, now)) is not None:
            return (orderer,)
        identities = self._identities(documents)
        return identities.authors(
            evidence,
            self.signatures.verify(commit, identities.ring, now),
            Addresses(commit.author_email, commit.committer_email),
        )

    def _identities(self, documents: PlacedDocuments) -> Identities:
        users = users_of(documents)
        if self._known is None or self._known[0] != users:
            self._known = users, Identities.compile(users, self.admins, self.forges, self.mode)
        return self._known[1]


def users_of(documents: PlacedDocuments) -> dict[str, UserSpec]:
    """Return the users in force by name."""
    found = {each.ref.name: each.resource.spec for each in documents.of_kind(Kind.USER) if each.ref.space == ROOT}
    return {name: spec for name, spec in found.items() if isinstance(spec, UserSpec)}
