"""From what is in force and the next commit to what is in force then, what is held, or a halt. Pure.

The loop calls `admit` for each commit of the branch, oldest first, `approve` for each approval, and `restore` after a
start. What is in force is always one consistent tree of files, composed document by document out of what people had
the right to write. What is held is not in the tree: it takes no name, no directory and no space from anybody. Nothing
here reads a clock, a repository or a store; `Commit` brings everything.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from itertools import chain

from rbac.access.access import Access
from rbac.access.actions import Action
from rbac.admission.authors import Authors
from rbac.admission.documents import Documents
from rbac.admission.entries import Entry, Held
from rbac.admission.former import Former
from rbac.admission.held import HeldChange
from rbac.admission.judge import Judge, MissingRight
from rbac.admission.objections import Rights
from rbac.admission.proposal import Proposal, State, Who
from rbac.admission.settings import Rules
from rbac.admission.settling import SPACES, Settling
from rbac.admission.sources import NO_FILES, FileChanges, Sources, Uses, Writes, always, follow_writes
from rbac.identity import LOCAL_OPERATOR, Person, Stranger
from spaces.catalog import YAML, Catalog
from spaces.composition.holds import Because
from spaces.composition.reading import FileReading
from spaces.composition.trial import Trial
from spaces.diagnostics import in_order
from spaces.documents.changes import Verb, changes
from spaces.documents.documents import PlacedDocuments
from spaces.effective.config_policies import AskConfig, nobody_asked
from spaces.effective.stack import effective
from spaces.in_force import InForce, differing
from spaces.names import ROOT, Kind, ResourceRef, Revision, StackId
from spaces.reading.attachments import Attach, no_files
from spaces.reading.documents import ReadDocuments, read_documents
from spaces.reading.rego import CheckRego, unchecked
from spaces.reading.texts import split

NOBODY = Stranger("NotAsked", "nobody was asked whose commit it is", "")
TRUSTED = Person(LOCAL_OPERATOR, "trusted: the first revision, or from before access was set up")


class HaltReason(StrEnum):
    """Why admission stands still."""

    BRANCH_EMPTIED = "BranchEmptied"
    TOO_MANY_FILES = "TooManyFiles"
    CANNOT_BE_JUDGED = "CannotBeJudged"


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit of the branch's first-parent chain, against its first parent.

    `changed` are the configuration files (None: gone), also those whose documents refer to a file that changed, and
    the held files that documents refer to; `stacks` those in force whose files it changed in this repository, with
    these files; `restored` the stacks with a held source whose files are again as they are in force; `proposed` the
    held changes, by id, about what has other files now; `writes` all files with their Git ids before and after.
    """

    revision: Revision
    changed: Mapping[str, bytes | None]
    person: Person | Stranger = NOBODY
    stacks: Mapping[StackId, FileChanges] = field(default_factory=dict)
    restored: frozenset[StackId] = frozenset()
    proposed: frozenset[str] = frozenset()
    writes: FileChanges = field(default_factory=dict)
    attach: Attach = field(repr=False, compare=False, default=no_files)
    """Reads the files that documents refer to, at this commit."""
    check: CheckRego = field(repr=False, compare=False, default=unchecked)
    """Says what is wrong with the rules of policies."""
    uses: Uses = field(repr=False, compare=False, default=always)
    """Says whether files belong to a stack, at this commit."""
    read: ReadDocuments = field(repr=False, compare=False, default=read_documents)
    """Reads files of documents."""
    ask: AskConfig = field(repr=False, compare=False, default=nobody_asked)
    """Asks the policies over documents."""


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
    held: Held = field(default_factory=Held)
    """Documents that stay as they were."""
    sources: Mapping[StackId, HeldChange] = field(default_factory=dict)
    """Stacks whose files stay as they were."""
    writes: Writes = field(default_factory=dict, repr=False)
    """Files that somebody without the right has written."""
    former: Former = field(default_factory=Former, repr=False)
    """The spaces that have left."""

    @property
    def doors(self) -> Access:
        """The access rules for those who ask: what is kept of a space that has left is its old parent's."""
        return self.access.keeping(self.former.keepers(self.in_force.documents.tree))

    @property
    def held_changes(self) -> tuple[HeldChange, ...]:
        """Every held change, by kind, space and name."""
        every = (*self.held.changes(), *self.sources.values())
        return tuple(sorted(every, key=lambda each: (each.ref, each.id)))

    @property
    def pins(self) -> Mapping[StackId, Revision]:
        """The revision at which the files of a stack stay, because its source is held. What people pin is elsewhere."""
        return {stack: each.pin for stack, each in self.sources.items() if each.pin is not None}


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
        nothing = InForce(commit.revision, Catalog())
        start = Admission(nothing, rules.compile(nothing.documents, now))
        return _Work(start, commit, rules, now, judging=False, first=True).run()
    if not (commit.changed or commit.stacks or commit.restored or commit.proposed or commit.writes):
        # Most commits of a busy repository change nothing that counts here.
        in_force = replace(before.in_force, revision=commit.revision)
        return replace(before, in_force=in_force, access=before.access.at(now))
    if halting and _emptied(before, commit):
        message = f"revision {commit.revision[:12]} holds no documents at all; what was in force stays"
        return Halted(HaltReason.BRANCH_EMPTIED, message, commit.revision)
    return _Work(before, commit, rules, now, judging=rules.judges(before.in_force.documents)).run()


