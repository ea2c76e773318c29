"""Follows the repositories: from what was fetched to a new generation of the desired state, recorded in one step."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import Any

from rbac.admission import Admission
from rbac.held import HeldChange
from rbac.identity import IdentityMode
from rbac.rules import Rules
from reconciler.core.conditions import assess
from reconciler.core.diff import explain
from reconciler.core.reasons import Reason
from reconciler.core.runs import Run, RunEvent, RunStatus
from reconciler.core.state import Desired, Outcome, Problem, StackState
from reconciler.credentials.errors import SecretUnreadable
from reconciler.git.errors import GitError, GitReason
from reconciler.git.mirrors import Mirrors, Remote
from reconciler.git.objects import EntryKind
from reconciler.git.remote import redact
from reconciler.git.signatures import Signatures
from reconciler.git.trees import Trees
from reconciler.loop.admitting import Admitting, Walk
from reconciler.loop.attaching import attach_at, read_attached
from reconciler.loop.collector import loading
from reconciler.loop.fetching import Fetched
from reconciler.loop.followed import differs, remembered_url
from reconciler.loop.opening import unreadable
from reconciler.loop.outside import follows, outside_sources
from reconciler.loop.persons import Persons
from reconciler.loop.remotes import Remotes
from reconciler.loop.world import CONFIGURATION, Place, ReadSource, World, desire, read_source, source_key
from reconciler.store.protocol import (
    AuditEvent,
    ConfigurationState,
    Halt,
    KeptDocument,
    Store,
    StoredApproval,
    Transaction,
)
from spaces.catalog import Catalog
from spaces.changes import Verb, changes
from spaces.diagnostics import Diagnostic, Severity
from spaces.effective import EffectiveStack, ResolvedSource
from spaces.in_force import InForce, Recorded, affected, differing, restore
from spaces.names import Kind, Revision, StackId
from spaces.records import from_record, to_record
from spaces.references import moved_from
from spaces.settling import KeptBecause

_log = logging.getLogger(__name__)


class CannotFollow(Exception):
    """What was in force cannot be found again; nothing is changed. The message says why and what would help."""


@dataclass(slots=True)
class _Step:
    """What a look at the repositories would change."""

    admission: Admission
    stacks: set[StackId]
    """Stacks whose desired state is to be worked out anew."""
    gone: set[StackId] = field(default_factory=set)
    """Stacks whose documents really left Git."""
    moves: list[tuple[StackId, StackId]] = field(default_factory=list)
    tips: dict[str, Revision] = field(default_factory=dict)
    person: str | None = None
    events: list[AuditEvent] = field(default_factory=list)
    approvals: tuple[str, ...] = ()
    """The held changes whose approvals were looked at."""

    @property
    def in_force(self) -> InForce:
        """The documents in force after it."""
        return self.admission.in_force


@dataclass(slots=True)
class Follower:
    """Keeps a `World` in step with the repositories and the store."""

    store: Store
    mirrors: Mirrors
    remotes: Remotes
    config_path: str
    world: World = field(default_factory=World)
    _unavailable: dict[str, Diagnostic] = field(default_factory=dict)
    """The source repositories that could not be followed when they were last looked at."""
    _outside: tuple[InForce, list[ResolvedSource]] | None = None
    """The sources outside the configuration repository, and the configuration that names them."""
    _admitting: Admitting = field(init=False)
    _signatures: Signatures = field(init=False)
    _told: bool = False
    """Whether the log says already that everything is admitted."""

    def __post_init__(self) -> None:
        """Take what admission needs out of the settings."""
        settings = self.remotes.settings
        signatures = Signatures(settings.data_dir.absolute() / "keyrings", settings.search_path)
        self._signatures = signatures
        persons = Persons(signatures, settings.identity, settings.first_admins, settings.forges)
        rules = Rules(settings.first_admins, settings.destroy_budget)
        self._admitting = Admitting(self._config_trees, self.config_path, rules, persons)

    def close(self) -> None:
        """Remove what was only needed while the service runs."""
        self._signatures.close()

    # What to fetch

    def wanted(self) -> list[Remote]:
        """Give every remote that the configuration in force needs, the configuration repository first."""
        found = {self._configuration(): None}
        if self.world.in_force is not None:
            if self._outside is None or self._outside[0] is not self.world.in_force:
                self._outside = self.world.in_force, list(outside_sources(self.world.in_force))
            for source in self._outside[1]:
                remote = self.remotes.of_source(self.world.in_force.catalog, source)
                if isinstance(remote, Remote):
                    found[remote] = None
        return list(found)

    def _configuration(self) -> Remote:
        try:
            return self.remotes.configuration()
        except SecretUnreadable as error:
            raise CannotFollow(f"the configuration repository cannot be fetched: {error}") from None

    # Where sources are read

    def locate(self, in_force: InForce, stack: EffectiveStack) -> Place | Problem:
        """Find where a stack's source is read."""
        pins = self.world.admission.pins if self.world.admission else {}
        return self._locate(in_force, stack, self.world.tips, pins)

    def _locate(
        self,
        in_force: InForce,
        stack: EffectiveStack,
        tips: Mapping[str, Revision],
        pins: Mapping[StackId, Revision],
    ) -> Place | Problem:
        if stack.source is None or stack.source.repository is None:
            return Place(CONFIGURATION, self._config_trees(), pins.get(stack.id, in_force.revision))
        remote = self.remotes.of_source(in_force.catalog, stack.source)
        if isinstance(remote, Problem):
            return remote
        key = source_key(remote)
        revision = tips.get(key)
        if revision is None:
            message = f"{redact(remote.url)} (branch {remote.branch}) has not been fetched yet"
            return Problem(Reason.SOURCE_UNAVAILABLE, message)
        return Place(key, self.mirrors.mirror(remote.url).trees, revision)

    def _config_trees(self) -> Trees:
        return self.mirrors.mirror(self.remotes.settings.config_url or "").trees

    # Catching up with the store

    def catch_up(self, now: datetime) -> bool:
        """Bring the world to the generation that the store is at; say whether anything had to be done.

        CannotFollow where the recorded revision is not in the mirror (yet): a fetch has to come first.
        """
        with self.store.reading() as reading:
            state, waiting = reading.configuration(), reading.held_changes()
        if state.generation == self.world.generation:
            return False
        if changed := differs(self.remotes.settings, state):
            raise CannotFollow(changed)
        if state.admitted_revision is None:
            self.world = World(generation=state.generation)
            return True
        if self._step_to(state, state.admitted_revision, waiting, now):
            return True
        with loading():
            admission = self._find_again(state, state.admitted_revision, waiting, now)
            world = World(state.generation, admission, dict(state.sources))
            in_force = admission.in_force
            stacks = list(in_force.catalog.stacks())
            person = self._person(in_force)
            read = self._reading(world.tips, admission.pins)
            world.desired = dict(desire(in_force, stacks, read, world.index, person, check=self._unreadable))
            self.world = world
            self._correct(now)
        return True

    def _reading(self, tips: Mapping[str, Revision], pins: Mapping[StackId, Revision]) -> ReadSource:
        locate = partial(self._locate, tips=tips, pins=pins)
        return lambda in_force, stack: read_source(in_force, stack, locate)

    def _step_to(self, state: ConfigurationState, revision: Revision, waiting: list[HeldChange], now: datetime) -> bool:
        """Follow another service to its generation, at the cost of what changed; False: everything is to be read."""
        before = self.world.admission
        if before is None or self.world.generation < 0 or not self._config_trees().has(revision):
            return False
        chain = self._config_trees().first_parent_chain(before.in_force.revision, revision)
        if chain is None:
            return False
        step, _ = self._walk(before, chain, state, now) if chain else (None, None)
        step = step or _Step(before, set())
        if dict(to_record(Recorded.of(step.in_force))) != dict(state.remembered):
            return False
        if list(step.admission.waiting) != waiting:
            return False
        step.tips = {key: tip for key, tip in state.sources.items() if self.world.tips.get(key) != tip}
        for key, tip in step.tips.items():
            if not self.mirrors.mirror(key.rpartition("#")[0]).trees.has(tip):
                return False
            step.stacks |= self._users(key, tip)
        self._take_over(step, state.generation, self._desire(step))
        return True

    def _find_again(
        self, state: ConfigurationState, revision: Revision, waiting: list[HeldChange], now: datetime
    ) -> Admission:
        trees = self._config_trees()
        if not trees.has(revision):
            raise CannotFollow(self._not_there(state, revision))
        files = trees.files(revision, self.config_path)
        record: Any = state.remembered or to_record(Recorded())
        try:
            recorded = from_record(record, partial(read_attached, trees))
        except (GitError, ValueError) as error:
            raise CannotFollow(f"an earlier version of a document cannot be found again: {error}") from None
        held = {each.ref: each for each in waiting if each.pin is None}
        pinned = {StackId(each.ref.space, each.ref.name): each for each in waiting if each.pin is not None}
        keep = dict.fromkeys(held, KeptBecause.HELD)
        in_force = restore(Catalog.empty().advance(files, attach_at(trees, revision)), recorded, revision, keep)
        return Admission(in_force, self._admitting.rules.compile(in_force.catalog, now), held, pinned)

    def _not_there(self, state: ConfigurationState, revision: Revision) -> str:
        url = redact(self._configuration().url)
        if state.url is not None and state.url != url:
            return (
                f"config_url is {url}, and what is in force came from {state.url}: "
                f"{url} does not hold its revision {revision[:12]}; take another data_dir and database for it"
            )
        return f"revision {revision[:12]}, which is in force, is not in the mirror of {url}"

    def _in_force(self) -> InForce:
        assert self.world.in_force is not None  # noqa: S101 - called where something was found again
        return self.world.in_force

    def _correct(self, now: datetime) -> None:
        """Write what is desired where the store has something else: a version that hashes otherwise, say."""
        with self.store.reading() as reading:
            stored = reading.desired()
        differing_stacks = {
            stack
            for stack, wanted in self.world.desired.items()
            if (found := stored.get(stack)) is None or not _same(found, wanted)
        }
        if differing_stacks:
            with self.store.writing() as transaction:
                if transaction.configuration().generation == self.world.generation:
                    wanted = {stack: self.world.desired[stack] for stack in differing_stacks}
                    self._put(transaction, self._in_force(), wanted, set(), now)

    # Going on

    def advance(self, fetched: Fetched, now: datetime) -> bool:
        """Take in what was fetched. Say whether the desired state changed; that another service was first is fine."""
        with loading() if self.world.in_force is None else nullcontext():
            return self._advance(fetched, now)

    def _advance(self, fetched: Fetched, now: datetime) -> bool:
        with self.store.reading() as reading:
            state, approvals = reading.configuration(), reading.approvals()
        if state.generation != self.world.generation:
            return False
        configuration = self._configuration()
        tip = fetched.get(configuration)
        halted = state.halted
        step: _Step | None = None
        if tip is not None:
            step, halted = self._follow(tip, state, now)
        # Behind the configuration, which may have accepted just now that a history was rewritten.
        tips = self._sources(fetched, configuration, step.in_force if step is not None else self.world.in_force)
        changed = self._secrets_changed()
        if step is None and self.world.admission is not None and (tips or approvals or changed):
            step = _Step(self.world.admission, set())
        if step is not None:
            step.stacks |= {stack for stack in changed if step.in_force.catalog.placed(stack.ref)}
        if step is not None and approvals:
            self._approve(step, approvals, now)
        if step is not None and tips:
            step.tips = tips
            for key, revision in tips.items():
                step.stacks |= self._users(key, revision)
        attempted = tip if isinstance(tip, str) else state.attempted_revision
        in_force = step.in_force if step else self.world.in_force
        told = [*(in_force.diagnostics if in_force else ()), *self._unavailable.values(), *self._about_access(in_force)]
        fresh = replace(
            state,
            url=remembered_url(configuration.url),
            branch=configuration.branch,
            config_path=self.config_path,
            attempted_revision=Revision(attempted) if attempted else None,
            halted=halted,
            diagnostics=tuple(dict(diagnostic.to_json()) for diagnostic in told) if fetched else state.diagnostics,
        )
        if step is not None:
            return self._commit(step, fresh, now)
        if fresh != state:
            self._note(fresh)
        return False

    def _sources(self, fetched: Fetched, configuration: Remote, in_force: InForce | None) -> dict[str, Revision]:
        """Sort out what came of the source repositories: tips that are new are given, problems noted."""
        tips: dict[str, Revision] = {}
        for remote, result in fetched.items():
            if remote == configuration:
                continue
            key = source_key(remote)
            before = self.world.tips.get(key)
            if isinstance(result, GitError):
                self._unavailable[key] = _unavailable(result.reason, remote, result.message, before)
            elif before is None or follows(self.mirrors.mirror(remote.url).trees, remote, before, result, in_force):
                self._unavailable.pop(key, None)
                if before != result:
                    tips[key] = result
            else:
                message = f"its history was rewritten: {result[:12]} does not follow {before[:12]}"
                hint = (
                    f"{before[:12]} stays in use; put it back, or accept the new history with "
                    f"spec.acceptRewrite: {result} in the Repository document"
                )
                self._unavailable[key] = _unavailable(GitReason.HISTORY_REWRITTEN, remote, message, before, hint)
        return tips

    def _users(self, key: str, revision: Revision) -> set[StackId]:
        """Find the stacks that a new tip of a source repository concerns."""
        before = self.world.tips.get(key)
        if before is None:
            return {stack for stack, desired in self.world.desired.items() if desired.problem is not None}
        trees = self.mirrors.mirror(key.rpartition("#")[0]).trees
        if not trees.has(before):
            return self.world.index.of_repository(key)
        changed = trees.changed_paths(before, revision)
        return self.world.index.users(key, changed)

    def _follow(
        self, tip: Revision | GitError, state: ConfigurationState, now: datetime
    ) -> tuple[_Step | None, Halt | None]:
        """Walk from the admitted revision to the branch's tip."""
        if isinstance(tip, GitError):
            return None, _halt(state, _halt_reason(tip), tip.message, None, now)
        before = self.world.admission
        trees = self._config_trees()
        if before is not None and tip == before.in_force.revision:
            return None, None
        chain = [tip] if before is None else trees.first_parent_chain(before.in_force.revision, tip)
        if chain is None:
            assert before is not None  # noqa: S101 - only then can there be no chain
            message = (
                f"branch {self.remotes.settings.config_branch} is at {tip[:12]}, which does not follow "
                f"{before.in_force.revision[:12]}, the revision in force: it was rewound or rewritten, "
                "and nothing changes"
            )
            return None, _halt(state, Reason.HISTORY_REWRITTEN, message, tip, now)
        there = [*chain]
        while there and not self._has_config_path(there[-1]):
            there.pop()
        step, halted = self._walk(before, there, state, now) if there else (None, None)
        if halted is None and there != chain:
            message = f"config_path is {self.config_path}, which is not a directory at {tip[:12]}: nothing changes"
            halted = _halt(state, Reason.CONFIG_PATH_NOT_FOUND, message, tip, now)
        return step, halted

    def _has_config_path(self, revision: Revision) -> bool:
        entry = self._config_trees().entry(revision, self.config_path)
        return entry is not None and entry.kind is EntryKind.TREE

    def _walk(
        self, before: Admission | None, chain: list[Revision], state: ConfigurationState, now: datetime
    ) -> tuple[_Step | None, Halt | None]:
        walk = self._admitting.walk(before, chain, self.world.index, now)
        halted = walk.halted
        told = _halt(state, halted.reason, halted.message, halted.revision, now) if halted else None
        here = walk.admission
        if here is None or here is before:
            return None, told
        return self._step(before, here, walk), told

    def _step(self, before: Admission | None, here: Admission, walk: Walk) -> _Step:
        """Gather what the commits of a walk change, all in all."""
        step = _Step(here, set(), events=walk.events)
        for old, new in walk.steps:
            _add(step, old, new)
        step.person = walk.person
        if before is not None:
            changed = self._config_trees().changed_paths(before.in_force.revision, here.in_force.revision)
            step.stacks |= self.world.index.users(CONFIGURATION, changed)
            step.stacks |= _repinned(before, here)
        stacks = set(here.in_force.catalog.stacks()) if before is None else None
        placed = here.in_force.catalog.placed
        step.stacks = {each for each in step.stacks if (each in stacks if stacks is not None else placed(each.ref))}
        step.gone = {stack for stack in step.gone if here.in_force.has_left(stack.ref)}
        return step

    def _approve(self, step: _Step, approvals: list[StoredApproval], now: datetime) -> None:
        """Let approved changes come into force, on top of what else the step brings."""
        before = step.admission
        step.admission, events = self._admitting.approve(before, approvals, now)
        step.events = [*step.events, *events]
        step.approvals = tuple(each.held for each in approvals)
        _add(step, before.in_force, step.in_force)
        step.stacks |= _repinned(before, step.admission)
        step.stacks = {stack for stack in step.stacks if step.in_force.catalog.placed(stack.ref)}
        step.gone = {stack for stack in step.gone if step.in_force.has_left(stack.ref)}

    def _about_access(self, in_force: InForce | None) -> list[Diagnostic]:
        """Say what an operator must know about who may change what."""
        if in_force is None:
            return []
        if not self._admitting.rules.judges(in_force.catalog):
            summary = "access is not set up: every change on the branch is admitted, whoever made it"
            hint = "name the first admins in the setting admins, or write User and RoleBinding documents"
            if not self._told:
                _log.warning("%s (%s)", summary, hint)
                self._told = True
            return [Diagnostic(Severity.WARNING, "access-not-configured", summary, hint)]
        if self.remotes.settings.identity is IdentityMode.COMMITTER:
            summary = "commits count as their committer's by the address in them, which proves nothing by itself"
            hint = "only a server that checks the address makes identity = committer safe"
            if not self._told:
                _log.warning("%s (%s)", summary, hint)
                self._told = True
            return [Diagnostic(Severity.WARNING, "identity-not-proven", summary, hint)]
        return []

    def _person(self, in_force: InForce) -> str | None:
        """Name whoever a commit says that it is by; where access counts, that is not said."""
        if self._admitting.rules.judges(in_force.catalog):
            return None
        try:
            return self._config_trees().commit(in_force.revision).author_email or None
        except GitError:
            return None

    def _commit(self, step: _Step, state: ConfigurationState, now: datetime) -> bool:
        """Record a step as the next generation, all of it in one transaction, and only then take it over."""
        wanted = self._desire(step)
        fresh = replace(
            state,
            generation=self.world.generation + 1,
            admitted_revision=step.in_force.revision,
            sources={**self.world.tips, **step.tips},
            kept=_kept(step.in_force),
            remembered=dict(to_record(Recorded.of(step.in_force))),
            documents={str(kind): count for kind, count in step.in_force.catalog.counts().items()},
            changed_at=now,
        )
        self._keep(step.in_force.revision)
        with self.store.writing() as transaction:
            if transaction.configuration().generation != self.world.generation:
                self._forget(step.stacks)
                return False
            blocked = self._move(transaction, [*step.moves, *_late_moves(transaction, step.in_force, wanted)])
            wanted = {
                stack: replace(desired, problem=blocked[stack]) if stack in blocked else desired
                for stack, desired in wanted.items()
            }
            self._put(transaction, step.in_force, wanted, step.gone, now)
            transaction.put_configuration(fresh)
            transaction.put_held_changes(step.admission.waiting)
            transaction.remove_approvals(step.approvals)
            transaction.append_audit(step.events)
        self._take_over(step, fresh.generation, wanted)
        return True

    def _desire(self, step: _Step) -> dict[StackId, Desired]:
        tips = {**self.world.tips, **step.tips}
        return desire(
            step.in_force,
            sorted(step.stacks),
            self._reading(tips, step.admission.pins),
            self.world.index,
            step.person or self._person(step.in_force),
            check=self._unreadable,
        )

    def _unreadable(self, stack: EffectiveStack) -> Problem | None:
        return unreadable(stack, self.remotes.secrets)

    def _secrets_changed(self) -> set[StackId]:
        """Find the stacks whose secrets could not be had, and can now, or fail for another reason."""
        return {
            stack
            for stack, desired in self.world.desired.items()
            if desired.problem is not None
            and desired.problem.reason == Reason.SECRET_UNREADABLE
            and (found := self.world.effective(stack)) is not None
            and self._unreadable(found) != desired.problem
        }

    def _take_over(self, step: _Step, generation: int, wanted: Mapping[StackId, Desired]) -> None:
        """Let what was recorded be what this process knows."""
        previous = self.world.revision
        for stack in step.gone:
            self.world.index.remove(stack)
            self.world.desired.pop(stack, None)
        self.world.desired.update(wanted)
        self.world.generation, self.world.admission = generation, step.admission
        self.world.tips = {**self.world.tips, **step.tips}
        self._release(previous)

    def _forget(self, stacks: Collection[StackId]) -> None:
        """Undo what a step that came too late noted: the next catch-up reads everything anew."""
        for stack in stacks:
            self.world.index.remove(stack)
        self.world.generation = -1

    def _move(self, transaction: Transaction, moves: list[tuple[StackId, StackId]]) -> dict[StackId, Problem]:
        blocked: dict[StackId, Problem] = {}
        # In the order of their commits: a stack may be renamed twice between two looks.
        for old, new in moves:
            states = transaction.stacks([old, new])
            if old not in states:
                continue
            if new in states:
                message = (
                    f"{old} cannot move here: what an earlier stack {new} applied is still retained under this name"
                )
                blocked[new] = Problem(Reason.MOVE_BLOCKED, message)
                continue
            transaction.move_stack(old, new)
        return blocked

    def _put(
        self,
        transaction: Transaction,
        in_force: InForce,
        wanted: Mapping[StackId, Desired],
        gone: Collection[StackId],
        now: datetime,
    ) -> None:
        stacks = [*wanted, *gone]
        states = transaction.stacks(stacks)
        active = {run.stack: run for run in transaction.active_runs(stacks) if run.is_writing}
        changed = []
        for stack in stacks:
            state = states.get(stack)
            desired = wanted.get(stack)
            if state is None:
                if desired is None:
                    continue
                state = StackState(stack, None)
            elif state.desired is not None and desired is not None:
                desired = _carry_on(state.desired, desired, moves=_moves(in_force, stack))
            run = active.get(stack)
            state = state.evolve(desired=desired)
            if desired is None and run is not None:
                state, run = _take_back(transaction, state, run, now)
            changed.append(assess(state, run, self.why(state), now))
        transaction.put_stacks(changed)

    def why(self, state: StackState) -> tuple[Any, ...]:
        """Say what of a stack differs from what was applied."""
        if state.desired is None:
            return ()
        applied = state.applied.fingerprint if state.applied else None
        return explain(state.desired.fingerprint, applied, self._count)

    def _count(self, old: str, new: str) -> int | None:
        if len(old) != 40 or len(new) != 40:
            return None
        trees = [self._config_trees(), *(self.mirrors.mirror(key.rpartition("#")[0]).trees for key in self.world.tips)]
        return next((count for each in trees if (count := each.count_changes(old, new)) is not None), None)

    def _note(self, fresh: ConfigurationState) -> None:
        with self.store.writing() as transaction:
            if transaction.configuration().generation == fresh.generation:
                transaction.put_configuration(fresh)

    def _keep(self, revision: Revision) -> None:
        self.mirrors.mirror(self.remotes.settings.config_url or "").keep(revision)

    def _release(self, revision: Revision | None) -> None:
        if revision is not None and revision != self.world.revision:
            self.mirrors.mirror(self.remotes.settings.config_url or "").release(revision)


