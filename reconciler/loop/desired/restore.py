"""Brings a `World` to the generation that the store is at: after a start, and when another service was first."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from rbac.admission.admission import Admission
from rbac.admission.held import HeldChange
from rbac.admission.holds import Holds, with_documents
from reconciler.git.errors import GitError
from reconciler.git.remote import redact
from reconciler.loop.desired.commits import Walking, attach_at, read_attached
from reconciler.loop.desired.generation import Generations, Step
from reconciler.loop.desired.record import put_desired, same_desired
from reconciler.loop.desired.repositories import CannotFollow, Places
from reconciler.loop.desired.world import World, desire
from reconciler.settings import Settings
from reconciler.store.protocol import ConfigurationState, Store
from spaces.catalog import Catalog
from spaces.in_force import Recorded, restore
from spaces.names import Revision, StackId
from spaces.records import from_record, to_record


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
    """Say in a sentence what the settings name that is not what the store has followed until now; None: nothing."""
    if state.admitted_revision is None:
        return None
    url = redact(settings.config_url or "")
    was = (redact(state.url) if state.url else url, state.branch, state.config_path)
    settled = (("config_url", url), ("config_branch", settings.config_branch), ("config_path", settings.config_path))
    for (name, now), before in zip(settled, was, strict=True):
        if before is not None and before != now:
            return (
                f"{name} is {now}, but what is remembered here came from {before}: set {name} back, or start "
                "with a data directory and database of its own (data_dir, database_url)"
            )
    return None


def with_remembered(settings: Settings, state: ConfigurationState) -> Settings:
    """Fill in what the settings do not say of the configuration repository, from what the store remembers."""
    if settings.config_url or state.url is None:
        return settings
    branch, path = state.branch or settings.config_branch, state.config_path or settings.config_path
    return settings.model_copy(update={"config_url": state.url, "config_branch": branch, "config_path": path})


__all__ = ["differs", "with_remembered"]


@dataclass(frozen=True, slots=True)
class CatchingUp:
    """Finds again what the store says is in force."""

    store: Store
    config_path: str
    world: World
    places: Places
    walking: Walking
    generations: Generations

    def catch_up(self, now: datetime, *, writing: bool) -> bool:
        """Bring the world to the generation that the store is at; say whether anything had to be done.

        Where this version, or these settings, desire something else of a stack than what is stored, that is written.
        CannotFollow where the recorded revision is not in the mirror (yet): a fetch has to come first.
        """
        with self.store.reading() as reading:
            state, waiting = reading.configuration(), reading.held_changes()
        if state.generation == self.world.generation:
            return False
        if changed := differs(self.places.settings, state):
            raise CannotFollow(changed)
        if state.admitted_revision is None:
            self.world.become(World(generation=state.generation))
            return True
        if self._step_to(state, state.admitted_revision, waiting, now):
            return True
        with loading():
            admission = self._find_again(state, state.admitted_revision, waiting, now)
            world = World(state.generation, admission, dict(state.sources))
            in_force = admission.in_force
            stacks = list(in_force.catalog.stacks())
            person = self.generations.person(in_force)
            read = self.places.reading(world.tips, admission.pins)
            world.desired = dict(desire(in_force, stacks, read, world.index, person, check=self.places.check))
            self.world.become(world)
            if writing:
                self._correct(now)
        return True

    def _step_to(self, state: ConfigurationState, revision: Revision, waiting: list[HeldChange], now: datetime) -> bool:
        """Follow another service to its generation, at the cost of what changed; False: everything is to be read."""
        before = self.world.admission
        trees = self.places.config_trees()
        if before is None or self.world.generation < 0 or not trees.has(revision):
            return False
        chain = trees.first_parent_chain(before.in_force.revision, revision)
        if chain is None:
            return False
        step, _ = self.walking.walk(before, chain, state, now) if chain else (None, None)
        step = step or Step(before, set())
        if dict(to_record(Recorded.of(step.in_force))) != dict(state.remembered):
            return False
        if list(step.admission.waiting) != waiting:
            return False
        step.tips = {key: tip for key, tip in state.sources.items() if self.world.tips.get(key) != tip}
        for key, tip in step.tips.items():
            if not self.places.source_trees(key).has(tip):
                return False
            step.stacks |= self.places.users(key, tip)
        self.generations.take_over(step, state.generation, self.generations.desire(step))
        return True

    def _find_again(
        self, state: ConfigurationState, revision: Revision, waiting: list[HeldChange], now: datetime
    ) -> Admission:
        trees = self.places.config_trees()
        if not trees.has(revision):
            raise CannotFollow(self._not_there(state, revision))
        files = trees.files(revision, self.config_path)
        record: Any = state.remembered or to_record(Recorded())
        try:
            recorded = from_record(record, partial(read_attached, trees))
        except (GitError, ValueError) as error:
            raise CannotFollow(f"an earlier version of a document cannot be found again: {error}") from None
        admitting = self.walking.admitting
        proposed = Catalog.empty().advance(files, attach_at(trees, revision), admitting.check, admitting.read)
        about = (each for each in waiting if each.pin is None)
        holds = Holds.of(with_documents(about, proposed.override(recorded.directories), recorded.kept))
        pinned = {StackId(each.ref.space, each.ref.name): each for each in waiting if each.pin is not None}
        in_force = restore(proposed.hold(holds.documents()), recorded, revision, holds.keep())
        access = self.walking.admitting.rules.compile(in_force.catalog, now)
        return Admission(in_force, access, holds.changes, pinned)

    def _not_there(self, state: ConfigurationState, revision: Revision) -> str:
        url = redact(self.places.configuration().url)
        if state.url is not None and state.url != url:
            return (
                f"config_url is {url}, and what is in force came from {state.url}: "
                f"{url} does not hold its revision {revision[:12]}; take another data_dir and database for it"
            )
        return f"revision {revision[:12]}, which is in force, is not in the mirror of {url}"

    def _correct(self, now: datetime) -> None:
        """Write what is desired where the store has something else: a version that hashes otherwise, say."""
        in_force = self.world.in_force
        assert in_force is not None  # noqa: S101 - called where something was found again
        with self.store.reading() as reading:
            stored = reading.desired()
        differing_stacks = {
            stack
            for stack, wanted in self.world.desired.items()
            if (found := stored.get(stack)) is None or not same_desired(found, wanted)
        }
        if differing_stacks:
            with self.store.writing() as transaction:
                if transaction.configuration().generation == self.world.generation:
                    wanted = {stack: self.world.desired[stack] for stack in differing_stacks}
                    put_desired(transaction, in_force, wanted, set(), self.places.count_changes, now)