def approve(
    before: Admission, approval: Approval, rules: Rules, now: datetime, commit: Commit | None = None
) -> Admission | Refused:
    """Let a held change come into force that somebody with the right approved, by the rules as they are now.

    `commit` says how files are read at the revision in force.
    """
    commit = commit or Commit(before.in_force.revision, {})
    start = replace(before, in_force=replace(before.in_force, touched=frozenset()))
    work = _Work(start, replace(commit, person=approval.person), rules, now, judging=True)
    source = next((stack for stack, each in before.sources.items() if each.id == approval.held), None)
    if source is not None:
        missing = work.judge().files(source)
        if missing is not None:
            return Refused(approval, missing.message)
        sources = {stack: each for stack, each in before.sources.items() if stack != source}
        return replace(before, access=before.access.at(now), sources=sources)
    entry = next((each for each in before.held if before.held.id_of(each) == approval.held), None)
    if entry is None:
        return Refused(approval, "there is no such change any more: it was made anew, or has come to be")
    return work.approve(approval, entry)


def restore(
    in_force: InForce,
    held: Held,
    sources: Mapping[StackId, HeldChange],
    writes: Writes,
    *,
    former: Former | None = None,
    rules: Rules,
    now: datetime,
) -> Admission:
    """Return what was recorded: the tree is read again, and nothing is searched or judged."""
    told = chain(in_force.tree.diagnostics, *(entry.hold.told for entry in held))
    in_force = replace(in_force, diagnostics=in_order(told))
    return Admission(in_force, rules.compile(in_force.documents, now), held, sources, writes, former or Former())


def read_tree(before: Catalog, files: Mapping[str, bytes | None], held: Held, reading: FileReading) -> Trial:
    """Return the tree in force at another revision. `files` differ from those of `before`, as the branch has them."""
    wanted = {path: held.files[path].force if path in held.files else data for path, data in files.items()}
    wanted = {path: data for path, data in wanted.items() if path.endswith(YAML)}
    parsed = reading.parse(
        {path: data for path, data in wanted.items() if data is not None}, held.attach(reading.attach)
    )
    return Trial.of(before, {path: parsed.get(path) for path in wanted})


def _emptied(before: Admission, commit: Commit) -> bool:
    """Whether nothing is left of the configuration on the branch, while something is in force."""
    if not any(True for _ in before.in_force.documents.refs()):
        return False
    if any(_has_documents(data) for path, data in commit.changed.items() if path.endswith(YAML)):
        return False
    held = before.held.files
    there = (path for path, file in before.in_force.tree.files.items() if file.resources and path not in held)
    if any(path not in commit.changed for path in there):
        return False
    left = (path for path in held if path not in commit.changed and path.endswith(YAML))
    return not any(_has_documents(held[path].tip) for path in left)


def _has_documents(data: bytes | None) -> bool:
    return any(each.key is not None or each.hides for each in split(data))


