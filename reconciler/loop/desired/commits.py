"""The walk along the branch: each commit against its first parent, judged by the rules that were in force before it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from posixpath import dirname, join, normpath
from typing import Protocol

from rbac.access.subjects import Subject, SubjectKind
from rbac.admission.admission import NOBODY, Admission, Approval, Commit, Halted, HaltReason, Refused, admit, approve
from rbac.admission.held import HeldChange
from rbac.admission.pinning import NO_FILES, FileChanges
from rbac.admission.settings import Rules
from rbac.identity import Addresses, Admins, Forge, Identities, IdentityMode, Person, Stranger
from reconciler.core.digest import SourceSnapshot
from reconciler.git.errors import GitError, GitReason
from reconciler.git.objects import CommitInfo, EntryKind
from reconciler.git.signatures import Signatures
from reconciler.git.trees import Trees
from reconciler.loop.desired.generation import Step, repinned
from reconciler.loop.desired.repositories import Places
from reconciler.loop.desired.sources import Code, SourceIndex, changed_of, snapshot, traces, uses_at, watched
from reconciler.loop.desired.world import CONFIGURATION, World
from reconciler.policies.checking import check_rego
from reconciler.store.protocol import AuditEvent, ConfigurationState, Halt, StoredApproval
from spaces.blueprints.derived import evolve, remade
from spaces.catalog import Catalog
from spaces.documents.changes import changes
from spaces.documents.documents import Placed, PlacedDocuments
from spaces.effective.stack import EffectiveStack, Layers, ResolvedSource, effective
from spaces.held_documents import HeldDocument
from spaces.in_force import InForce, affected, differing
from spaces.model.people import UserSpec
from spaces.model.stack import StackSpec
from spaces.names import ROOT, Kind, Revision, StackId
from spaces.reading.attachments import MAX_BYTES, NO_FILE, NOT_THERE, THROUGH_LINK, TOO_LARGE, Attach, Unusable
from spaces.reading.documents import ReadDocuments, read_documents
from spaces.reading.rego import CheckRego


def attach_at(trees: Trees, revision: Revision) -> Attach:
    """Read the files of a revision, never through a link."""
    return lambda path: read_attached(trees, revision, path)


def read_attached(trees: Trees, revision: Revision, path: str) -> bytes | Unusable:
    """Give a file's content, or why there is none to be had."""
    entry = trees.entry(revision, path)
    if entry is None:
        return THROUGH_LINK if _through_link(trees, revision, path) else NOT_THERE
    if entry.kind is EntryKind.SYMLINK:
        return THROUGH_LINK
    if not entry.kind.is_file:
        return NO_FILE
    return trees.read_blob(entry.id) if trees.blob_size(entry.id) <= MAX_BYTES else TOO_LARGE


def changed_documents(
    trees: Trees, catalog: Catalog, at: Revision, revision: Revision, config_path: str
) -> dict[str, bytes | None]:
    """Give the configuration files that differ, and those whose documents refer to a file that differs."""
    changed = trees.changed_files(at, revision, config_path)
    if catalog.attached:
        for file in catalog.attaching(trees.changed_paths(at, revision, config_path)) - changed.keys():
            changed[file] = trees.read(revision, file)
    return changed


def _through_link(trees: Trees, revision: Revision, path: str) -> bool:
    parts = path.split("/")
    above = ("/".join(parts[:end]) for end in range(1, len(parts)))
    found = (trees.entry(revision, each) for each in above)
    return any(entry is not None and entry.kind is EntryKind.SYMLINK for entry in found)


class FindsPersons(Protocol):
    """Says whose commit it is."""

    def of(self, commit: CommitInfo, documents: PlacedDocuments, now: datetime) -> Person | Stranger:
        """Name the person of a commit, by what was in force before it."""


@dataclass(slots=True)
class Persons:
    """Finds the persons of commits. Only the loop's own thread asks."""

    signatures: Signatures
    mode: IdentityMode
    admins: Admins
    forges: tuple[Forge, ...] = ()
    _known: tuple[Mapping[str, UserSpec], Identities] | None = None

    def of(self, commit: CommitInfo, documents: PlacedDocuments, now: datetime) -> Person | Stranger:
        """Name the person of a commit, by what was in force before it and what the keys are worth now."""
        identities = self._identities(documents)
        verdict = None
        if self.mode is IdentityMode.SIGNED:
            verdict = self.signatures.verify(commit, identities.ring, now)
        return identities.person(verdict, Addresses(commit.author_email, commit.committer_email))

    def _identities(self, documents: PlacedDocuments) -> Identities:
        users = users_of(documents)
        if self._known is None or self._known[0] != users:
            self._known = users, Identities.compile(users, self.admins, self.forges, self.mode)
        return self._known[1]


