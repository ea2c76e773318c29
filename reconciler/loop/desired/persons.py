"""Whose commits are: by verified signatures or by addresses, as the settings say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from rbac.identity import Addresses, Admins, Forge, Identities, IdentityMode, Person, Stranger
from reconciler.git.objects import CommitInfo
from reconciler.git.signatures import Signatures
from spaces.documents.documents import PlacedDocuments
from spaces.model.people import UserSpec
from spaces.model.repository import SourceIdentity
from spaces.names import ROOT, Kind


class FindsPersons(Protocol):
    """Finds out whose a commit is."""

    def of(self, commit: CommitInfo, documents: PlacedDocuments, now: datetime) -> Person | Stranger:
        """Return the person of a commit, by what was in force before it."""


@dataclass(slots=True)
class Persons:
    """Finds the persons of commits. Only the loop's own thread asks."""

    signatures: Signatures
    mode: IdentityMode
    admins: Admins
    forges: tuple[Forge, ...] = ()
    _known: tuple[Mapping[str, UserSpec], Identities] | None = None

    def of(self, commit: CommitInfo, documents: PlacedDocuments, now: datetime) -> Person | Stranger:
        """Return the person of a commit, by what was in force before it and what the keys are worth now."""
        identities = self._identities(documents)
        verdict = None
        if self.mode is IdentityMode.SIGNED:
            verdict = self.signatures.verify(commit, identities.ring, now)
        return identities.person(verdict, Addresses(commit.author_email, commit.committer_email))

    def authors(
        self, commit: CommitInfo, documents: PlacedDocuments, evidence: SourceIdentity, now: datetime
    ) -> tuple[Person | Stranger, ...]:
        """Return whose a commit of a source repository is, by what is in force."""
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
