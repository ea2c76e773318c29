"""The walk along the branch: each commit against its first parent, judged by the rules that were in force before it.

`Advancing` calls `Walking.walk` with the commits between the revision in force and the tip, and gets a `Changeset`, a
halt, or both. `Admitting` does the judging, commit by commit, through `rbac.admission.admit`; a merge that nobody has
made yet is judged by it as well (`merging`). Nothing here writes to the store.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from rbac.access.actions import on_document
from rbac.access.subjects import Subject, SubjectKind
from rbac.admission.admit import NOBODY, Admission, Approval, Commit, Halted, HaltReason, Refused, admit, approve
from rbac.admission.held import HeldChange
from rbac.admission.settings import Rules
from rbac.identity import Person, Stranger
from reconciler.git.errors import GitError, GitReason
from reconciler.git.trees import Trees
from reconciler.loop.desired.files import attach_at, changed_files
from reconciler.loop.desired.generation import Changeset, repinned
from reconciler.loop.desired.persons import FindsPersons
from reconciler.loop.desired.repositories import Places
from reconciler.loop.desired.source_changes import HeldSources, SourceChanges
from reconciler.loop.desired.sources import SourceIndex, uses_at
from reconciler.loop.desired.world import CONFIGURATION, World
from reconciler.policies.checking import check_rego
from reconciler.policies.documents import ask_config
from reconciler.runs.audit import Approvals
from reconciler.store.stored import AuditEvent, ConfigurationState, Halt, StoredApproval
from spaces.documents.changes import DocumentChange, changes
from spaces.effective.config_policies import AskConfig
from spaces.in_force import InForce, affected, differing, left
from spaces.names import Revision, StackId
from spaces.reading.documents import ReadDocuments, read_documents
from spaces.reading.rego import CheckRego

_log = logging.getLogger(__name__)

_LISTED = 200
"""How many changes a row of the audit names."""


@dataclass(slots=True)
class Walk:
    """What came of walking some commits: `admission` after the last that was admitted, `halted` where the tip is not.

    `steps` are the states before and after each commit that was admitted.
    """

    admission: Admission | None
    halted: Halted | None = None
    steps: list[tuple[InForce | None, InForce]] = field(default_factory=list)
    events: list[AuditEvent] = field(default_factory=list)
    authors: list[tuple[str, frozenset[StackId]]] = field(default_factory=list)
    """Whose the admitted commits were, where that is known, and the stacks that each of them changed."""


@dataclass(slots=True)
class Admitting:
    """Judges commits and approvals."""

    trees: Callable[[], Trees]
    config_path: str
    rules: Rules
    persons: FindsPersons
    read: ReadDocuments = read_documents
    check: CheckRego = check_rego
    ask: AskConfig = ask_config
    held_sources: HeldSources = field(default_factory=HeldSources)

    def walk(self, before: Admission | None, chain: Sequence[Revision], index: SourceIndex, now: datetime) -> Walk:
        """Judge the commits of `chain` one after the other; `index` says what the sources of stacks use before."""
        walk = Walk(before)
        watch = SourceChanges(self.trees(), index, self.held_sources)
        here, at = before, before.in_force.revision if before is not None else None
        # Gathered since the last commit that did not halt, and moved into `walk` once one does not halt.
        steps: list[tuple[InForce | None, InForce]] = []
        events: list[AuditEvent] = []
        authors: list[tuple[str, frozenset[StackId]]] = []
        unread: Revision | None = None
        for revision in chain:
            try:
                judged, person = self._admit(here, at, revision, watch, now, beside=unread)
            except GitError as error:
                if error.reason is not GitReason.TOO_MANY_FILES:
                    raise
                # What it holds is judged with the next commit that can be read, and then as nobody's.
                unread = revision
                walk.halted = _unreadable(revision, error)
                continue
            except Exception as error:  # noqa: BLE001
                # Whatever is wrong with one commit, or with us, must not stop the ones behind it for ever.
                _log.exception("revision %s cannot be judged", revision)
                unread = revision
                walk.halted = _unjudged(revision, error)
                continue
            walk.halted = judged if isinstance(judged, Halted) else None
            if isinstance(judged, Halted):
                # If a later commit sets it right, each of them is judged by itself; if not, nothing of this counts.
                judged, person = self._admit(here, at, revision, watch, now, halting=False, beside=unread)
                assert isinstance(judged, Admission)  # noqa: S101 - it was told not to halt
            steps.append((here.in_force if here is not None else None, judged.in_force))
            events += _told(here, judged, person, now)
            if isinstance(person, Person) and here is not None:
                kept_out = {each.ref for each in judged.held_changes if each.pin is None and each.revision == revision}
                files = {stack for stack in watch.touched if stack.ref not in kept_out}
                concerned = affected(here.in_force, judged.in_force) | left(here.in_force, judged.in_force) | files
                authors.append((str(person.subject), concerned))
            if revision != chain[-1]:
                watch.follow(here, judged)
            here, at, unread = judged, revision, None
            if walk.halted is None:
                walk.admission = here
                walk.steps += steps
                walk.events += events
                walk.authors += authors
                steps, events, authors = [], [], []
        return walk

    def approve(
        self, before: Admission, stored: StoredApproval, held: HeldChange | None, now: datetime
    ) -> tuple[Admission, AuditEvent]:
        """Let a held change come into force, if who approved it has the right to that."""
        trees, at = self.trees(), before.in_force.revision
        details = {"held": stored.held, "because": stored.because} | ({"change": held.to_json()} if held else {})
        approval = Approval(stored.held, Person(_subject(stored.subject), stored.because))
        commit = Commit(
            at, {}, attach=attach_at(trees, at), check=self.check, uses=uses_at(trees, at), read=self.read, ask=self.ask
        )
        result = approve(before, approval, self.rules, now, commit)
        if isinstance(result, Refused):
            details["refused"] = result.message
            return before, AuditEvent(Approvals.REFUSED, now, stored.subject, details)
        return result, AuditEvent(Approvals.ACCEPTED, now, stored.subject, details)

    def _admit(
        self,
        here: Admission | None,
        at: Revision | None,
        revision: Revision,
        watch: SourceChanges,
        now: datetime,
        *,
        halting: bool = True,
        beside: Revision | None = None,
    ) -> tuple[Admission | Halted, Person | Stranger]:
        trees = self.trees()
        attach = attach_at(trees, revision)
        if here is None or at is None:
            changed = trees.changed_files(None, revision, self.config_path)
            first = Commit(revision, changed, attach=attach, check=self.check, read=self.read)
            return admit(None, first, self.rules, now), NOBODY
        held = here.held.files
        changed = changed_files(trees, here.in_force.tree, held, (at, revision), self.config_path)
        looked = watch.look(here, at, revision)
        person: Person | Stranger = NOBODY
        if (changed or looked.writes) and self.rules.judges(here.in_force.documents):
            person = self.persons.of(trees.commit(revision), here.in_force.documents, now)
            person = person if beside is None else _nobody_knows(beside)
        commit = Commit(
            revision,
            changed,
            person,
            stacks=looked.stacks,
            restored=looked.restored,
            proposed=looked.proposed,
            writes=looked.writes,
            attach=attach,
            check=self.check,
            uses=uses_at(trees, revision),
            read=self.read,
            ask=self.ask,
        )
        return admit(here, commit, self.rules, now, halting=halting), person


def _unreadable(revision: Revision, error: GitError) -> Halted:
    message = f"revision {revision[:12]} cannot be compared with what was before it: {error.message}; nothing changes"
    return Halted(HaltReason.TOO_MANY_FILES, message, revision)


def _unjudged(revision: Revision, error: Exception) -> Halted:
    message = (
        f"revision {revision[:12]} cannot be judged ({type(error).__name__}: {str(error)[:200]}); nothing of it is in "
        "force. Undo it with another commit, and report this with the service's log"
    )
    return Halted(HaltReason.CANNOT_BE_JUDGED, message, revision)


def _nobody_knows(unread: Revision) -> Stranger:
    why = f"its changes cannot be told from those of revision {unread[:12]} before it, which cannot be read"
    return Stranger("Unreadable", why, "revert what should not be there, and commit the rest again")


def _told(before: Admission | None, after: Admission, person: Person | Stranger, now: datetime) -> Iterable[AuditEvent]:
    """Put one commit's admission into rows of the audit; none where it changed nothing that counts."""
    revision = after.in_force.revision
    if before is None:
        counts = {str(kind): count for kind, count in after.in_force.documents.counts().items()}
        yield AuditEvent("trusted", now, None, {"revision": revision, "documents": counts})
        return
    who = str(person.subject) if isinstance(person, Person) else None
    how = person.because if isinstance(person, Person) else person.message
    found = changes(before.in_force.documents, after.in_force.documents, differing(before.in_force, after.in_force))
    if found:
        words = [f"{change.verb} {change.ref}" for change in found]
        details = {"revision": revision, "because": how, "changes": words[:_LISTED], "count": len(words)}
        if isinstance(person, Person):
            details["rights"] = _rights(before, person, found, now)
        yield AuditEvent("admitted", now, who, details)
    old, new = ({each.id: each for each in it.held_changes} for it in (before, after))
    for name in sorted(new.keys() - old.keys()):
        yield AuditEvent("held", now, who, {"revision": revision, "because": how, "change": new[name].to_json()})
    for name in sorted(old.keys() - new.keys()):
        details = {"revision": revision, "because": how, "change": old[name].to_json()}
        yield AuditEvent("hold-ended", now, who, details)


