"""Takes in what was fetched: from new tips to a new generation of the desired state, recorded in one transaction.

`Follower` calls `advance` with each fetch, in the loop's thread, where this service leads. It follows the configuration
(`_follow`), then the sources (`_sources`); what changes is one `Changeset`, which `_commit` works out and `_write`
records. Only what is recorded is taken over by the `World`. An error of a fetch is no failure here: it is told.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from datetime import datetime

from reconciler.core.reasons import Reason
from reconciler.core.state import Desired
from reconciler.git.errors import FOR_EVERYBODY, GitError, GitReason
from reconciler.git.mirrors import Remote
from reconciler.git.objects import EntryKind
from reconciler.git.remote import redact
from reconciler.git.source_keys import read_key
from reconciler.git.wanted import Arrived, Release, revision_of
from reconciler.loop.desired.announcing import about_halt, about_held
from reconciler.loop.desired.commits import Walking, halt
from reconciler.loop.desired.fetch import Fetched
from reconciler.loop.desired.freezing import refreeze
from reconciler.loop.desired.generation import Changeset, Generations
from reconciler.loop.desired.holding import kept, put_held
from reconciler.loop.desired.pinning import Pinning, Pins, Settled
from reconciler.loop.desired.record import from_nowhere, move_stacks, put_desired
from reconciler.loop.desired.repositories import CannotFollow, Places
from reconciler.loop.desired.restore import loading
from reconciler.loop.desired.seen import NOT_KNOWN, still_restored
from reconciler.loop.desired.source_authors import SourceAuthors
from reconciler.loop.desired.source_repositories import AboutAccess, follows, is_accepted, unavailable
from reconciler.loop.desired.source_signers import SourceSigners, Way, newly_verified, still_asks, ways
from reconciler.loop.desired.telling import Telling
from reconciler.loop.desired.world import World
from reconciler.runs.audit import Audited, about_token
from reconciler.store.protocol import Store, Transaction
from reconciler.store.stored import AuditEvent, ConfigurationState, Halt
from reconciler.tokens import revoke_tokens
from reconciler.version import __version__
from spaces.diagnostics import Diagnostic
from spaces.documents.changes import Unfounded
from spaces.documents.documents import PlacedDocuments
from spaces.in_force import InForce
from spaces.model.refs import RefKind, read_ref
from spaces.names import Revision, StackId
from spaces.rules.advice import advice

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
    source_authors: SourceAuthors
    source_signers: SourceSigners
    pinning: Pinning
    fence: Callable[[Transaction], None]
    """Raises where another service follows the configuration by now."""
    _telling: Telling = field(default_factory=Telling)
    halted: bool = False
    """Whether admission stood still when something was last taken in."""
    _unavailable: dict[str, Diagnostic] = field(default_factory=dict)
    """The source repositories that could not be followed when they were last looked at."""
    _unfounded: list[Unfounded] = field(default_factory=list)
    """The stacks that say they moved from one that nobody knows."""
    _advice: tuple[PlacedDocuments, list[Diagnostic]] | None = None
    """The names of people in these documents that nobody has."""
    _too_much: tuple[tuple[Revision | None, Revision], Halt] | None = None
    """The revision in force and the tip between which is more than can be read, and the halt that told of it."""

    def advance(self, fetched: Fetched, now: datetime) -> bool:
        """Take in what was fetched. Say whether the desired state changed; that another service was first is fine."""
        with loading() if self.world.in_force is None else nullcontext():
            return self._advance(fetched, now)

    def _advance(self, fetched: Fetched, now: datetime) -> bool:
        with self.store.reading() as reading:
            state, approvals, pins = reading.configuration(), reading.approvals(), reading.pins()
        if state.generation != self.world.generation:
            return False
        configuration = self.places.configuration()
        tip = _branch(fetched.get(configuration))
        halted = state.halted
        changeset: Changeset | None = None
        if tip is not None:
            changeset, halted = self._follow(tip, state, now)
        self.halted = halted is not None
        # After the configuration, in which somebody may have accepted just now that a history was rewritten.
        here = changeset.in_force if changeset is not None else self.world.in_force
        tips = self._sources(fetched, configuration, here, now)
        others = self._refused_or_not() | self._recovered_or_untold(fetched, configuration)
        others |= self.pinning.turned(pins, now)
        if changeset is None and self.world.admission is not None and (tips or approvals or others):
            changeset = Changeset(self.world.admission, set())
        if changeset is not None:
            changeset.stacks |= {stack for stack in others if changeset.in_force.documents.placed(stack.ref)}
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
        told += [*(each.tell() for each in self._unfounded), *self._advised(in_force)]
        fresh = replace(
            state,
            url=redact(configuration.url, keep_ssh_user=True),
            branch=configuration.ref,
            config_path=self.places.settings.config_path,
            attempted_revision=Revision(attempted) if attempted else None,
            halted=halted,
            restored=None if state.restored == NOT_KNOWN and tip == state.admitted_revision else state.restored,
            diagnostics=tuple(dict(diagnostic.to_json()) for diagnostic in told) if fetched else state.diagnostics,
        )
        changes = changeset is not None and self._commit(changeset, fresh, pins, now)
        if changeset is None or changes:
            self._note(fresh, state if changeset is None else fresh, now)
            self._telling.recorded(changeset.events if changeset is not None else ())
            self._telling.errors(told)
            self._telling.halt(halted, of_fetch=isinstance(tip, GitError))
        return changes

    def _advised(self, in_force: InForce | None) -> list[Diagnostic]:
        """Warn of what does nothing. Every fetch asks, so that the answer is kept."""
        if in_force is not None and (self._advice is None or self._advice[0] is not in_force.documents):
            self._advice = in_force.documents, list(advice(in_force.documents))
        return self._advice[1] if in_force is not None and self._advice is not None else []

    def _refused_or_not(self) -> set[StackId]:
        """Find the stacks of which a newer revision is refused that was not, or for another reason, or no more."""
        said = self.source_signers.take()
        changed = {key: why for key, why in said.items() if self.world.refused.get(key) != why}
        for key, why in changed.items():
            branch = f"source repository {redact(read_key(key).url)} ({read_ref(read_key(key).ref)})"
            if why is not None:
                _log.warning("%s: %s", branch, why)
            else:
                _log.info("%s is followed again", branch)
        now = {**self.world.refused, **changed}
        self.world.refused = {key: why for key, why in now.items() if why is not None}
        return {stack for key in changed for stack in self.world.index.of_repository(key)}

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

    def _sources(
        self, fetched: Fetched, configuration: Remote, in_force: InForce | None, now: datetime
    ) -> dict[str, Revision]:
        """Sort out what came of the source repositories: tips that are new are given, problems noted."""
        tips = newly_verified(self.world.in_force, in_force, self.world.tips)
        self._unavailable = {key: told for key, told in self._unavailable.items() if still_asks(key, in_force)}
        for remote, result in fetched.items():
            for way in ways(remote, in_force) if remote != configuration else ():
                told = self._wrong(way, remote, tips, result, in_force, now)
                self._note_missing(way, result)
                if told is not None:
                    self._unavailable[way.key] = told
                elif not isinstance(result, GitError):
                    self._unavailable.pop(way.key, None)
                    new = {way.key: revision_of(result), **way.tagged(remote, result)}
                    tips |= {key: revision for key, revision in new.items() if self._tip(key, tips) != revision}
        return tips

    def _tip(self, key: str, tips: Mapping[str, Revision]) -> Revision | None:
        return tips.get(key, self.world.tips.get(key))

    def _note_missing(self, way: Way, result: Arrived) -> None:
        """Remember why there is nothing to follow, where every service that looks finds the same."""
        if isinstance(result, GitError) and result.reason in FOR_EVERYBODY:
            self.world.missing[way.key] = result.message
        else:
            self.world.missing.pop(way.key, None)

    def _wrong(  # noqa: PLR0917
        self,
        way: Way,
        remote: Remote,
        tips: Mapping[str, Revision],
        result: Arrived,
        in_force: InForce | None,
        now: datetime,
    ) -> Diagnostic | None:
        """Return why a branch, tag or commit is not followed to where it is; None: it is. `tips` are this look's."""
        before = self._tip(way.key, tips)
        if isinstance(result, GitError):
            return unavailable(result.reason, remote, result.message, before, in_force)
        tip, trees = revision_of(result), self.places.source_trees(way.key)
        if before is not None and self._is_empty(way.key, tip):
            message = f"it was emptied: {tip[:12]} holds no files at all"
            return unavailable(GitReason.BRANCH_EMPTIED, remote, message, before, in_force)
        kind = read_ref(remote.ref).kind
        if kind is RefKind.BRANCH and before is not None and not follows(trees, remote, before, tip, in_force):
            message = f"its history was rewritten: {tip[:12]} does not build on {before[:12]}"
            hint = (
                f"{before[:12]} stays in use; put it back, or accept the new history with "
                f"spec.acceptRewrite: {tip} in the Repository document"
            )
            return unavailable(GitReason.HISTORY_REWRITTEN, remote, message, before, in_force, hint)
        for key, revision in way.tagged(remote, result).items():
            was = self._tip(key, tips)
            moved = was is not None and was != revision and not is_accepted(trees, remote, was, revision, in_force)
            message = f"{read_ref(read_key(key).ref)} was moved: it is at {revision[:12]}, and was at {str(was)[:12]}"
            self.source_signers.note(way, message if moved else None)
            if moved:
                hint = (
                    f"{before[:12] if before is not None else 'nothing'} stays in use; put the tag back, name another "
                    f"one, or accept it with spec.acceptRewrite: {revision} in the Repository document"
                )
                return unavailable(GitReason.TAG_MOVED, remote, message, before, in_force, hint)
        return self.source_signers.refuse(way, remote, trees.commit(tip), before, in_force, now)

    def _is_empty(self, key: str, revision: Revision) -> bool:
        return not self.places.source_trees(key).children(revision, "")

    def _follow(
        self, tip: Revision | GitError, state: ConfigurationState, now: datetime
    ) -> tuple[Changeset | None, Halt | None]:
        """Walk from the admitted revision to the branch's tip."""
        if isinstance(tip, GitError):
            return None, halt(state, str(tip.reason), tip.message, None, now)
        self._telling.seen(tip, self.places.settings.config_branch, self.world.revision)
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
            # To find that out takes seconds, and the answer would be the same.
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

    def _commit(self, changeset: Changeset, state: ConfigurationState, asked: Pins, now: datetime) -> bool:
        """Record a changeset as the next generation, all of it in one transaction, and only then take it over."""
        wanted = self.generations.desire(changeset)
        wanted = self.source_authors.credit(changeset.in_force, wanted, changeset.moves, now)
        wanted = self.places.with_refusals(wanted)
        settled = self.pinning.settle(asked, changeset, wanted, now)
        wanted, changeset.pinned = self.pinning.over(wanted, settled.pins, changeset.in_force)
        changeset.pins = settled.pins
        fresh = replace(
            state,
            generation=self.world.generation + 1,
            admitted_revision=changeset.in_force.revision,
            sources={**self.world.tips, **changeset.tips},
            kept=kept(changeset.admission),
            remembered={},
            former=changeset.admission.former.above,
            by_name=tuple(sorted(self.world.by_name)),
            restored=still_restored(self.places.config_trees(), state.restored, changeset.in_force.revision),
            documents={str(kind): count for kind, count in changeset.in_force.documents.counts().items()},
            pins=settled.pins,
            changed_at=now,
            version=__version__,
        )
        self.places.keep(changeset.in_force.revision)
        # Before the transaction: after a crash in between, the next pass writes the same commit again.
        self.places.record(
            changeset.in_force.revision, {path: file.force for path, file in changeset.admission.held.files.items()}
        )
        try:
            return self._write(changeset, fresh, wanted, settled, now, paused=state.restored is not None)
        except CannotFollow:
            self.generations.forget(changeset.stacks)
            raise

    def _write(
        self,
        changeset: Changeset,
        fresh: ConfigurationState,
        wanted: dict[StackId, Desired],
        settled: Settled,
        now: datetime,
        *,
        paused: bool,
    ) -> bool:
        """Write the next generation, unless another service was first; raise CannotFollow where another one leads."""
        with self.store.writing() as transaction:
            if transaction.configuration().generation != self.world.generation:
                self.generations.forget(changeset.stacks)
                return False
            halted = transaction.configuration().halted
            lost = from_nowhere(transaction, changeset.unfounded)
            fresh = replace(fresh, diagnostics=(*fresh.diagnostics, *(dict(each.tell().to_json()) for each in lost)))
            # While they have their old names.
            pins_ended = settled.record(transaction, now)
            blocked = move_stacks(transaction, changeset.in_force, changeset.moves, wanted)
            wanted = {
                stack: replace(desired, problem=blocked[stack]) if stack in blocked else desired
                for stack, desired in wanted.items()
            }
            leaving = changeset.departures()
            put_desired(transaction, changeset.in_force, wanted, leaving, self.places.count_changes, now, paused=paused)
            refreeze(transaction, changeset.in_force.documents, changeset.refrozen, now)
            transaction.put_configuration(fresh)
            put_held(transaction, self.world.admission, changeset.admission, now)
            transaction.remove_approvals(changeset.approvals)
            documents = changeset.in_force.documents
            transaction.add_announcements(about_held(documents, changeset.events, fresh.generation, now))
            transaction.add_announcements(about_halt(documents, halted, fresh.halted, fresh.generation, now))
            ended = [*pins_ended, *_end_tokens(transaction, changeset.left, now)]
            self.fence(transaction)
            transaction.append_audit([*changeset.events, *ended])
        self._unfounded += lost
        self.generations.take_over(changeset, fresh.generation, wanted)
        return True

    def _note(self, fresh: ConfigurationState, stored: ConfigurationState, now: datetime) -> None:
        if fresh == stored:
            return
        in_force = self.world.in_force
        with self.store.writing() as transaction:
            before = transaction.configuration()
            if before.generation == fresh.generation:
                transaction.put_configuration(fresh)
                self.fence(transaction)
                documents = in_force.documents if in_force is not None else PlacedDocuments.empty()
                told = about_halt(documents, before.halted, fresh.halted, fresh.generation, now)
                transaction.add_announcements(told)


def _branch(arrived: Arrived | None) -> Revision | GitError | None:
    """Return what arrived of the configuration repository, which is a branch."""
    return revision_of(arrived) if isinstance(arrived, Release) else arrived


def _first(stacks: Iterable[StackId]) -> list[str]:
    names = sorted(map(str, stacks))
    return names if len(names) <= _SHOWN else [*names[:_SHOWN], "…"]


def _end_tokens(transaction: Transaction, left: Collection[str], now: datetime) -> list[AuditEvent]:
    """Revoke the tokens of those who left, and forget their orders: nobody else of the name may find them open."""
    transaction.remove_orders_of(left)
    tokens = [token for token in transaction.api_tokens() if token.subject in left] if left else []
    return [about_token(Audited.TOKEN_REVOKED, each, None, now) for each in revoke_tokens(transaction, tokens)]
