"""Brings a `World` to the generation that the store is at: after a start, and when another service was first.

`Follower` calls `catch_up` before it takes anything in. Nothing is judged again: what is in force is what was recorded.
A database that was restored from a backup is another matter (`seen`).
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from rbac.admission.admit import Admission, read_tree, restore
from rbac.admission.entries import Held, HeldFile
from rbac.admission.former import Former
from rbac.admission.held import HeldChange
from rbac.admission.sources import Write
from reconciler.core.keeping import StackPin
from reconciler.core.succession import same_desired
from reconciler.git.remote import redact
from reconciler.git.source_keys import known_keys
from reconciler.git.trees import Trees
from reconciler.loop.desired.commits import Walking
from reconciler.loop.desired.files import attach_at, changed_files, read_file
from reconciler.loop.desired.generation import Changeset, Generations, repinned
from reconciler.loop.desired.pinning import Pinning
from reconciler.loop.desired.record import put_desired
from reconciler.loop.desired.repositories import CannotFollow, Places
from reconciler.loop.desired.takeover import take_over
from reconciler.loop.desired.world import World, desire
from reconciler.settings import Settings
from reconciler.store.protocol import Store, Transaction
from reconciler.store.queries import Reading
from reconciler.store.stored import ConfigurationState, StackFilter
from reconciler.version import __version__
from spaces.catalog import Catalog
from spaces.composition.reading import FileReading
from spaces.in_force import InForce
from spaces.names import Revision, SpacePath, StackId


@contextmanager
def loading() -> Iterator[None]:
    """Do not look for garbage while ten thousand documents come to life, nor among them afterwards.

    Each look would go through all that was read so far, and there is no garbage in it: nothing there refers back to
    what holds it, so what is replaced later goes when its last user does, without the collector.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_on:
            gc.enable()


def differs(settings: Settings, state: ConfigurationState) -> str | None:
    """Return in a sentence what the settings name that is not what the store has followed until now; None: nothing.

    A branch may have another name: admission halts if the revision in force is not on it.
    """
    if state.admitted_revision is None:
        return None
    url = redact(settings.config_url or "")
    was = (redact(state.url) if state.url else url, state.config_path)
    settled = (("config_url", url), ("config_path", settings.config_path))
    for (name, now), before in zip(settled, was, strict=True):
        if before is not None and before != now:
            return (
                f"{name} is {now}, but this data directory and database belong to {before}: set {name} back, or start "
                "with a data directory and database of its own (data_dir, database_url)"
            )
    return None


def with_remembered(settings: Settings, state: ConfigurationState) -> Settings:
    """Fill in what the settings do not say of the configuration repository, from what the store remembers."""
    if settings.config_url or state.url is None:
        return settings
    branch, path = state.branch or settings.config_branch, state.config_path or settings.config_path
    return settings.model_copy(update={"config_url": state.url, "config_branch": branch, "config_path": path})


@dataclass(frozen=True, slots=True)
class Recorded:
    """What the store remembers of admission beside the revision."""

    changes: list[HeldChange]
    files: Mapping[str, tuple[bytes | None, list[dict[str, Any]]]]
    writes: Mapping[str, Write]
    earlier: Mapping[str, Any]
    """What an earlier version remembered instead."""
    former: Former = field(default_factory=Former)
    """The spaces that have left."""

    @property
    def sources(self) -> dict[StackId, HeldChange]:
        """The stacks whose sources are held."""
        return {StackId(each.ref.space, each.ref.name): each for each in self.changes if each.pin is not None}

    def held(self, trees: Trees, revision: Revision) -> Held:
        """Return what is held, with the branch's files as they are at a revision."""
        return Held.from_records(self.files, lambda path: read_file(trees, revision, path))


def _record(file: HeldFile | None) -> object:
    return file and (file.force, file.tip, [entry.to_record() for entry in file.entries.values()])


def _former(reading: Reading, state: ConfigurationState) -> Former:
    """Return the spaces that have left; at first, by what was retained of them."""
    if state.former is not None:
        return Former(state.former)
    retained = reading.list_stacks(StackFilter(in_git=False), None, _MOST_RETAINED)
    return Former.unknown({stack.id.space for stack in retained})


_MOST_RETAINED = 100_000