def _rights(before: Admission, person: Person, found: Sequence[DocumentChange], now: datetime) -> list[str]:
    """Return what the person's rights to some changes rested on, each basis once."""
    access = before.access.at(now)
    asked = dict.fromkeys((change.ref.kind, change.verb, change.ref.space) for change in found)
    decisions = (access.decide(person.subject, on_document(kind, verb), space) for kind, verb, space in asked)
    return list(dict.fromkeys(decision.because for decision in decisions if decision.allowed))[:_LISTED]


def _subject(text: str) -> Subject:
    kind, _, name = text.partition(":")
    return Subject(SubjectKind(kind), name)


@dataclass(frozen=True, slots=True)
class Walking:
    """Has commits judged, and gathers what the admitted ones change, all in all."""

    world: World
    places: Places
    admitting: Admitting

    def walk(
        self, before: Admission | None, chain: list[Revision], state: ConfigurationState, now: datetime
    ) -> tuple[Changeset | None, Halt | None]:
        """Follow a chain of commits, oldest first: what it changes, and the halt that it ended with."""
        walk = self.admitting.walk(before, chain, self.world.index, now)
        halted = walk.halted
        told = halt(state, halted.reason, halted.message, halted.revision, now) if halted else None
        here = walk.admission
        if here is None or here is before:
            return None, told
        return self._step(before, here, walk), told

    def approve(self, changeset: Changeset, approvals: list[StoredApproval], now: datetime) -> None:
        """Let approved changes come into force, on top of what else changes."""
        before = changeset.admission
        for each in approvals:
            here = changeset.admission
            held = next((it for it in here.held_changes if it.id == each.held), None)
            changeset.admission, event = self.admitting.approve(here, each, held, now)
            changeset.events = [*changeset.events, event]
            if held is not None:
                after = changeset.in_force
                changed = affected(here.in_force, after) | left(here.in_force, after)
                changed |= repinned(here, changeset.admission)
                changeset.by(changed, each.subject, held.person)
        changeset.approvals = tuple(each.held for each in approvals)
        changeset.add(before.in_force, changeset.in_force)
        changeset.stacks |= repinned(before, changeset.admission)

    def _step(self, before: Admission | None, here: Admission, walk: Walk) -> Changeset:
        changeset = Changeset(here, set(), events=walk.events)
        for old, new in walk.steps:
            changeset.add(old, new)
        for person, stacks_changed in walk.authors:
            changeset.by(stacks_changed, person)
        if before is not None:
            changeset.stacks |= self.users(before.in_force.revision, here)
            changeset.stacks |= repinned(before, here)
        return changeset

    def users(self, at: Revision, here: Admission) -> set[StackId]:
        """Return the stacks whose files may be others now: all of them where that is too much to be read."""
        try:
            changed = self.places.config_trees().changed_paths(at, here.in_force.revision)
        except GitError as error:
            if error.reason is not GitReason.TOO_MANY_FILES:
                raise
            return set(here.in_force.documents.stacks())
        return self.world.index.users(CONFIGURATION, changed)


def halt(state: ConfigurationState, reason: str, message: str, revision: Revision | None, now: datetime) -> Halt:
    """Halt; one that stands already keeps its time."""
    old = state.halted
    since = old.since if old is not None and old.reason == reason and old.revision == revision else now
    return Halt(str(reason), message, revision, since)
