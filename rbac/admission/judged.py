"""Whose change is judged, and by which rules."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from rbac.access.access import Access
from rbac.admission.judge import Judge
from rbac.identity import Person, Stranger
from spaces.catalog import Catalog
from spaces.names import ResourceRef


@dataclass(frozen=True, slots=True)
class Judged:
    """Whose change it is, and the rules by which it is judged; `judging` False admits it."""

    person: Person | Stranger
    access: Access
    judging: bool

    def judge(self, proposed: Catalog, made: Collection[ResourceRef] = ()) -> Judge:
        """Give the judge over what is proposed, beside what instances made."""
        return Judge(self.access, self.person, proposed, made)

    @property
    def name(self) -> str:
        """Name the person, for people."""
        return str(self.person.subject) if isinstance(self.person, Person) else f"unverified ({self.person.reason})"