def _repinned(before: Admission, after: Admission) -> set[StackId]:
    """Give the stacks whose files are read at another revision than before."""
    pins = (before.pins, after.pins)
    return {stack for stack in {*pins[0], *pins[1]} if pins[0].get(stack) != pins[1].get(stack)}


def _add(step: _Step, before: InForce | None, after: InForce) -> None:
    """Note what one admitted commit changes."""
    step.stacks |= affected(before, after)
    if before is None:
        return
    for change in changes(before.catalog, after.catalog, differing(before, after)):
        if change.ref.kind is not Kind.STACK:
            continue
        stack = StackId(change.ref.space, change.ref.name)
        if change.verb is Verb.DELETE:
            step.gone.add(stack)
        else:
            step.gone.discard(stack)
        if change.verb is Verb.MOVE and change.origin is not None:
            origin = StackId(change.origin.space, change.origin.name)
            step.moves.append((origin, stack))
            step.gone.add(origin)


def _late_moves(
    transaction: Transaction, in_force: InForce, stacks: Iterable[StackId]
) -> list[tuple[StackId, StackId]]:
    """Give the moves from places that were left in an earlier step: what is retained there goes along all the same."""
    found = {}
    for stack in stacks:
        placed = in_force.catalog.placed(stack.ref)
        origin = moved_from(placed.resource) if placed is not None else None
        if origin is not None and in_force.catalog.placed(origin) is None:
            found[stack] = StackId(origin.space, origin.name)
    states = transaction.stacks(list(found)) if found else {}
    # One that was there before has moved already, or never will.
    return [(old, new) for new, old in found.items() if new not in states or states[new].desired is None]


