"""Follows the repositories: from what was fetched to a new generation of the desired state, recorded in one step."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import Any

from rbac.admission import Commit, Halted, admit
from reconciler.core.conditions import assess
from reconciler.core.diff import explain
from reconciler.core.digest import SourceSnapshot
from reconciler.core.reasons import Reason
from reconciler.core.runs import Run, RunEvent, RunStatus
from reconciler.core.state import Desired, Outcome, Problem, StackState
from reconciler.git.errors import GitError, GitReason
from reconciler.git.mirrors import Mirrors, Remote
from reconciler.git.remote import redact
from reconciler.git.trees import Trees
from reconciler.loop.collector import loading
from reconciler.loop.fetching import Fetched
from reconciler.loop.remotes import Remotes, SecretUnreadable
from reconciler.loop.world import CONFIGURATION, Place, World, desire, read_source, source_key
from reconciler.store.protocol import ConfigurationState, Halt, KeptDocument, Store, Transaction
from spaces.catalog import Catalog
from spaces.changes import Verb, changes
from spaces.diagnostics import Diagnostic, Severity
from spaces.effective import EffectiveStack, ResolvedSource, effective
from spaces.in_force import InForce, Recorded, affected, differing, restore
from spaces.names import Kind, Revision, StackId
from spaces.records import from_record, needed, to_record
from spaces.references import moved_from

_log = logging.getLogger(__name__)


class CannotFollow(Exception):
    """What was in force cannot be found again; nothing is changed. The message says why and what would help."""


@dataclass(slots=True)
class _Step:
    """What a look at the repositories would change."""

    in_force: InForce
    stacks: set[StackId]
    """Stacks whose desired state is to be worked out anew."""
    gone: set[StackId] = field(default_factory=set)
    """Stacks whose documents really left Git."""
    moves: list[tuple[StackId, StackId]] = field(default_factory=list)
    tips: dict[str, Revision] = field(default_factory=dict)
    person: str | None = None


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

    # What to fetch

    def wanted(self) -> list[Remote]:
        """Give every remote that the configuration in force needs, the configuration repository first."""
        found = {self._configuration(): None}
        if self.world.in_force is not None:
            if self._outside is None or self._outside[0] is not self.world.in_force:
                self._outside = self.world.in_force, list(_outside_sources(self.world.in_force))
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
        return self._locate(in_force, stack, self.world.tips)

    def _read(self, in_force: InForce, stack: EffectiveStack) -> tuple[str, SourceSnapshot | Problem]:
        return read_source(in_force, stack, self.locate)

    def _locate(self, in_force: InForce, stack: EffectiveStack, tips: Mapping[str, Revision]) -> Place | Problem:
        if stack.source is None or stack.source.repository is None:
            return Place(CONFIGURATION, self._config_trees(), in_force.revision)
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
            state = reading.configuration()
        if state.generation == self.world.generation:
            return False
        if state.admitted_revision is None:
            self.world = World(generation=state.generation)
            return True
        if self._step_to(state, state.admitted_revision, now):
            return True
        with loading():
            in_force = self._find_again(state, state.admitted_revision)
            world = World(state.generation, in_force, dict(state.sources))
            stacks = list(in_force.catalog.stacks())
            person = self._person(in_force.revision)
            self.world.tips = world.tips
            world.desired = dict(desire(in_force, stacks, self._read, world.index, person))
            self.world = world
            self._correct(now)
        return True

    def _step_to(self, state: ConfigurationState, revision: Revision, now: datetime) -> bool:
        """Follow another service to its generation, at the cost of what changed; False: everything is to be read."""
        before = self.world.in_force
        if before is None or self.world.generation < 0 or not self._config_trees().has(revision):
            return False
        chain = self._config_trees().first_parent_chain(before.revision, revision)
        if chain is None:
            return False
        step, _ = self._walk(before, chain, state, now) if chain else (None, None)
        step = step or _Step(before, set())
        if dict(to_record(Recorded.of(step.in_force))) != dict(state.remembered):
            return False
        step.tips = {key: tip for key, tip in state.sources.items() if self.world.tips.get(key) != tip}
        for key, tip in step.tips.items():
            if not self.mirrors.mirror(key.rpartition("#")[0]).trees.has(tip):
                return False
            step.stacks |= self._users(key, tip)
        self._take_over(step, state.generation, self._desire(step))
        return True

    def _find_again(self, state: ConfigurationState, revision: Revision) -> InForce:
        trees = self._config_trees()
        if not trees.has(revision):
            raise CannotFollow(self._not_there(state, revision))
        files = trees.files(revision, self.config_path)
        record: Any = state.remembered or to_record(Recorded())
        try:
            old = {(at, path): trees.read(at, path) for at, path in needed(record)}
            recorded = from_record(record, old)
        except (GitError, ValueError) as error:
            raise CannotFollow(f"an earlier version of a document cannot be found again: {error}") from None
        return restore(Catalog.empty().advance(files), recorded, revision)

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
            state = reading.configuration()
        if state.generation != self.world.generation:
            return False
        configuration = self._configuration()
        tips = self._sources(fetched, configuration)
        tip = fetched.get(configuration)
        halted = state.halted
        step: _Step | None = None
        if tip is not None:
            step, halted = self._follow(tip, state, now)
        if step is None and self.world.in_force is not None and tips:
            step = _Step(self.world.in_force, set())
        if step is not None and tips:
            step.tips = tips
            for key, revision in tips.items():
                step.stacks |= self._users(key, revision)
        attempted = tip if isinstance(tip, str) else state.attempted_revision
        in_force = step.in_force if step else self.world.in_force
        told = [*(in_force.diagnostics if in_force else ()), *self._unavailable.values()]
        fresh = replace(
            state,
            url=redact(configuration.url),
            branch=configuration.branch,
            attempted_revision=Revision(attempted) if attempted else None,
            halted=halted,
            diagnostics=tuple(dict(diagnostic.to_json()) for diagnostic in told) if fetched else state.diagnostics,
        )
        if step is not None:
            return self._commit(step, fresh, now)
        if fresh != state:
            self._note(fresh)
        return False

    def _sources(self, fetched: Fetched, configuration: Remote) -> dict[str, Revision]:
        """Sort out what came of the source repositories: tips that are new are given, problems noted."""
        tips: dict[str, Revision] = {}
        for remote, result in fetched.items():
            if remote == configuration:
                continue
            key = source_key(remote)
            before = self.world.tips.get(key)
            if isinstance(result, GitError):
                self._unavailable[key] = _unavailable(result.reason, remote, result.message)
            elif before is None or self.mirrors.mirror(remote.url).trees.is_ancestor(before, result):
                self._unavailable.pop(key, None)
                if before != result:
                    tips[key] = result
            else:
                message = f"its history was rewritten; revision {before[:12]} stays in use"
                self._unavailable[key] = _unavailable(GitReason.HISTORY_REWRITTEN, remote, message)
        return tips

    def _users(self, key: str, revision: Revision) -> set[StackId]:
        """Find the stacks that a new tip of a source repository concerns."""
        before = self.world.tips.get(key)
        if before is None:
            return {stack for stack, desired in self.world.desired.items() if desired.problem is not None}
        url = key.rpartition("#")[0]
        changed = self.mirrors.mirror(url).trees.changed_paths(before, revision)
        return self.world.index.users(key, changed)

    def _follow(
        self, tip: Revision | GitError, state: ConfigurationState, now: datetime
    ) -> tuple[_Step | None, Halt | None]:
        """Walk from the admitted revision to the branch's tip."""
        if isinstance(tip, GitError):
            return None, _halt(state, _halt_reason(tip), tip.message, None, now)
        before = self.world.in_force
        trees = self._config_trees()
        if before is not None and tip == before.revision:
            return None, None
        chain = [tip] if before is None else trees.first_parent_chain(before.revision, tip)
        if chain is None:
            assert before is not None  # noqa: S101 - only then can there be no chain
            message = (
                f"branch {self.remotes.settings.config_branch} is at {tip[:12]}, which does not follow "
                f"{before.revision[:12]}, the revision in force: it was rewound or rewritten, and nothing changes"
            )
            return None, _halt(state, Reason.HISTORY_REWRITTEN, message, tip, now)
        return self._walk(before, chain, state, now)

    def _walk(
        self, before: InForce | None, chain: list[Revision], state: ConfigurationState, now: datetime
    ) -> tuple[_Step | None, Halt | None]:
        trees = self._config_trees()
        halted: Halted | None = None
        here = before
        step = _Step(before, set()) if before is not None else None
        for revision in chain:
            base = here.revision if here is not None else None
            commit = Commit(revision, trees.changed_files(base, revision, self.config_path))
            judged = admit(here, commit)
            if isinstance(judged, Halted):
                # A later commit may set it right: it is then compared with what was admitted last.
                halted = judged
                continue
            halted = None
            if step is None:
                step = _Step(judged, set())
            _add(step, here, judged)
            here = judged
        if step is None or here is None or here is before:
            told = _halt(state, halted.reason, halted.message, halted.revision, now) if halted else None
            return None, told
        step.in_force = here
        step.person = self._person(here.revision)
        if before is not None:
            changed = trees.changed_paths(before.revision, here.revision)
            step.stacks |= self.world.index.users(CONFIGURATION, changed)
        in_force = set(here.catalog.stacks()) if before is None else None
        step.stacks = {s for s in step.stacks if (s in in_force if in_force else here.catalog.placed(s.ref))}
        step.gone = {stack for stack in step.gone if here.has_left(stack.ref)}
        told = _halt(state, halted.reason, halted.message, halted.revision, now) if halted else None
        return step, told

    def _person(self, revision: Revision) -> str | None:
        try:
            return self._config_trees().commit(revision).author_email or None
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
        self._take_over(step, fresh.generation, wanted)
        return True

    def _desire(self, step: _Step) -> dict[StackId, Desired]:
        tips = {**self.world.tips, **step.tips}
        return desire(
            step.in_force,
            sorted(step.stacks),
            lambda in_force, stack: read_source(in_force, stack, partial(self._locate, tips=tips)),
            self.world.index,
            step.person or self._person(step.in_force.revision),
        )

    def _take_over(self, step: _Step, generation: int, wanted: Mapping[StackId, Desired]) -> None:
        """Let what was recorded be what this process knows."""
        previous = self.world.revision
        for stack in step.gone:
            self.world.index.remove(stack)
            self.world.desired.pop(stack, None)
        self.world.desired.update(wanted)
        self.world.generation, self.world.in_force = generation, step.in_force
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


def _outside_sources(in_force: InForce) -> Iterable[ResolvedSource]:
    """Give the sources outside the configuration repository, one for each repository and branch."""
    seen = set()
    for repository in in_force.catalog.of_kind(Kind.REPOSITORY):
        for user in in_force.catalog.mentioning(Kind.REPOSITORY, repository.ref.name):
            if user.kind is not Kind.STACK or in_force.catalog.placed(user) is None:
                continue
            source = effective(in_force.catalog, StackId(user.space, user.name)).source
            if source is None or source.repository is None:
                continue
            if (source.repository, source.branch) not in seen:
                seen.add((source.repository, source.branch))
                yield source


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


def _unavailable(reason: GitReason, remote: Remote, message: str) -> Diagnostic:
    summary = f"source repository {redact(remote.url)} (branch {remote.branch}): {message}"
    hint = "its last good revision stays in use"
    return Diagnostic(Severity.WARNING, f"source-{_kebab(str(reason))}", summary, hint)


def _kebab(word: str) -> str:
    return "".join(f"-{c.lower()}" if c.isupper() and i else c.lower() for i, c in enumerate(word))
