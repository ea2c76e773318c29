"""From what is in force and the next commit to what is in force then, what is held, or a halt. Pure.

Each document's change is judged by the access rules that were in force before its commit. What its person has no right
to stays as it was; everything else goes on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from rbac.access.access import Access
from rbac.admission.held import HeldChange, HoldKey
from rbac.admission.holds import Holds
from rbac.admission.judged import Judged
from rbac.admission.pinning import NO_FILES, FileChanges, Uses, always
from rbac.admission.pins import Pins
from rbac.admission.settings import Rules
from rbac.admission.stepping import Step
from rbac.identity import Person, Stranger
from spaces.catalog import Catalog
from spaces.held_documents import HeldDocument
from spaces.in_force import InForce, settle
from spaces.names import Revision, StackId
from spaces.reading.attachments import Attach, no_files
from spaces.reading.documents import ReadDocuments, read_documents
from spaces.reading.rego import CheckRego, unchecked

NOBODY = Stranger("NotAsked", "nobody was asked whose commit it is", "")


class HaltReason(StrEnum):
    """Why admission stands still."""

    BRANCH_EMPTIED = "BranchEmptied"
    TOO_MANY_FILES = "TooManyFiles"


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit of the branch's first-parent chain, against its first parent.

    `changed` are the configuration files (None: gone), also those whose documents refer to a file that changed;
    `stacks` those in force whose files it changed in this repository, with these files; `restored` the pinned ones
    whose files are again as they are pinned, `proposed` the holds, by id, about what has other files now.
    """

    revision: Revision
    changed: Mapping[str, bytes | None]
    person: Person | Stranger = NOBODY
    stacks: Mapping[StackId, FileChanges] = field(default_factory=dict)
    restored: frozenset[StackId] = frozenset()
    proposed: frozenset[str] = frozenset()
    attach: Attach = field(repr=False, compare=False, default=no_files)
    """Reads the files that documents refer to, at this commit."""
    check: CheckRego = field(repr=False, compare=False, default=unchecked)
    """Says what is wrong with the rules of policies."""
    uses: Uses = field(repr=False, compare=False, default=always)
    """Says whether files belong to a stack, at this commit."""
    read: ReadDocuments = field(repr=False, compare=False, default=read_documents)
    """Reads files of documents."""


@dataclass(frozen=True, slots=True)
class Halted:
    """The commit is not admitted, and nothing changes."""

    reason: HaltReason
    message: str
    revision: Revision


@dataclass(frozen=True, slots=True, eq=False)
class Admission:
    """What is in force, by which rules the next commit is judged, and what waits for somebody who has the right."""

    in_force: InForce
    access: Access = field(repr=False)
    held: Mapping[HoldKey, HeldChange] = field(default_factory=dict)
    """Documents that stay as they were, or do not count."""
    pinned: Mapping[StackId, HeldChange] = field(default_factory=dict)
    """Stacks whose files stay as they were."""

    @property
    def waiting(self) -> tuple[HeldChange, ...]:
        """Every held change, by kind, space and name."""
        return tuple(sorted((*self.held.values(), *self.pinned.values()), key=lambda each: (each.ref, each.id)))

    @property
    def pins(self) -> Mapping[StackId, Revision]:
        """The revision at which the files of a stack stay."""
        return {stack: each.pin for stack, each in self.pinned.items() if each.pin is not None}


@dataclass(frozen=True, slots=True)
class Approval:
    """Somebody's word that a held change may come into force."""

    held: str
    person: Person


@dataclass(frozen=True, slots=True)
class Refused:
    """An approval that changes nothing, and why."""

    approval: Approval
    message: str