@dataclass(slots=True)
class _Work:
    """One commit, or one approval: the step of its own changes, and then of what waited for them."""

    before: Admission
    commit: Commit
    rules: Rules
    now: datetime
    judging: bool
    first: bool = False
    writes: Writes = field(init=False)
    who: Who = field(init=False)

    def __post_init__(self) -> None:
        self.who = Who.of(self.commit.person if self.judging else TRUSTED, self.commit.revision)
        self.writes = self.before.writes

    def judge(self) -> Judge:
        """Return the judge of the commit's person, by the rules before it."""
        documents = self.before.in_force.documents
        return Judge(self.before.access.at(self.now), self.who.person, documents, documents, self.before.former)

    def run(self) -> Admission:
        """Judge the commit."""
        before, commit = self.before, self.commit
        held = before.held.renew(commit.proposed, commit.revision, self.who.name)
        if self.judging:
            space_of = before.in_force.tree.space_of
            self.writes = follow_writes(
                before.writes, commit.writes, self.judge(), (self.who.name, commit.revision), space_of
            )
        start = State(before.in_force.tree, held)
        proposal = Proposal.of_commit(
            start, before.in_force.revision, commit.changed, self._reading(held), self.who, judging=self.judging
        )
        settling = self._settling(proposal)
        state = settling.settle()
        state = self._wake(state._replace(woken=state.woken | commit.writes.keys()))
        whole: MissingRight | None = None
        in_force = self._in_force(state)
        leaving = [] if self.first else _leaving(before.in_force, in_force)
        stacks = before.in_force.documents.counts().get(Kind.STACK, 0)
        if len(leaving) > self.rules.may_leave(stacks):
            whole = _too_many(len(leaving), stacks)
            state = settling.hold_whole(whole)
            in_force = self._in_force(state)
        return self._admission(in_force, state.held, whole)

    def approve(self, approval: Approval, entry: Entry) -> Admission | Refused:
        """Let an entry come into force, with all that it is linked to."""
        held, in_force = self.before.held, self.before.in_force
        units = held.together([entry.unit])
        start = State(in_force.tree, held)
        proposal = Proposal.of_entries(
            start, in_force.revision, units, self._reading(held, {unit.path for unit in units}), self.who
        )
        state = self._settling(proposal, approved=True).settle()
        again = next((each for unit in sorted(units) if (each := state.held.get(unit)) is not None), None)
        if again is not None:
            return Refused(approval, _refusal(again))
        state = self._wake(state)
        return self._admission(self._in_force(state), state.held, None)

    def _wake(self, state: State) -> State:
        """Try what waited for something that has changed now, as its own authors', until nothing more comes in."""
        while state.woken:
            units = frozenset(
                entry.unit
                for entry in state.held
                if entry.hold.because is not Because.NO_RIGHT
                and (SPACES in state.woken or not state.woken.isdisjoint(entry.hold.wakes))
            )
            if not units:
                break
            revision = self.before.in_force.revision
            reading = self._reading(state.held, {unit.path for unit in units})
            proposal = Proposal.of_entries(state, revision, units, reading, self.who, own=True)
            after = self._settling(proposal).settle()
            state = after._replace(
                touched=state.touched | after.touched,
                woken=after.woken if after.touched else frozenset(),
                warnings=(*state.warnings, *after.warnings),
            )
        return state

    def _in_force(self, state: State) -> InForce:
        told = chain(state.tree.diagnostics, *(entry.hold.told for entry in state.held), state.warnings)
        return InForce.after(self.before.in_force, self.commit.revision, state.tree, told, state.touched)

    def _reading(self, held: Held, trying: Collection[str] = ()) -> FileReading:
        """Return how files are read: those that are held as they are in force, but for what is being tried."""
        commit = self.commit
        return FileReading(held.attach(commit.attach, {*commit.changed, *trying}), commit.read, commit.check)

    def _settling(self, proposal: Proposal, *, approved: bool = False) -> Settling:
        access, authors = self.before.access.at(self.now), Authors(proposal)
        documents = Documents(self.commit.ask, access, self.now, approved)
        planted = self._planted(approved=approved)
        rights = Rights(access, authors.persons, planted, documents, self.judging, self.before.former)
        return Settling(proposal, authors, rights)

    def _planted(self, *, approved: bool) -> Callable[[PlacedDocuments, StackId, Judge], Writes]:
        def planted(documents: PlacedDocuments, stack: StackId, judge: Judge) -> Writes:
            if not self.writes or approved or stack in self.before.sources:
                return {}
            configured = effective(documents, stack)
            old = self.before.in_force.documents.placed(stack.ref)
            if configured.source is None or configured.source.repository is not None:
                return {}
            if old is not None and effective(self.before.in_force.documents, stack).source == configured.source:
                return {}
            if judge.files(stack) is not None:
                return {}
            uses = self.commit.uses
            return {path: write for path, write in self.writes.items() if uses(configured, None, [path])}

        return planted

    def _admission(self, in_force: InForce, held: Held, whole: MissingRight | None) -> Admission:
        before, commit = self.before, self.commit
        sources = Sources(before.in_force, commit.revision, self.judge(), self.who.name, self.judging, whole)
        touched = commit.stacks if not self.first else NO_FILES
        kept = sources.hold(before.sources, touched, commit.restored, in_force, commit.uses)
        if self.first:
            followed = self.rules.compile(in_force.documents, self.now)
        else:
            followed = self.rules.follow(before.access.at(self.now), before.in_force, in_force, self.now)
        former = before.former.after(before.in_force.documents.tree, in_force.documents.tree)
        return Admission(in_force, followed, held, kept, self.writes, former)


def _leaving(before: InForce, after: InForce) -> list[ResourceRef]:
    found = changes(before.documents, after.documents, differing(before, after))
    return [change.ref for change in found if change.verb is Verb.DELETE and change.ref.kind is Kind.STACK]


def _too_many(leaving: int, stacks: int) -> MissingRight:
    why = (
        f"by this commit {leaving} of {stacks} stacks would leave Git, more than the destruction budget allows: "
        "nothing of it is in force until it is approved"
    )
    return MissingRight(Action("stack", "delete"), ROOT, why)


def _refusal(entry: Entry) -> str:
    if entry.hold.because in {Because.NO_RIGHT, Because.DENIED}:
        return entry.message
    told = "; ".join(each.summary + (f" ({each.hint})" if each.hint else "") for each in entry.hold.told)
    first = ", ".join(sorted({unit.path for unit in entry.hold.linked}))
    if entry.hold.because is Because.WAITS and first:
        return f"{entry.ref} waits for what is held in {first}: that comes first"
    return f"{entry.ref} does not work: {told}"