def users_of(documents: PlacedDocuments) -> dict[str, UserSpec]:
    """Give the users in force by name."""
    found = {each.ref.name: each.resource.spec for each in documents.of_kind(Kind.USER) if each.ref.space == ROOT}
    return {name: spec for name, spec in found.items() if isinstance(spec, UserSpec)}


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

    def walk(self, before: Admission | None, chain: Sequence[Revision], index: SourceIndex, now: datetime) -> Walk:
        """Judge the commits of `chain` one after the other; `index` says what the sources of stacks use before."""
        walk = Walk(before)
        watch = _Watch(self.trees(), index)
        here, at = before, before.in_force.revision if before is not None else None
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
            walk.halted = judged if isinstance(judged, Halted) else None
            if isinstance(judged, Halted):
                # If a later commit sets it right, each of them is judged by itself; if not, nothing of this counts.
                judged, person = self._admit(here, at, revision, watch, now, halting=False, beside=unread)
                assert isinstance(judged, Admission)  # noqa: S101 - it was told not to halt
            steps.append((here.in_force if here is not None else None, judged.in_force))
            events += _told(here, judged, person, now)
            if isinstance(person, Person) and here is not None:
                kept_out = {each.ref for each in judged.waiting if each.file is None and each.revision == revision}
                files = {stack for stack in watch.touched if stack.ref not in kept_out}
                authors.append((str(person.subject), affected(here.in_force, judged.in_force) | files))
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
        self, before: Admission, stored: Iterable[StoredApproval], now: datetime
    ) -> tuple[Admission, list[AuditEvent]]:
        """Let those held changes come into force that somebody with the right approved."""
        here, events, trees = before, [], self.trees()
        for each in stored:
            held = next((change for change in here.waiting if change.id == each.held), None)
            details = {"held": each.held, "because": each.because} | ({"change": held.to_json()} if held else {})
            approval = Approval(each.held, Person(_subject(each.subject), each.because))
            result = approve(here, approval, self.rules, now, uses_at(trees, here.in_force.revision))
            if isinstance(result, Refused):
                details["refused"] = result.message
                events.append(AuditEvent("approval-refused", now, each.subject, details))
            else:
                here = result
                events.append(AuditEvent("approved", now, each.subject, details))
        return here, events

    def _admit(
        self,
        here: Admission | None,
        at: Revision | None,
        revision: Revision,
        watch: _Watch,
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
        changed = changed_documents(trees, here.in_force.proposed, at, revision, self.config_path)
        touched, restored, proposed = watch.look(here, at, revision)
        person: Person | Stranger = NOBODY
        if (changed or touched or proposed) and self.rules.judges(here.in_force.catalog):
            person = self.persons.of(trees.commit(revision), here.in_force.catalog, now)
            person = person if beside is None else _nobody_knows(beside)
        uses = uses_at(trees, revision)
        commit = Commit(revision, changed, person, touched, restored, proposed, attach, self.check, uses, self.read)
        return admit(here, commit, self.rules, now, halting=halting), person


@dataclass(slots=True)
class _Watch:
    """Finds the stacks whose files in this repository a commit changes, while the configuration changes too."""

    trees: Trees
    index: SourceIndex
    _own: SourceIndex = field(default_factory=SourceIndex)
    _renewed: set[StackId] = field(default_factory=set)
    """The stacks for which `_own` counts, and `index` no more."""
    touched: frozenset[StackId] = frozenset()
    """The stacks whose files differ in the commit that was looked at last."""

    def look(
        self, here: Admission, at: Revision, revision: Revision
    ) -> tuple[Mapping[StackId, FileChanges], frozenset[StackId], frozenset[str]]:
        """Give the stacks whose files differ, the pinned ones as they are pinned, the holds about other files."""
        self.touched = frozenset()
        paths = self.trees.changed_paths(at, revision)
        if not paths:
            return NO_FILES, frozenset(), frozenset()
        users = self.index.users(CONFIGURATION, paths) - self._renewed | self._own.users(CONFIGURATION, paths)
        touched: dict[StackId, FileChanges] = {}
        restored = set()
        for stack in users | here.pinned.keys():
            configured = _configured(here.in_force, stack)
            if configured is None:
                continue
            was, now = self._snapshot(configured, at), self._snapshot(configured, revision)
            if not _same(was, now):
                assert configured.source is not None  # noqa: S101 - it has one in this repository
                touched[stack] = changed_of(configured.source, self.trees, paths, (at, was), (revision, now))
            pin = here.pins.get(stack)
            if pin is not None and _same(self._snapshot(configured, pin), now):
                restored.add(stack)
        self.touched = frozenset(touched)
        if touched:
            # What the files refer to may be something else now.
            self._renew(here.in_force, touched, revision)
        return touched, frozenset(restored), self._proposed(here, at, revision)

    def _proposed(self, here: Admission, at: Revision, revision: Revision) -> frozenset[str]:
        would_be = ((held.id, placed) for held in here.held.values() for placed in _would_be(here.in_force, held))
        return frozenset(name for name, placed in would_be if self._changes(placed, at, revision))

    def _changes(self, stack: Placed, at: Revision, revision: Revision) -> bool:
        spec = stack.resource.spec
        if not isinstance(spec, StackSpec) or spec.source is None or spec.source.repository:
            return False
        path = normpath(join(dirname(stack.resource.file), spec.source.path))
        code = Code(spec.tool.value, ResolvedSource(None, None, path, spec.source.include))
        one, other = (traces(code, self.trees, each) for each in (at, revision))
        return not _same(one, other)

    def follow(self, before: Admission | None, after: Admission) -> None:
        """Note what the sources of changed stacks use now: the next commit is compared with it."""
        if before is None:
            self._renew(after.in_force, after.in_force.catalog.stacks(), after.in_force.revision)
            return
        differ = differing(before.in_force, after.in_force)
        stacks = {StackId(ref.space, ref.name) for ref in differ if ref.kind is Kind.STACK}
        self._renew(after.in_force, stacks | affected(before.in_force, after.in_force), after.in_force.revision)

    def _renew(self, in_force: InForce, stacks: Iterable[StackId], revision: Revision) -> None:
        layers: Layers = {}
        for stack in stacks:
            self._renewed.add(stack)
            self._own.remove(stack)
            configured = _configured(in_force, stack, layers)
            if configured is None or configured.source is None:
                continue
            found = snapshot(configured, self.trees, revision)
            self._own.put(stack, CONFIGURATION, configured.source, watched(found))

    def _snapshot(self, stack: EffectiveStack, revision: Revision) -> SourceSnapshot | None:
        assert stack.source is not None  # noqa: S101 - it has one in this repository
        return traces(Code.of(stack, stack.source), self.trees, revision)


def _unreadable(revision: Revision, error: GitError) -> Halted:
    message = f"revision {revision[:12]} cannot be compared with what was before it: {error.message}; nothing changes"
    return Halted(HaltReason.TOO_MANY_FILES, message, revision)


def _nobody_knows(unread: Revision) -> Stranger:
    why = f"its changes cannot be told from those of revision {unread[:12]} before it, which cannot be read"
    return Stranger("Unreadable", why, "put back what should not be, and make the rest anew")


def _configured(in_force: InForce, stack: StackId, layers: Layers | None = None) -> EffectiveStack | None:
    """Give a stack whose source is in this repository."""
    if in_force.catalog.placed(stack.ref) is None:
        return None
    found = effective(in_force.catalog, stack, layers)
    return found if found.source is not None and found.source.repository is None else None


def _would_be(in_force: InForce, held: HeldChange) -> Iterator[Placed]:
    """Give the documents that would come of a held change: the document itself, or what instances would make of it."""
    documents = {each._replace(copy=0) for each in held.documents or ()}
    found = [placed for placed in in_force.proposed.held_at(held.ref) if HeldDocument.of(placed) in documents]
    if not documents and (placed := in_force.proposed.placed(held.ref)) is not None:
        found.append(placed)
    if held.ref.kind not in (Kind.BLUEPRINT, Kind.BLUEPRINT_INSTANCE):
        yield from found
        return
    for placed in found:
        after = evolve(in_force.catalog, {held.ref: placed})
        for ref in remade(in_force.catalog, after):
            made = after.placed(ref)
            if made is not None and made.resource.made is not None:
                yield made


def _same(one: SourceSnapshot | None, other: SourceSnapshot | None) -> bool:
    """Say whether two sources are the same; so are two that cannot be read."""
    if one is None or other is None:
        return one is other
    return one.entries == other.entries and one.facts == other.facts


def _told(before: Admission | None, after: Admission, person: Person | Stranger, now: datetime) -> Iterable[AuditEvent]:
    """Put one commit's admission into rows of the audit; none where it changed nothing that counts."""
    revision = after.in_force.revision
    if before is None:
        counts = {str(kind): count for kind, count in after.in_force.catalog.counts().items()}
        yield AuditEvent("trusted", now, None, {"revision": revision, "documents": counts})
        return
    who = str(person.subject) if isinstance(person, Person) else None
    how = person.because if isinstance(person, Person) else person.message
    found = changes(before.in_force.catalog, after.in_force.catalog, differing(before.in_force, after.in_force))
    if found:
        words = [f"{change.verb} {change.ref}" for change in found]
        details = {"revision": revision, "because": how, "changes": words[:_LISTED], "count": len(words)}
        yield AuditEvent("admitted", now, who, details)
    old, new = ({each.id: each for each in it.waiting} for it in (before, after))
    for name in sorted(new.keys() - old.keys()):
        yield AuditEvent("held", now, who, {"revision": revision, "because": how, "change": new[name].to_json()})
    for name in sorted(old.keys() - new.keys()):
        details = {"revision": revision, "because": how, "change": old[name].to_json()}
        yield AuditEvent("hold-ended", now, who, details)


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
    ) -> tuple[Step | None, Halt | None]:
        """Follow a chain of commits, oldest first: the step that it brings, and the halt that it ended with."""
        walk = self.admitting.walk(before, chain, self.world.index, now)
        halted = walk.halted
        told = halt(state, halted.reason, halted.message, halted.revision, now) if halted else None
        here = walk.admission
        if here is None or here is before:
            return None, told
        return self._step(before, here, walk), told

    def approve(self, step: Step, approvals: list[StoredApproval], now: datetime) -> None:
        """Let approved changes come into force, on top of what else the step brings."""
        before = step.admission
        for each in approvals:
            here, held = step.admission, next((it for it in step.admission.waiting if it.id == each.held), None)
            step.admission, events = self.admitting.approve(here, [each], now)
            step.events = [*step.events, *events]
            if held is not None:
                changed = affected(here.in_force, step.in_force) | repinned(here, step.admission)
                step.by(changed, each.subject, held.person)
        step.approvals = tuple(each.held for each in approvals)
        step.add(before.in_force, step.in_force)
        step.stacks |= repinned(before, step.admission)
        step.stacks = {stack for stack in step.stacks if step.in_force.catalog.placed(stack.ref)}
        step.gone = {stack for stack in step.gone if step.in_force.has_left(stack.ref)}

    def _step(self, before: Admission | None, here: Admission, walk: Walk) -> Step:
        step = Step(here, set(), events=walk.events)
        for old, new in walk.steps:
            step.add(old, new)
        for person, stacks_changed in walk.authors:
            step.by(stacks_changed, person)
        if before is not None:
            step.stacks |= self._users(before.in_force.revision, here)
            step.stacks |= repinned(before, here)
        stacks = set(here.in_force.catalog.stacks()) if before is None else None
        placed = here.in_force.catalog.placed
        step.stacks = {each for each in step.stacks if (each in stacks if stacks is not None else placed(each.ref))}
        step.gone = {stack for stack in step.gone if here.in_force.has_left(stack.ref)}
        return step

    def _users(self, at: Revision, here: Admission) -> set[StackId]:
        """Find the stacks whose files may be others now: all of them where that is too much to be read."""
        try:
            changed = self.places.config_trees().changed_paths(at, here.in_force.revision)
        except GitError as error:
            if error.reason is not GitReason.TOO_MANY_FILES:
                raise
            return set(here.in_force.catalog.stacks())
        return self.world.index.users(CONFIGURATION, changed)


def halt(state: ConfigurationState, reason: str, message: str, revision: Revision | None, now: datetime) -> Halt:
    """Halt; one that stands already keeps its time."""
    old = state.halted
    since = old.since if old is not None and old.reason == reason and old.revision == revision else now
    return Halt(str(reason), message, revision, since)
