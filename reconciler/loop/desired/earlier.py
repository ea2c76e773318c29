"""The configuration of a stack as it was at an earlier revision: of one that has left Git, or is pinned.

The mirror has a commit for each state that was in force, and those commits have the sources in the configuration
repository as well. `runs.dispatch` reads the inputs of a destruction here, and `policies.plan` the policies over it;
`pinning` reads what pinned stacks are.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field, replace

from reconciler.core.digest import SourceSnapshot, fingerprint
from reconciler.core.keeping import StackPin
from reconciler.core.pins import mark_of
from reconciler.core.reasons import Reason
from reconciler.core.runs import Run
from reconciler.core.state import AppliedState, SourceCommit, StackProblem
from reconciler.git.trees import Trees
from reconciler.loop.desired.files import attach_at
from reconciler.loop.desired.repositories import Places
from reconciler.loop.desired.sources import snapshot
from reconciler.loop.desired.world import EarlierStack
from reconciler.policies.checking import check_rego
from spaces.documents.documents import Placed
from spaces.effective.policies import Guardrail, guardrails
from spaces.effective.stack import effective
from spaces.in_force import InForce
from spaces.names import Revision, StackId
from spaces.validate import examine_files

_REMEMBERED = 4
"""How many states are kept in memory: stacks that leave in one commit mostly share one."""


def in_force_at(trees: Trees, revision: Revision, config_path: str) -> InForce:
    """Return what would be in force if the revision were trusted whole, as the first one is."""
    files = dict(trees.files(revision, config_path))
    return examine_files(files, attach_at(trees, revision), check_rego, revision)


@dataclass(frozen=True, slots=True)
class AsItWas:
    """By what a stack is found again: the revision, what it was there (`pins.mark_of`), and where its source was."""

    revision: Revision
    mark: str
    source: SourceCommit | None

    @classmethod
    def applied(cls, applied: AppliedState) -> AsItWas:
        """Ask for what was applied."""
        return cls(applied.revision, mark_of(applied.fingerprint), applied.source)

    @classmethod
    def of(cls, run: Run) -> AsItWas:
        """Ask for what a run was for."""
        return cls(run.revision, mark_of(run.fingerprint), run.source)

    @classmethod
    def pinned(cls, pin: StackPin) -> AsItWas:
        """Ask for what a stack is pinned to."""
        return cls(pin.revision, pin.mark, pin.source)


@dataclass(slots=True)
class EarlierStacks:
    """Finds stacks in the history of what was in force."""

    places: Places
    _states: OrderedDict[Revision, InForce] = field(default_factory=OrderedDict)

    def find(self, stack: StackId, was: AsItWas, now: InForce | None) -> EarlierStack | StackProblem:
        """Return a stack as it was; a problem where that state, or its source, is not there any more.

        `now` says which policies are over it.
        """
        revision = was.revision
        in_force: EarlierStack | None = None
        commits = self.commits(revision)
        # Reading a state whole takes long, and stacks that leave together were often applied from several of them.
        for commit in dict.fromkeys((*self._states, *commits)):
            found = self._look(stack, was, commit, now)
            # Of several states that were in force at the revision, a later one may have waited and never been applied.
            if found is not None and mark_of(fingerprint(found.stack, found.source_seen)) == was.mark:
                return found
            if in_force is None and commit in commits and commit != revision:
                in_force = found
        # A mirror that was fetched anew has only the branch, which nobody has judged: what is taken from there has to
        # be exactly what it was. An older version of the service may have noted what was in force otherwise.
        why = f"its configuration as it was at {revision[:12]} is not in the mirror any more"
        return in_force or StackProblem(Reason.SOURCE_UNAVAILABLE, why)

    def commits(self, revision: Revision) -> list[Revision]:
        """Return the commits of what was in force at a revision, newest first, and the revision itself."""
        trees = self.places.config_trees()
        return [commit for commit in (*self.places.recorded(revision), revision) if trees.has(commit)]

    def _look(self, stack: StackId, was: AsItWas, commit: Revision, now: InForce | None) -> EarlierStack | None:
        in_force = self.state(commit)
        placed = in_force.documents.placed(stack.ref)
        if placed is None:
            return None
        policies = _policies(placed, in_force, now)
        found = replace(effective(in_force.documents, stack), policies=policies)
        if found.source is None:
            return EarlierStack(found, SourceSnapshot(commit, {}), None)
        at = was.source.revision if was.source is not None else commit
        place = self.places.locate_at(in_force, found, at)
        if isinstance(place, StackProblem) or not place.trees.has(at):
            return None
        source = snapshot(found, place.trees, at)
        return None if isinstance(source, StackProblem) else EarlierStack(found, source, place.trees)

    def state(self, commit: Revision) -> InForce:
        """Return what a commit says, if it were trusted whole."""
        found = self._states.get(commit)
        if found is None:
            found = in_force_at(self.places.config_trees(), commit, self.places.settings.config_path)
            self._states[commit] = found
            while len(self._states) > _REMEMBERED:
                self._states.popitem(last=False)
        return found


def _policies(placed: Placed, then: InForce, now: InForce | None) -> tuple[Guardrail, ...]:
    """Return the policies that are over the stack's space now; over the nearest space above it that is left."""
    documents = now.documents if now is not None else then.documents
    for space in then.documents.tree.lineage(placed.ref.space):
        if documents.tree.exists(space):
            return guardrails(documents, replace(placed, ref=placed.ref._replace(space=space)))
    return guardrails(then.documents, placed)
