"""What the service's own settings say about admission, and from when on access counts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from rbac.access.access import Access
from rbac.access.grants import AccessDocuments
from rbac.identity import LOCAL_OPERATOR, Admins
from spaces.documents.changes import Verb, changes
from spaces.documents.documents import PlacedDocuments
from spaces.in_force import InForce, differing
from spaces.model.role import ACCESS_SPECS
from spaces.names import Kind

DESTROY_BUDGET = 10.0
"""Percent of the stacks that one commit may take out of Git."""
ALWAYS = 3
"""As many stacks may always leave at once."""


@dataclass(frozen=True, slots=True)
class Rules:
    """`judged` False judges nobody's rights, whoever commits: `takeover` needs that."""

    admins: Admins = field(default_factory=Admins)
    destroy_budget: float = DESTROY_BUDGET
    judged: bool = True

    def judges(self, documents: PlacedDocuments) -> bool:
        """Whether access counts: from the first admin of the settings or access document on."""
        return self.judged and (bool(self.admins.subjects) or has_access_documents(documents))

    def may_leave(self, stacks: int) -> int:
        """Return how many of this many stacks may leave Git by one commit."""
        return max(ALWAYS, int(stacks * self.destroy_budget / 100))

    def compile(self, documents: PlacedDocuments, now: datetime) -> Access:
        """Compile who may do what by these documents and the settings."""
        admins = self.admins.subjects | {LOCAL_OPERATOR}
        return Access.compile(AccessDocuments.of(documents), documents.tree, admins, now)

    def follow(self, access: Access, before: InForce, after: InForce, now: datetime) -> Access:
        """Return the access rules of `after`: those of `before`, where nothing that they rest on changed."""
        if _concerns_access(before, after):
            return self.compile(after.documents, now)
        return access.at(now)


def has_access_documents(documents: PlacedDocuments) -> bool:
    """Whether any document says who may do what."""
    return any(documents.of_kind(kind) for kind in ACCESS_SPECS)


def _concerns_access(before: InForce, after: InForce) -> bool:
    differ = differing(before, after)
    kinds: Iterable[Kind] = {ref.kind for ref in differ}
    if any(kind is Kind.SPACE or kind in ACCESS_SPECS for kind in kinds):
        return True
    # Stacks hold roles too, so it matters which there are.
    stacks = [ref for ref in differ if ref.kind is Kind.STACK]
    return any(change.verb is not Verb.UPDATE for change in changes(before.documents, after.documents, stacks))
