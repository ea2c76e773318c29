"""Takes in what was fetched: from new tips to a new generation of the desired state, recorded in one step."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from datetime import datetime

from rbac.admission.admit import Admission
from reconciler.core.reasons import Reason
from reconciler.git.errors import GitError, GitReason
from reconciler.git.mirrors import Remote
from reconciler.git.objects import EntryKind
from reconciler.git.remote import redact
from reconciler.loop.desired.commits import Walking, halt
from reconciler.loop.desired.fetch import Fetched
from reconciler.loop.desired.generation import Changeset, Generations
from reconciler.loop.desired.record import from_nowhere, move_stacks, put_desired
from reconciler.loop.desired.repositories import Places
from reconciler.loop.desired.restore import loading
from reconciler.loop.desired.source_repositories import AboutAccess, follows, unavailable
from reconciler.loop.desired.world import World, source_key
from reconciler.store.protocol import ConfigurationState, Halt, KeptDocument, Store, Transaction
from spaces.composition.holds import Because
from spaces.diagnostics import Diagnostic
from spaces.documents.changes import Unfounded
from spaces.in_force import InForce
from spaces.names import Revision, StackId

_log = logging.getLogger(__name__)

_SHOWN = 5


@dataclass(slots=True)
class Advancing:
    """Goes on from the generation that a `World` is at."""

    store: Store
    world: World
    places: Places
    walking: Walking
    generations: Generations
    about_access: AboutAccess
    _unavailable: dict[str, Diagnostic] = field(default_factory=dict)
    """The source repositories that could not be followed when they were last looked at."""
    _unfounded: list[Unfounded] = field(default_factory=list)
    """The stacks that say they moved from one that nobody knows."""
    _too_much: tuple[tuple[Revision | None, Revision], Halt] | None = None
    """The revision in force and the tip between which is more than can be read, and the halt that told of it."""

    def advance(self, fetched: Fetched, now: datetime) -> bool:
        """Take in what was fetched. Say whether the desired state changed; that another service was first is fine."""
        with loading() if self.world.in_force is None else nullcontext():
            return self._advance(fetched, now)

    def _advance(self, fetched: Fetched, now: datetime) -> bool:
        with self.store.reading() as reading:
            state, approvals = reading.configuration(), reading.approvals()
        if state.generation != self.world.generation:
            return False
        configuration = self.places.configuration()
        tip = fetched.get(configuration)
        halted = state.halted
        changeset: Changeset | None = None
        if tip is not None:
            changeset, halted = self._follow(tip, state, now)
        # Behind the configuration, which may have accepted just now that a history was rewritten.
        tips = self._sources(
            fetched, configuration, changeset.in_force if changeset is not None else self.world.in_force
        )
        others = self._recovered_or_untold(fetched, configuration)
        if changeset is None and self.world.admission is not None and (tips or approvals or others):
            changeset = Changeset(self.world.admission, set())
        if changeset is not None:
            changeset.stacks |= set(others)
        if changeset is not None and approvals:
            self.walking.approve(changeset, approvals, now)
        if changeset is not None and tips:
            changeset.tips = tips
            for key, revision in tips.items():
                changeset.stacks |= self.places.users(key, revision)
        attempted = tip if isinstance(tip, str) else state.attempted_revision
        in_force = changeset.in_force if changeset else self.world.in_force
        about_access = self.about_access.diagnostics(in_force)
        self._unfounded = [each for each in self._unfounded if in_force and each.holds(in_force.documents)]
        told = [*(in_force.diagnostics if in_force else ()), *self._unavailable.values(), *about_access]
        told += [each.tell() for each in self._unfounded]
        fresh = replace(
            state,
            url=redact(configuration.url, keep_ssh_user=True),
            branch=configuration.branch,
            config_path=self.places.settings.config_path,
            attempted_revision=Revision(attempted) if attempted else None,
            halted=halted,
            diagnostics=tuple(dict(diagnostic.to_json()) for diagnostic in told) if fetched else state.diagnostics,
        )
        if changeset is not None:
            return self._commit(changeset, fresh, now)
        if fresh != state:
            self._note(fresh)
        return False

    def _recovered_or_untold(self, fetched: Fetched, configuration: Remote) -> set[StackId]:
        """Find the stacks whose surroundings are others now, and those whose source a fetch did not bring back."""
        found = self.places.other_checks()
        if any(remote != configuration for remote in fetched):
            lost = self.world.untold - found
            if lost:
                _log.warning(
                    "the sources of %d stacks cannot be read, and they wait: %s", len(lost), ", ".join(_first(lost))
                )
            found |= self.world.untold
            self.world.untold = set()
        return found

    def _sources(self, fetched: Fetched, configuration: Remote, in_force: InForce | None) -> dict[str, Revision]:
        """Sort out what came of the source repositories: tips that are new are given, problems noted."""
        tips: dict[str, Revision] = {}
        for remote, result in fetched.items():
            if remote == configuration:
                continue
            key = source_key(remote)
            before = self.world.tips.get(key)
            if isinstance(result, GitError):
                self._unavailable[key] = unavailable(result.reason, remote, result.message, before, in_force)
            elif before is not None and self._is_empty(key, result):
                message = f"its branch was emptied: {result[:12]} holds no files at all"
                self._unavailable[key] = unavailable(GitReason.BRANCH_EMPTIED, remote, message, before, in_force)
            elif before is None or follows(self.places.source_trees(key), remote, before, result, in_force):
                self._unavailable.pop(key, None)
                if before != result:
                    tips[key] = result
            else:
                message = f"its history was rewritten: {result[:12]} does not build on {before[:12]}"
                hint = (
                    f"{before[:12]} stays in use; put it back, or accept the new history with "
                    f"spec.acceptRewrite: {result} in the Repository document"
                )
                self._unavailable[key] = unavailable(
                    GitReason.HISTORY_REWRITTEN, remote, message, before, in_force, hint
                )
        return tips

    def _is_empty(self, key: str, revision: Revision) -> bool:
        return not self.places.source_trees(key).children(revision, "")

    def _follow(
        self, tip: Revision | GitError, state: ConfigurationState, now: datetime
    ) -> tuple[Changeset | None, Halt | None]:
        """Walk from the admitted revision to the branch's tip."""
        if isinstance(tip, GitError):
            return None, halt(state, str(tip.reason), tip.message, None, now)
        before = self.world.admission
        if before is not None and tip == before.in_force.revision:
            return None, None
        trees = self.places.config_trees()
        chain = [tip] if before is None else trees.first_parent_chain(before.in_force.revision, tip)
        if chain is None:
            assert before is not None  # noqa: S101 - only then can there be no chain
            message = (
                f"branch {self.places.settings.config_branch} is at {tip[:12]}, which does not build on "
                f"{before.in_force.revision[:12]}, the revision in force: the branch was rewound or rewritten, "
                "and nothing changes"
            )
            return None, halt(state, Reason.HISTORY_REWRITTEN, message, tip, now)
        ends = (before.in_force.revision if before is not None else None, tip)
        if self._too_much is not None and self._too_much[0] == ends:
            # It costs seconds, and it is the same again.
            return None, replace(self._too_much[1], since=state.halted.since if state.halted is not None else now)
        there = [*chain]
        while there and not self._has_config_path(there[-1]):
            there.pop()
        changeset, halted = self.walking.walk(before, there, state, now) if there else (None, None)
        if changeset is None and halted is not None and halted.reason == GitReason.TOO_MANY_FILES:
            self._too_much = ends, halted
        if halted is None and there != chain:
            path = self.places.settings.config_path
            message = f"config_path is {path}, which is not a directory at {tip[:12]}: nothing changes"
            halted = halt(state, Reason.CONFIG_PATH_NOT_FOUND, message, tip, now)
        return changeset, halted

    def _has_config_path(self, revision: Revision) -> bool:
        entry = self.places.config_trees().entry(revision, self.places.settings.config_path)
        return entry is not None and entry.kind is EntryKind.TREE

    def _commit(self, changeset: Changeset, state: ConfigurationState, now: datetime) -> bool:
        """Record a changeset as the next generation, all of it in one transaction, and only then take it over."""
        wanted = self.generations.desire(changeset)
        fresh = replace(
            state,
            generation=self.world.generation + 1,
            admitted_revision=changeset.in_force.revision,
            sources={**self.world.tips, **changeset.tips},
            kept=_kept(changeset.admission),
            remembered={},
            documents={str(kind): count for kind, count in changeset.in_force.documents.counts().items()},
            changed_at=now,
        )
        self.places.keep(changeset.in_force.revision)
        # Before the transaction: after a crash in between, the next pass writes the same commit again.
        self.places.record(
            changeset.in_force.revision, {path: file.force for path, file in changeset.admission.held.files.items()}
        )
        with self.store.writing() as transaction:
            if transaction.configuration().generation != self.world.generation:
                self.generations.forget(changeset.stacks)
                return False
            lost = from_nowhere(transaction, changeset.unfounded)
            fresh = replace(fresh, diagnostics=(*fresh.diagnostics, *(dict(each.tell().to_json()) for each in lost)))
            blocked = move_stacks(transaction, changeset.in_force, changeset.moves, wanted)
            wanted = {
                stack: replace(desired, problem=blocked[stack]) if stack in blocked else desired
                for stack, desired in wanted.items()
            }
            put_desired(transaction, changeset.in_force, wanted, changeset.gone, self.places.count_changes, now)
            transaction.put_configuration(fresh)
            self._put_held(transaction, changeset.admission)
            transaction.remove_approvals(changeset.approvals)
            transaction.append_audit(changeset.events)
        self._unfounded += lost
        self.generations.take_over(changeset, fresh.generation, wanted)
        return True

    def _put_held(self, transaction: Transaction, admission: Admission) -> None:
        """Write what is held, as far as it is not what was held before."""
        before = self.world.admission
        files = admission.held.files
        old = before.held.files if before is not None else {}
        new = admission.held.to_records([path for path, file in files.items() if old.get(path) is not file])
        gone = (old.keys() if before is not None else transaction.held_files().keys()) - files.keys()
        transaction.put_held_changes(admission.held_changes)
        transaction.put_held_files({**new, **dict.fromkeys(gone)})
        writes = before.writes if before is not None else transaction.unearned_writes()
        differ = {path for path in {*writes, *admission.writes} if writes.get(path) != admission.writes.get(path)}
        transaction.put_unearned_writes({path: admission.writes.get(path) for path in differ})

    def _note(self, fresh: ConfigurationState) -> None:
        with self.store.writing() as transaction:
            if transaction.configuration().generation == fresh.generation:
                transaction.put_configuration(fresh)


def _first(stacks: Iterable[StackId]) -> list[str]:
    names = sorted(map(str, stacks))
    return names if len(names) <= _SHOWN else [*names[:_SHOWN], "…"]


def _kept(admission: Admission) -> tuple[KeptDocument, ...]:
    """Return the documents that do not work as proposed, and stay in force as they were."""
    found = []
    for entry in admission.held:
        if entry.hold.because is Because.NO_RIGHT or entry.at is None:
            continue
        for placed in admission.in_force.tree.placed.get(entry.unit.path, ()):
            if (placed.resource.kind, placed.resource.name) == entry.unit.key[:2]:
                ref, because = placed.ref, entry.hold.because.value
                found.append(KeptDocument(str(ref.kind), ref.space, ref.name, entry.unit.path, entry.at, because))
    return tuple(sorted(found, key=lambda each: (each.kind, each.space, each.name)))
