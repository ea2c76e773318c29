"""How a merge is judged that nobody has made yet: each commit by itself, or all of it as one change.

`station diff` asks on a clone, and the service before it plans a stack as a branch would have it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from rbac.admission.admit import Admission, Halted
from rbac.admission.settings import Rules
from rbac.identity import Person, Stranger
from reconciler.git.objects import CommitInfo
from reconciler.git.trees import Trees
from reconciler.loop.desired.commits import Admitting
from reconciler.loop.desired.persons import FindsPersons
from reconciler.loop.desired.sources import SourceIndex
from spaces.documents.documents import PlacedDocuments
from spaces.names import Revision


@dataclass(frozen=True, slots=True)
class Judging:
    """How the merge is judged: as `person`'s if that is given, else as that of whoever signed the commits."""

    rules: Rules
    now: datetime
    persons: FindsPersons = field(repr=False)
    person: Person | None = None


@dataclass(frozen=True, slots=True)
class Merge:
    """The revision that is merged and what it is merged into; `merged` is the merge itself, as Git would make it."""

    base: Revision
    revision: Revision
    merged: Revision


@dataclass(slots=True)
class _Named:
    """Finds the same person behind every commit."""

    person: Person

    def of(self, commit: CommitInfo, documents: PlacedDocuments, now: datetime) -> Person | Stranger:
        """Name that person."""
        _ = commit, documents, now
        return self.person


@dataclass(slots=True)
class _SignerOf:
    """Takes every commit for one by whoever signed that of `instead`: the merge itself is yet to be made."""

    instead: CommitInfo
    persons: FindsPersons

    def of(self, commit: CommitInfo, documents: PlacedDocuments, now: datetime) -> Person | Stranger:
        """Name the signer."""
        _ = commit
        return self.persons.of(self.instead, documents, now)


def admit_merge(  # noqa: PLR0917
    trees: Trees, before: Admission, merge: Merge, config_path: str, index: SourceIndex, judging: Judging
) -> Admission | Halted:
    """Judge a merge: each commit by itself where the branch would only go forward, else the merge as one change.

    `trees` reads all three revisions; `index` says what the sources of the stacks in force use.
    """
    chain = trees.first_parent_chain(merge.base, merge.revision)
    persons: FindsPersons = judging.persons
    if judging.person is not None:
        chain, persons = [merge.merged], _Named(judging.person)
    elif not chain:
        chain, persons = [merge.merged], _SignerOf(trees.commit(merge.revision), judging.persons)
    admitting = Admitting(lambda: trees, config_path, judging.rules, persons)
    walk = admitting.walk(before, chain, index, judging.now)
    return walk.halted or walk.admission or before
