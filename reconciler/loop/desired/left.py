"""The configuration of a stack whose document has left Git, as it was when the stack was last applied.

The mirror has a commit for each state that was in force, and those commits have the sources in the configuration
repository as well. `runs.dispatch` reads the inputs of a destruction here, and `policies.plan` the policies over it.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field, replace

from reconciler.core.digest import SourceSnapshot, fingerprint
from reconciler.core.reasons import Reason
from reconciler.core.state import AppliedState, Component, StackProblem
from reconciler.git.trees import Trees
from reconciler.loop.desired.files import attach_at
from reconciler.loop.desired.repositories import Places
from reconciler.loop.desired.sources import snapshot
from reconciler.policies.checking import check_rego
from spaces.documents.documents import Placed
from spaces.effective.policies import Guardrail, guardrails
from spaces.effective.stack import EffectiveStack, effective
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
class LeftStack:
    """A stack that left: its configuration and the place of its source, both as they were applied."""

    stack: EffectiveStack
    source: SourceSnapshot
    trees: Trees | None
    """None: it has no source."""


@dataclass(slots=True)
class LeftStacks:
    """Finds stacks that left in the history of what was in force."""

    places: Places
    _states: OrderedDict[Revision, InForce] = field(default_factory=OrderedDict)

    def find(self, stack: StackId, applied: AppliedState) -> LeftStack | StackProblem:
        """Return a stack as it was applied; a problem where that state, or its source, is not there any more."""
        revision = applied.revision
        in_force: LeftStack | None = None
        for commit in (*self.places.recorded(revision), revision):
            found = self._look(stack, applied, commit)
            # Of several states that were in force at the revision, a later one may have waited and never been applied.
            if found is not None and _is_applied(found, applied):
                return found
            if in_force is None and commit != revision:
                in_force = found
        # A mirror that was fetched anew has only the branch, which nobody has judged: what is taken from there has to
        # be exactly what was applied. An older version of the service may have noted what was in force otherwise.
        why = f"its configuration as it was applied at {revision[:12]} is not in the mirror any more"
        return in_force or _missing(stack, why)

    def _look(self, stack: StackId, applied: AppliedState, commit: Revision) -> LeftStack | None:
        if not self.places.config_trees().has(commit):
            return None
        in_force = self._state(commit)
        placed = in_force.documents.placed(stack.ref)
        if placed is None:
            return None
        found = replace(effective(in_force.documents, stack), policies=self._policies(placed, in_force))
        if found.source is None:
            return LeftStack(found, SourceSnapshot(commit, {}), None)
        at = applied.source.revision if applied.source is not None else commit
        place = self.places.locate_at(in_force, found, at)
        if isinstance(place, StackProblem) or not place.trees.has(at):
            return None
        source = snapshot(found, place.trees, at)
        return None if isinstance(source, StackProblem) else LeftStack(found, source, place.trees)

    def _state(self, commit: Revision) -> InForce:
        found = self._states.get(commit)
        if found is None:
            found = in_force_at(self.places.config_trees(), commit, self.places.settings.config_path)
            self._states[commit] = found
            while len(self._states) > _REMEMBERED:
                self._states.popitem(last=False)
        return found

    def _policies(self, placed: Placed, then: InForce) -> tuple[Guardrail, ...]:
        """Return the policies that are over the stack's space now; over the nearest space above it that is left."""
        now = self.places.world.in_force
        documents = now.documents if now is not None else then.documents
        for space in then.documents.tree.lineage(placed.ref.space):
            if documents.tree.exists(space):
                return guardrails(documents, replace(placed, ref=placed.ref._replace(space=space)))
        return guardrails(then.documents, placed)


def _is_applied(left: LeftStack, applied: AppliedState) -> bool:
    """Whether a stack found in a revision is exactly what was applied, its policies apart."""
    source = left.source if left.trees is not None else None
    now, then = fingerprint(left.stack, source).own, applied.fingerprint.own
    return all((now.get(part) or {}) == (then.get(part) or {}) for part in Component if part is not Component.POLICIES)


def _missing(stack: StackId, why: str) -> StackProblem:
    return StackProblem(Reason.SOURCE_UNAVAILABLE, f"{stack} cannot be destroyed: {why}")