def _moves(in_force: InForce, stack: StackId) -> bool:
    """Say whether a stack's document still asks for the place of another."""
    placed = in_force.catalog.placed(stack.ref)
    return placed is not None and placed.resource.metadata.moved_from is not None


def _carry_on(before: Desired, now: Desired, *, moves: bool) -> Desired:
    """Keep what stays true of the same stack: who brought what it is to be, and that it could not move here."""
    if moves and now.problem is None and before.problem is not None and before.problem.reason == Reason.MOVE_BLOCKED:
        now = replace(now, problem=before.problem)
    return replace(now, revision=before.revision, person=before.person) if now.digest == before.digest else now


def _take_back(transaction: Transaction, state: StackState, run: Run, now: datetime) -> tuple[StackState, Run | None]:
    """End a run that has no process, of a stack that left Git; one at work is stopped by its own service."""
    if run.status not in (RunStatus.QUEUED, RunStatus.UNCONFIRMED):
        return state, run
    ended = run.advance(RunEvent.SUPERSEDE, reason=Reason.SUPERSEDED, message="its stack left Git", finished_at=now)
    transaction.put_run(ended)
    outcome = Outcome(ended.id, ended.kind, ended.status, ended.reason, ended.message, ended.digest, now)
    return state.evolve(last=outcome), None


