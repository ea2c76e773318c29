"""Follows the repositories: what is to be fetched, and the way from there to a `World` in step with the store.

This is the one door to `loop.desired`, and it puts the parts of that together. `Watcher` calls `wanted`, `catch_up` and
`advance` in the loop's thread; the dispatcher, policies and the API ask about stacks as they are, were or would be.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

from rbac.access.access import Access
from rbac.access.subjects import Subject
from rbac.admission.admit import Admission
from rbac.admission.settings import Rules
from rbac.identity import LOCAL_OPERATOR
from reconciler.adopting.finding import Adoption, Difference
from reconciler.core.orders import Order, Wanted
from reconciler.core.reasons import Reason
from reconciler.core.runs import Run, RunKind
from reconciler.core.state import StackProblem
from reconciler.git.errors import GitError
from reconciler.git.mirrors import Mirrors, Remote
from reconciler.git.signatures import Signatures
from reconciler.git.trees import Trees
from reconciler.loop.desired.adoptions import adoptions
from reconciler.loop.desired.advance import Advancing
from reconciler.loop.desired.commits import Admitting, Walking
from reconciler.loop.desired.earlier import AsItWas, EarlierStacks
from reconciler.loop.desired.earlier_runs import MOST_RUNS, run_at
from reconciler.loop.desired.fetch import Fetched
from reconciler.loop.desired.generation import Generations
from reconciler.loop.desired.ordering import Ordering, orderer, own_keys
from reconciler.loop.desired.persons import OwnCommits, Persons
from reconciler.loop.desired.pinning import Pinning
from reconciler.loop.desired.proposing import Base, Proposed, Proposing
from reconciler.loop.desired.repositories import CannotFollow, Places, Remotes
from reconciler.loop.desired.restore import CatchingUp
from reconciler.loop.desired.source_authors import SourceAuthors
from reconciler.loop.desired.source_repositories import AboutAccess, outside_sources
from reconciler.loop.desired.source_signers import SourceSigners
from reconciler.loop.desired.world import EarlierStack, SourceLocation, World
from reconciler.policies.checking import check_rego
from reconciler.policies.documents import ask_config
from reconciler.proposals import Proposal
from reconciler.store.protocol import Store, Transaction
from reconciler.store.stored import RunFilter
from spaces.documents.documents import PlacedDocuments
from spaces.effective.config_policies import AskConfig
from spaces.effective.stack import EffectiveStack, ResolvedSource
from spaces.in_force import InForce
from spaces.names import StackId
from spaces.reading.documents import ReadDocuments, read_documents
from spaces.reading.rego import CheckRego

_log = logging.getLogger(__name__)


class CurrentAccess:
    """Gives the `Access` of what is in force. Threads share it."""

    def __init__(self, admission: Callable[[], Admission | None], rules: Rules, now: Callable[[], datetime]) -> None:
        self._admission = admission
        self._now = now
        self._nothing = rules.compile(PlacedDocuments.empty(), now())
        self._latest: tuple[Admission | None, Access] = None, self._nothing

    def __call__(self) -> Access:
        """Return the access rules as they are now; a grant that has ended is not served for one answer more."""
        admission, latest = self._admission(), self._latest
        source = latest[1] if latest[0] is admission else admission.doors if admission is not None else self._nothing
        current = source.at(self._now())
        self._latest = admission, current
        return current


@dataclass(slots=True)
class Follower:
    """Keeps a `World` in step with the repositories and the store."""

    store: Store
    mirrors: Mirrors
    remotes: Remotes
    read: ReadDocuments = read_documents
    check: CheckRego = check_rego
    ask: AskConfig = ask_config
    fence: Callable[[Transaction], None] = lambda _: None
    """Is called at the end of every transaction that writes what is in force; raises CannotFollow to undo it.

    In a service it is `Leadership.check`.
    """
    world: World = field(default_factory=World)
    _outside: tuple[InForce, list[ResolvedSource]] | None = None
    """The sources outside the configuration repository, and the configuration that names them."""
    _places: Places = field(init=False)
    _catching_up: CatchingUp = field(init=False)
    _advancing: Advancing = field(init=False)
    _signatures: Signatures = field(init=False)
    _earlier: EarlierStacks = field(init=False)
    _proposing: Proposing = field(init=False)
    _ordering: Ordering = field(init=False)
    _still: threading.RLock = field(default_factory=threading.RLock)
    """Held while the world changes, and for a moment by other threads that need it to stand still."""

    def __post_init__(self) -> None:
        """Take what admission needs out of the settings, and put the parts together."""
        settings = self.remotes.settings
        self._signatures = Signatures(settings.data_dir.absolute() / "keyrings", settings.search_path)
        own = OwnCommits(own_keys(self.store), partial(orderer, self.store))
        persons = Persons(self._signatures, settings.identity, settings.first_admins, settings.forges, own)
        rules = Rules(settings.first_admins, settings.destroy_budget)
        store, world = self.store, self.world
        places = self._places = Places(self.mirrors, self.remotes, world)
        self._earlier = EarlierStacks(places)
        # Beside the loop's own: that one is not for other threads.
        aside = Persons(self._signatures, settings.identity, settings.first_admins, settings.forges, own)
        self._proposing = Proposing(places, aside, rules)
        self._ordering = Ordering(store, places)
        walking = Walking(
            world,
            places,
            Admitting(places.config_trees, settings.config_path, rules, persons, self.read, self.check, self.ask),
        )
        generations = Generations(world, places, rules)
        about_access = AboutAccess(rules, settings.identity)
        pinning = Pinning(world, self._earlier)
        self._catching_up = CatchingUp(store, world, places, walking, generations, pinning, self.fence)
        authors = SourceAuthors(store, places, persons, rules)
        signers = SourceSigners(persons)
        self._advancing = Advancing(
            store=store,
            world=world,
            places=places,
            walking=walking,
            generations=generations,
            about_access=about_access,
            source_authors=authors,
            source_signers=signers,
            pinning=pinning,
            fence=self.fence,
        )

    @property
    def halted(self) -> bool:
        """Whether admission stood still when this process last took something in."""
        return self._advancing.halted

    def configuration_trees(self) -> Trees:
        """Return the objects of the configuration repository."""
        return self._places.config_trees()

    def source_trees_of(self, stack: StackId) -> Trees | None:
        """Return the objects of the repository that a stack's source lies in; None where that is not known now."""
        found, in_force = self.world.effective(stack), self.world.in_force
        place = self._places.locate(in_force, found) if found is not None and in_force is not None else None
        return place.trees if isinstance(place, SourceLocation) else None

    def close(self) -> None:
        """Remove what was only needed while the service runs."""
        self._signatures.close()

    def wanted(self) -> list[Remote]:
        """Return every remote that the configuration in force needs, the configuration repository first."""
        found = {self._places.configuration(): None}
        if self.world.in_force is not None:
            if self._outside is None or self._outside[0] is not self.world.in_force:
                self._outside = self.world.in_force, list(outside_sources(self.world.in_force))
            for source in self._outside[1]:
                remote = self.remotes.of_source(self.world.in_force.documents, source)
                if isinstance(remote, Remote):
                    found[remote] = None
        return list(found)

    def locate(self, in_force: InForce, stack: EffectiveStack) -> SourceLocation | StackProblem:
        """Find where a stack's source is read."""
        return self._places.locate(in_force, stack)

    def stack_as(self, stack: StackId, suits: Callable[[EffectiveStack], bool], now: datetime) -> EffectiveStack | None:
        """Return a stack's effective configuration where it suits, also if another service has gone ahead."""
        found = self.world.effective(stack)
        if found is None or not suits(found):
            try:
                self.catch_up(now)
            except (CannotFollow, GitError) as error:
                _log.warning("%s", error)
            found = self.world.effective(stack)
        return found if found is not None and suits(found) else None

    def left(self, stack: StackId) -> EarlierStack | StackProblem:
        """Return a stack whose document has left Git, as it was applied, with the policies over it now."""
        with self.store.reading() as reading:
            state = reading.stack(stack)
        if state is None or state.applied is None:
            return StackProblem(Reason.PLAN_OUTDATED, f"{stack} has nothing applied any more")
        found = self._earlier.find(stack, AsItWas.applied(state.applied), self.world.in_force)
        if isinstance(found, StackProblem):
            return StackProblem(found.reason, f"{stack} cannot be destroyed: {found.message}")
        return found

    def run_at(self, stack: StackId, at: str) -> Run | str:
        """Return the run that was for what a stack was at a revision, or at a run's id; else why there is none."""
        with self.store.reading() as reading:
            runs = reading.list_runs(RunFilter(stack, kinds={RunKind.TRACKED}), None, MOST_RUNS)
        try:
            found = run_at(self._earlier, stack, at, runs)
            there = (
                self._earlier.find(stack, AsItWas.of(found), self.world.in_force) if isinstance(found, Run) else None
            )
            return there.message if isinstance(there, StackProblem) else found
        except GitError as error:
            return f"the history of {stack} cannot be read: {error.message}"

    def propose(self, stack: StackId, ref: str, asker: Subject, now: datetime) -> Proposal | str:
        """Return what merging a branch or commit would make of a stack; else why no plan may come of that, in words."""
        try:
            wanted = self._proposing.fetch(ref)
            if isinstance(wanted, str):
                return wanted
            found = self._proposing.find(stack, wanted, asker, self._base(stack), now)
        except (CannotFollow, GitError) as error:
            _log.warning("%s cannot be planned as %s: %s", stack, ref[:80], error)
            return f"{ref[:80]} cannot be read now: the service's log says why"
        if isinstance(found, StackProblem):
            return found.message
        return Proposal(wanted, found.desired, found.left_out)

    def access_with(self, ref: str, asker: Subject, now: datetime) -> Access | str:
        """Return the access rules as merging a branch or commit would make them; else why nobody can tell, in words."""
        try:
            wanted = self._proposing.fetch(ref)
            if isinstance(wanted, str):
                return wanted
            with self._still:
                base = Base.of(self.world)
            return self._proposing.access(wanted, asker, base, now)
        except (CannotFollow, GitError) as error:
            _log.warning("the access that %s gives cannot be told: %s", ref[:80], error)
            return f"{ref[:80]} cannot be read now: the service's log says why"

    def adoptions(self, stack: StackId, differences: Iterable[Difference]) -> list[Adoption]:
        """Return what to change in Git so that it says what the real world has."""
        return adoptions(self.world, self._places, stack, differences)

    def order(self, wanted: Wanted, now: datetime) -> Order:
        """Put an instance of a blueprint on a branch, in somebody's name; OperationRefused where that fails."""
        return self._ordering.order(wanted, now)

    def proposed(self, run: Run, now: datetime) -> Proposed | StackProblem:
        """Return the stack that a run plans as nobody has merged it, worked out anew."""
        assert run.proposes is not None  # noqa: S101 - the caller has looked
        try:
            asker = LOCAL_OPERATOR if run.person in {None, "operator"} else Subject.parse(run.person or "")
            return self._proposing.find(run.stack, run.proposes, asker, self._base(run.stack), now)
        except (CannotFollow, GitError) as error:
            _log.warning("%s cannot be planned as %s: %s", run.stack, run.proposes.ref, error)
            return StackProblem(Reason.SOURCE_UNAVAILABLE, f"{run.proposes.ref} cannot be read now")

    def _base(self, stack: StackId) -> Base:
        with self._still:
            return Base.of(self.world, stack)

    def correct(self, now: datetime) -> None:
        """Write what this version, or these settings, desire otherwise than what is stored."""
        with self._still:
            self._catching_up.correct(now)

    def refresh(self) -> None:
        """Work out anew what could not be read before and can be now, and write nothing."""
        with self._still:
            self._catching_up.refresh()

    def record(self) -> None:
        """Have this service's mirror keep what is in force."""
        with self._still:
            self._catching_up.record()

    def lacks_sources(self) -> bool:
        """Whether this process has not fetched yet what is in force of a source repository."""
        return self._catching_up.lacks_sources()

    def catch_up(self, now: datetime, *, writing: bool = False) -> bool:
        """Bring the world to the generation that the store is at; say whether anything had to be done.

        Whoever does not follow the configuration is not `writing`: what is stored is what the one found who does.
        CannotFollow where the recorded revision is not in the mirror (yet): a fetch has to come first.
        """
        with self._still:
            return self._catching_up.catch_up(now, writing=writing)

    def advance(self, fetched: Fetched, now: datetime) -> bool:
        """Take in what was fetched. Say whether the desired state changed; that another service was first is fine."""
        with self._still:
            return self._advancing.advance(fetched, now)
