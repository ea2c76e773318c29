"""What admission would make of a merge that nobody has made yet."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from rbac.admission import NOBODY, Admission, Commit, Halted, admit
from rbac.identity import Addresses, Identities, IdentityMode, KeyRing, Person, Stranger, Verdict
from rbac.rules import Rules
from reconciler.git.objects import CommitInfo
from reconciler.git.trees import Trees
from spaces.model.user import UserSpec
from spaces.names import ROOT, Kind, Revision, StackId

Verify = Callable[[CommitInfo, KeyRing, datetime], Verdict]
"""Says which key of a ring signed a commit."""

StacksOf = Callable[[Revision, Revision], frozenset[StackId]]
"""Gives the stacks in force whose files differ between two revisions."""


@dataclass(frozen=True, slots=True)
class Judging:
    """How the merge is judged: as `person`'s if that is given, else as those who signed the commits."""

    rules: Rules
    now: datetime
    mode: IdentityMode = IdentityMode.SIGNED
    person: Person | None = None
    verify: Verify | None = field(default=None, repr=False)

    def who(self, trees: Trees, revision: Revision, before: Admission) -> Person | Stranger:
        """Name the person of a commit, by the users in force before it."""
        if self.person is not None or not self.rules.judges(before.in_force.catalog):
            return self.person or NOBODY
        info = trees.commit(revision)
        identities = Identities.compile(_users(before), self.rules.admins, (), self.mode)
        verdict = self.verify(info, identities.ring, self.now) if self.verify else None
        return identities.person(verdict, Addresses(info.author_email, info.committer_email))


@dataclass(frozen=True, slots=True)
class Merge:
    """The revision that is merged and what it is merged into; `merged` is the merge itself, as Git would make it."""

    base: Revision
    revision: Revision
    merged: Revision


def admit_merge(  # noqa: PLR0917
    trees: Trees, before: Admission, merge: Merge, config_path: str, stacks: StacksOf, judging: Judging
) -> Admission | Halted:
    """Judge a merge: each commit by itself where the branch would only go forward, else the merge as one change.

    `trees` reads all three revisions. A merge that has yet to be made is taken for the signer's of what is merged.
    """
    chain = None if judging.person is not None else trees.first_parent_chain(merge.base, merge.revision)
    here, at = before, merge.base
    for number, revision in enumerate(chain or [merge.merged], start=1):
        signed = revision if chain else merge.revision
        commit = Commit(
            revision,
            trees.changed_files(at, revision, config_path),
            judging.who(trees, signed, here),
            stacks(at, revision),
        )
        judged = admit(here, commit, judging.rules, judging.now, halting=number == len(chain or [0]))
        if isinstance(judged, Halted):
            return judged
        here, at = judged, revision
    return here


def _users(before: Admission) -> Mapping[str, UserSpec]:
    placed = before.in_force.catalog.of_kind(Kind.USER)
    specs = {each.ref.name: each.resource.spec for each in placed if each.ref.space == ROOT}
    return {name: spec for name, spec in specs.items() if isinstance(spec, UserSpec)}