def _same(one: Desired, other: Desired) -> bool:
    """Say whether both ask for the same; the digest speaks for the fingerprint, and who brought it is no matter."""
    return (
        one.digest == other.digest
        and one.tool == other.tool
        and one.autodeploy == other.autodeploy
        and one.suspended == other.suspended
        and one.problem == other.problem
        and one.labels == other.labels
    )


def _kept(in_force: InForce) -> tuple[KeptDocument, ...]:
    return tuple(
        KeptDocument(str(ref.kind), ref.space, ref.name, kept.resource.file, kept.revision, str(kept.because))
        for ref, kept in sorted(in_force.kept.items(), key=lambda item: item[0])
    )


def _halt_reason(error: GitError) -> str:
    match error.reason:
        case GitReason.BRANCH_NOT_FOUND | GitReason.REPOSITORY_EMPTY:
            return Reason.BRANCH_NOT_FOUND
        case _:
            return str(error.reason)


def _halt(state: ConfigurationState, reason: str, message: str, revision: Revision | None, now: datetime) -> Halt:
    """Halt; one that stands already keeps its time."""
    old = state.halted
    since = old.since if old is not None and old.reason == reason and old.revision == revision else now
    return Halt(str(reason), message, revision, since)


def _unavailable(
    reason: GitReason, remote: Remote, message: str, before: Revision | None, hint: str | None = None
) -> Diagnostic:
    summary = f"source repository {redact(remote.url)} (branch {remote.branch}): {message}"
    if hint is None and before is not None:
        hint = f"its last good revision {before[:12]} stays in use"
    return Diagnostic(Severity.WARNING, f"source-{_kebab(str(reason))}", summary, hint)


def _kebab(word: str) -> str:
    return "".join(f"-{c.lower()}" if c.isupper() and i else c.lower() for i, c in enumerate(word))