def admit(
    before: Admission | None, commit: Commit, rules: Rules, now: datetime, *, halting: bool = True
) -> Admission | Halted:
    """Judge one commit. The first that an installation sees is trusted whole (`before` None).

    `halting` False goes on where a branch lost all of its documents: for a commit that others follow.
    """
    if before is None:
        proposed = Catalog.empty().advance(commit.changed, commit.attach, commit.check, commit.read)
        in_force = settle(None, proposed, commit.changed.keys(), commit.revision)
        return Admission(in_force, rules.compile(in_force.catalog, now))
    proposed = before.in_force.proposed.advance(commit.changed, commit.attach, commit.check, commit.read)
    if halting and not proposed.files and any(True for _ in before.in_force.catalog.refs()):
        message = f"revision {commit.revision[:12]} holds no documents at all; what was in force stays"
        return Halted(HaltReason.BRANCH_EMPTIED, message, commit.revision)
    touched = commit.stacks or commit.restored or commit.proposed
    if not commit.changed and not touched and not _unsettled(before.in_force):
        # Most commits of a busy repository change nothing that counts here.
        return replace(
            before, in_force=replace(before.in_force, revision=commit.revision), access=before.access.at(now)
        )
    judged = Judged(commit.person, before.access.at(now), rules.judges(before.in_force.catalog))
    step = Step(before.in_force, proposed, commit.changed.keys(), commit.revision, judged, Holds(dict(before.held)))
    after = step.run(rules)
    pins = Pins(before.in_force, commit.revision, judged, step.whole)
    pinned = pins.pin(before.pinned, commit.stacks, commit.restored, after, commit.uses)
    step.holding.renew(before.held, commit.proposed)
    access = rules.follow(judged.access, before.in_force, after, now)
    return Admission(after, access, step.holds.changes, pinned)


def approve(
    before: Admission, approval: Approval, rules: Rules, now: datetime, uses: Uses = always
) -> Admission | Refused:
    """Let a held change come into force that somebody with the right approved, by the rules as they are now.

    `uses` says whether files belong to a stack, at the revision in force.
    """
    start, holds, pinned = before.in_force, Holds(dict(before.held)), dict(before.pinned)
    judged = Judged(approval.person, before.access.at(now), judging=True)
    step = Step(start, start.proposed, (), start.revision, judged, holds)
    document = next((each for each in holds.changes.values() if each.id == approval.held), None)
    files = next((stack for stack, each in pinned.items() if each.id == approval.held), None)
    if document is not None:
        holds.release(document)
        refused = _in_the_way(document, start.proposed.hold(holds.documents()))
        if refused is not None:
            return Refused(approval, refused)
        missing = step.lacking(document.ref)
    elif files is not None:
        missing = judged.judge(start.proposed).files(files)
        del pinned[files]
    else:
        return Refused(approval, "there is no such change any more: it was made anew, or has come to be")
    if missing is not None:
        return Refused(approval, missing.message)
    step.approved = frozenset() if document is None else frozenset({document.ref})
    after = step.run(replace(rules, destroy_budget=100.0))
    if document is not None:
        again = holds.on(document.ref) or holds.holding(document.documents or ())
        if again is not None:
            return Refused(approval, again.message)
        if (missing := step.unmade(document.ref, after)) is not None:
            return Refused(approval, missing.message)
    pins = Pins(start, start.revision, judged, step.whole)
    pinned = pins.pin(pinned, NO_FILES, (), after, uses)
    return Admission(after, rules.follow(judged.access, start, after, now), holds.changes, pinned)


def _in_the_way(released: HeldChange, proposed: Catalog) -> str | None:
    """Say why what was held cannot come into force, whoever approves it."""
    claims = proposed.claimants(released.ref)
    there = {HeldDocument.of(placed) for placed in claims}
    if not there.issuperset(each._replace(copy=0) for each in released.documents or ()):
        return f"{released.ref} lies elsewhere as long as the space of its directory is held: that comes first"
    if released.documents and len(claims) > 1:
        files = sorted({placed.resource.file for placed in claims} - {each.file for each in released.documents})
        where = ", ".join(files) or "the same file"
        return (
            f"{released.ref} is declared in {where} too, and only one of them can be in force: take the other out first"
        )
    return None


def _unsettled(in_force: InForce) -> bool:
    return bool(in_force.kept or in_force.pending or in_force.proposed.overrides)