@dataclass(frozen=True, slots=True)
class CatchingUp:
    """Finds again what the store says is in force."""

    store: Store
    world: World
    places: Places
    walking: Walking
    generations: Generations
    pinning: Pinning
    fence: Callable[[Transaction], None]

    def catch_up(self, now: datetime, *, writing: bool) -> bool:
        """Bring the world to the generation that the store is at; say whether anything had to be done.

        `writing`: what was taken over from an earlier version is written in this one's way.
        CannotFollow where the recorded revision is not in the mirror (yet): a fetch has to come first.
        """
        with self.store.reading() as reading:
            state = reading.configuration()
            if state.generation == self.world.generation:
                return False
            state = replace(state, sources=known_keys(state.sources))
            recorded = Recorded(
                reading.held_changes(),
                reading.held_files(),
                reading.unearned_writes(),
                state.remembered,
                _former(reading, state),
            )
        if changed := differs(self.places.settings, state):
            raise CannotFollow(changed)
        if state.admitted_revision is None:
            self.world.become(World(generation=state.generation))
            return True
        if state.by_name is not None:
            self.world.by_name = frozenset(state.by_name)
        if not self.places.config_trees().has(state.admitted_revision):
            raise CannotFollow(self._not_there(state, state.admitted_revision))
        if self._step_to(state, state.admitted_revision, recorded, now):
            return True
        with loading():
            admission = self._find_again(state.admitted_revision, recorded, now)
            world = World(state.generation, admission, dict(state.sources))
            in_force = admission.in_force
            world.by_name = self.world.by_name = frozenset(self._by_name(state, admission))
            stacks = list(in_force.documents.stacks())
            person = self.generations.person(in_force)
            read = self.places.reading(world.tips, admission.pins)
            branch = desire(in_force, stacks, read, world.index, person, check=self.places.check)
            world.desired, world.pinned = self.pinning.over(branch, state.pins, in_force)
            world.pins = state.pins
            self.world.become(world)
            if writing and (recorded.earlier or state.by_name is None):
                self._write(admission, state, now)
        return True

    def lacks_sources(self) -> bool:
        """Whether a source repository was not fetched yet up to where it is in force."""
        return any(not self.places.source_trees(key).has(tip) for key, tip in self.world.tips.items())

    def refresh(self) -> None:
        """Work out anew what could not be read, and can be now; nothing is written."""
        found = self.places.other_checks() if self.world.admission is not None else set()
        if self.world.admission is not None and found:
            self._desire(Changeset(self.world.admission, found), self.world.pins, self.world.generation)

    def record(self) -> None:
        """Have this service's mirror keep what is in force, as that of the service does which judged it."""
        admission = self.world.admission
        if admission is not None:
            revision = admission.in_force.revision
            self.places.keep(revision)
            self.places.record(revision, {path: file.force for path, file in admission.held.files.items()})

    @staticmethod
    def _by_name(state: ConfigurationState, admission: Admission) -> Iterable[SpacePath]:
        """Return the paths at which secrets by name count; at first, of all spaces that an earlier version knew."""
        if state.by_name is not None:
            return state.by_name
        tree = admission.in_force.documents.tree
        return (*map(tree.path, tree.spaces()), *admission.former.paths())

    def _write(self, admission: Admission, state: ConfigurationState, now: datetime) -> None:
        """Write in this version's way what was taken over from an earlier one."""
        with self.store.writing() as transaction:
            if transaction.configuration().generation == state.generation:
                transaction.put_held_changes(admission.held_changes, now)
                transaction.put_held_files(dict(admission.held.to_records()))
                transaction.put_configuration(replace(state, remembered={}, by_name=tuple(sorted(self.world.by_name))))
                self.fence(transaction)

    def _step_to(self, state: ConfigurationState, revision: Revision, recorded: Recorded, now: datetime) -> bool:
        """Follow another service to its generation, at the cost of what changed; False: everything is to be read."""
        before = self.world.admission
        if before is None or self.world.generation < 0:
            return False
        trees, at = self.places.config_trees(), before.in_force.revision
        held = recorded.held(trees, revision)
        old, new = before.held.files, held.files
        other = {path for path in {*old, *new} if _record(old.get(path)) != _record(new.get(path))}
        tree = before.in_force.tree
        changed = changed_files(trees, tree, {*old, *new}, (at, revision), self.places.settings.config_path)
        for path in other | tree.attaching(other):
            changed[path] = read_file(trees, revision, path)
        trial = read_tree(tree, changed, held, self._reading(trees, revision))
        in_force = InForce.after(before.in_force, revision, trial.after, (), trial.refs)
        admission = self._admission(in_force, held, recorded, now)
        changeset = Changeset(admission, set())
        changeset.add(before.in_force, admission.in_force)
        changeset.stacks |= self.walking.users(at, admission) | repinned(before, admission)
        changeset.tips = {key: tip for key, tip in state.sources.items() if self.world.tips.get(key) != tip}
        for key, tip in changeset.tips.items():
            there = self.places.source_trees(key).has(tip)
            changeset.stacks |= self.places.users(key, tip) if there else self.world.index.of_repository(key)
        pins = self.world.pins
        changeset.stacks |= {it for it in {*pins, *state.pins} if pins.get(it) != state.pins.get(it)}
        self._desire(changeset, state.pins, state.generation)
        return True

    def _desire(self, changeset: Changeset, pins: Mapping[StackId, StackPin], generation: int) -> None:
        branch = self.generations.desire(changeset)
        wanted, changeset.pinned = self.pinning.over(branch, pins, changeset.in_force)
        changeset.pins = pins
        self.generations.take_over(changeset, generation, wanted)

    def _find_again(self, revision: Revision, recorded: Recorded, now: datetime) -> Admission:
        """Read the tree that is in force: the branch's files at the revision, and those that are otherwise."""
        trees = self.places.config_trees()
        if recorded.earlier:
            files_there, reading = (
                trees.files(revision, self.places.settings.config_path),
                self._reading(trees, revision),
            )
            rules = self.walking.admitting.rules
            changes = recorded.changes
            return take_over(trees, files_there, revision, recorded.earlier, changes, reading, rules, now)
        held = recorded.held(trees, revision)
        files: dict[str, bytes | None] = dict.fromkeys(held.files)
        files.update(trees.files(revision, self.places.settings.config_path))
        tree = read_tree(Catalog(), files, held, self._reading(trees, revision)).after
        in_force = InForce(revision, tree, touched=frozenset(tree.documents.refs()))
        return self._admission(in_force, held, recorded, now)

    def _admission(self, in_force: InForce, held: Held, recorded: Recorded, now: datetime) -> Admission:
        rules, former = self.walking.admitting.rules, recorded.former
        return restore(in_force, held, recorded.sources, recorded.writes, former=former, rules=rules, now=now)

    def _reading(self, trees: Trees, revision: Revision) -> FileReading:
        admitting = self.walking.admitting
        return FileReading(attach_at(trees, revision), admitting.read, admitting.check)

    def _not_there(self, state: ConfigurationState, revision: Revision) -> str:
        url = redact(self.places.configuration().url)
        if state.url is not None and state.url != url:
            return (
                f"config_url is {url}, and what is in force came from {state.url}: "
                f"{url} does not hold its revision {revision[:12]}; take another data_dir and database for it"
            )
        return f"revision {revision[:12]}, which is in force, is not in the mirror of {url}"

    def correct(self, now: datetime) -> None:
        """Write what is desired where the store has something else: a version that hashes otherwise, say."""
        in_force = self.world.in_force
        if in_force is None:
            return
        with self.store.reading() as reading:
            stored, by_this_version = reading.desired(), reading.configuration().version == __version__
        keys = ((self.world.index.repository_of(stack), found.refused) for stack, found in stored.items())
        self.world.refused = {key: refused for key, refused in keys if key and refused is not None}
        differing_stacks = {
            stack
            for stack, wanted in self.world.desired.items()
            if (found := stored.get(stack)) is None
            or not same_desired(found, wanted)
            or (found.source is None and wanted.source is not None)
        }
        # Only this machine misses these, and a fetch may bring them in a moment.
        self.world.untold = {
            stack
            for stack in differing_stacks & stored.keys()
            if self.world.desired[stack].lacks_source and not stored[stack].lacks_source
        }
        differing_stacks -= self.world.untold
        if differing_stacks or not by_this_version:
            with self.store.writing() as transaction:
                state = transaction.configuration()
                if state.generation == self.world.generation:
                    wanted = {stack: self.world.desired[stack] for stack in differing_stacks}
                    put_desired(transaction, in_force, wanted, {}, self.places.count_changes, now)
                    transaction.put_configuration(replace(state, version=__version__))
                    self.fence(transaction)
