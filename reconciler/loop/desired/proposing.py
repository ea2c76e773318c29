"""A stack as a branch or commit of the configuration would have it, merged into what is in force; nothing is merged.

`proposals` queues a plan of it for a person, and `runs.dispatch` and `policies.plan` work it out again from the commit
that the run names: nothing of it is kept that could go stale. The merge is judged by the rules of `station diff`, so
that no code comes into a run whose author could not have brought it there by a merge. And since nobody has merged it,
a run of it gets no secret, credentials, cloud role or output that the stack in force does not have.
"""

from __future__ import annotations

import logging
import re
import threading
from collections import OrderedDict
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from rbac.access.access import Access
from rbac.access.subjects import Subject
from rbac.admission.admit import Admission, Halted
from rbac.admission.held import HeldChange
from rbac.admission.settings import Rules
from rbac.identity import IdentityMode, Person
from reconciler.core.digest import SourceSnapshot
from reconciler.core.reasons import Reason
from reconciler.core.runs import ProposedRef
from reconciler.core.state import Desired, StackProblem
from reconciler.git.errors import GitError, GitReason
from reconciler.git.mirror import Mirror
from reconciler.git.trees import Trees
from reconciler.git.wanted import check_ref
from reconciler.loop.desired.merging import Judging, Merge, admit_merge
from reconciler.loop.desired.persons import FindsPersons
from reconciler.loop.desired.repositories import Places
from reconciler.loop.desired.sources import SourceIndex, snapshot
from reconciler.loop.desired.world import CONFIGURATION, EarlierStack, World, desire
from spaces.documents.secrets import Secret
from spaces.effective.stack import EffectiveStack, effective
from spaces.in_force import InForce
from spaces.model.refs import RefKind, ref_of
from spaces.names import Revision, SpaceName, StackId

_log = logging.getLogger(__name__)

_DEADLINE = 60.0
"""The most seconds that a person waits for a fetch."""
_MOST_TIPS = 100
"""How many branches the mirror keeps that somebody had planned: a run that needs another one fetches it again."""
_REMEMBERED = 4
"""How many merges are kept in memory: the run of one comes soon after its request."""
_LASTS = timedelta(minutes=1)
"""How long a judgement counts."""
_WHOLE = re.compile(r"[0-9a-f]{40}")
_PART = re.compile(r"[0-9a-f]{7,39}")


@dataclass(frozen=True, slots=True)
class Proposed:
    """What a merge would make of a stack: what is desired then, and all that its run needs."""

    desired: Desired
    stack: EarlierStack
    left_out: int
    """How many other changes the merge would bring that would be held, and are not part of this."""


@dataclass(frozen=True, slots=True)
class _Merged:
    """What would be in force. `trees` reads the merge; `held` is what it would add to what is held."""

    admission: Admission
    trees: Trees
    held: tuple[HeldChange, ...]
    at: datetime
    """When it was judged: keys and grants end."""


@dataclass(frozen=True, slots=True)
class Base:
    """What a merge is made into, as it stood at one moment: judging the merge takes time, and nobody waits for that."""

    generation: int
    admission: Admission | None
    tips: Mapping[str, Revision]
    stack: EffectiveStack | None
    """The stack in force; None: it is new."""
    index: SourceIndex

    @classmethod
    def of(cls, world: World, stack: StackId | None = None) -> Base:
        """Take it from a world that stands still."""
        found = world.effective(stack) if stack is not None else None
        return cls(world.generation, world.admission, dict(world.tips), found, world.index.copy())


@dataclass(slots=True)
class Proposing:
    """Works out merges that nobody has made. Several threads may ask."""

    places: Places
    persons: FindsPersons
    rules: Rules
    _recent: OrderedDict[Hashable, _Merged] = field(default_factory=OrderedDict)
    _one: threading.Lock = field(default_factory=threading.Lock)
    """Held while a merge is judged."""

    def fetch(self, ref: str) -> ProposedRef | str:
        """Fetch a branch, or find a commit by its (abbreviated) id; else return why there is none, in words."""
        remote = self.places.configuration()
        name = ref.removeprefix("refs/heads/")
        whole = _WHOLE.fullmatch(name) is not None
        wanted = ref_of(RefKind.REVISION, name) if whole else name
        mirror = self._mirror()
        try:
            check_ref(wanted)
            revision = mirror.fetch(wanted, remote.credentials, _DEADLINE)
            mirror.forget_all_but({remote.ref, wanted}, _MOST_TIPS)
        except ValueError as wrong:
            return f"{ref[:80]!r}: {wrong}"
        except GitError as error:
            known = mirror.trees.find(name) if _PART.fullmatch(name) else None
            if known is not None:
                return ProposedRef(name, known)
            if error.reason in {GitReason.BRANCH_NOT_FOUND, GitReason.REVISION_NOT_FOUND}:
                return f"the configuration repository has no branch and no commit {name[:80]}"
            # Who may ask for plans need not know the repository.
            _log.warning("%s cannot be fetched: %s", name[:80], error.message)
            return f"{name[:80]} cannot be fetched now ({error.reason}): the service's log says why"
        return ProposedRef(name, revision)

    def find(
        self, stack: StackId, wanted: ProposedRef, asker: Subject, base: Base, now: datetime
    ) -> Proposed | StackProblem:
        """Return what merging a commit would make of a stack in force; a problem where no run may come of that.

        Where addresses alone say whose commits are, whoever asks answers for them, as if they merged.
        """
        if base.admission is None:
            return StackProblem(Reason.PLAN_OUTDATED, "nothing is in force yet")
        with self._one:
            merged = self._merged(wanted, asker, base, base.admission, now)
        if isinstance(merged, str):
            return StackProblem(Reason.PLAN_OUTDATED, merged)
        in_force = merged.admission.in_force
        if any(each.ref == stack.ref for each in merged.held):
            message = (
                f"{wanted.ref} changes {stack} without the right to, so that a merge would be held: see station diff"
            )
            return StackProblem(Reason.PLAN_OUTDATED, message)
        if in_force.documents.placed(stack.ref) is None:
            return StackProblem(Reason.PLAN_OUTDATED, f"{wanted.ref} holds no {stack}: see station diff")
        after = effective(in_force.documents, stack)
        tree = base.admission.in_force.documents.tree
        line = tree.lineage(stack.space) if tree.exists(stack.space) else ()
        if gains := list(dict.fromkeys(_gains(base.stack, after, line))):
            message = (
                f"{wanted.ref} gives {stack} what it does not have in force, and what no plan gets before the merge: "
            )
            return StackProblem(Reason.PLAN_OUTDATED, message + ", ".join(gains))
        found = self._proposed(stack, after, merged, base.tips)
        return found if isinstance(found, StackProblem) else replace(found, desired=_named(found.desired, wanted))

    def access(self, wanted: ProposedRef, asker: Subject, base: Base, now: datetime) -> Access | str:
        """Return the access rules as merging a commit would make them; else why nobody can tell."""
        if base.admission is None:
            return "nothing is in force yet"
        with self._one:
            merged = self._merged(wanted, asker, base, base.admission, now)
        return merged if isinstance(merged, str) else merged.admission.doors.at(now)

    def _proposed(
        self, stack: StackId, after: EffectiveStack, merged: _Merged, tips: Mapping[str, Revision]
    ) -> Proposed | StackProblem:
        found: list[SourceSnapshot] = []

        def read(in_force: InForce, configured: EffectiveStack) -> tuple[str, SourceSnapshot | StackProblem]:
            pins = merged.admission.pins
            if configured.source is None or configured.source.repository is None:
                at = pins.get(configured.id, in_force.revision)
                key, source = CONFIGURATION, snapshot(configured, merged.trees, at)
            else:
                key, source = self.places.reading(tips, pins)(in_force, configured)
            if isinstance(source, SourceSnapshot):
                found.append(source)
            return key, source

        in_force = merged.admission.in_force
        desired = desire(in_force, [stack], read, SourceIndex(), check=self.places.check)[stack]
        if not found:
            return desired.problem or StackProblem(Reason.SOURCE_UNAVAILABLE, "its source cannot be read")
        trees: Trees | None = merged.trees
        if after.source is None:
            trees = None
        elif after.source.repository is not None:
            place = self.places.locate_at(in_force, after, found[0].revision)
            if isinstance(place, StackProblem):
                return place
            trees = place.trees
        return Proposed(desired, EarlierStack(after, found[0], trees), len(merged.held))

    def _merged(
        self, wanted: ProposedRef, asker: Subject, base: Base, before: Admission, now: datetime
    ) -> _Merged | str:
        person = None
        if self.places.settings.identity is IdentityMode.COMMITTER:
            person = Person(asker.plain, "asked for the plan")
        key = (base.generation, wanted.revision, person)
        known = self._recent.get(key)
        if known is not None and timedelta(0) <= now - known.at < _LASTS:
            return known
        trees = self.places.config_trees()
        if not trees.has(wanted.revision):
            # Another service took the request.
            remote = self.places.configuration()
            self._mirror().fetch(ref_of(RefKind.REVISION, wanted.revision), remote.credentials, _DEADLINE)
        into = before.in_force.revision
        try:
            merge = trees.merged_tree(into, wanted.revision)
        except GitError as error:
            if error.reason is not GitReason.UNRELATED_HISTORIES:
                raise
            return f"{wanted.ref} has no commit in common with what is in force: it cannot be merged"
        if merge.revision is None:
            return f"{wanted.ref} conflicts with what is in force: merge the watched branch into it first"
        if merge.revision == into:
            return f"{wanted.ref} is merged already: leave it out to plan what is in force"
        judging = Judging(self.rules, now, self.persons, person)
        path = self.places.settings.config_path
        after = admit_merge(
            merge.trees, before, Merge(into, wanted.revision, merge.revision), path, base.index, judging
        )
        if isinstance(after, Halted):
            return f"merging {wanted.ref} would halt admission: {after.message}"
        standing = {each.id for each in before.held_changes}
        held = tuple(each for each in after.held_changes if each.id not in standing)
        self._recent[key] = made = _Merged(after, merge.trees, held, now)
        while len(self._recent) > _REMEMBERED:
            self._recent.popitem(last=False)
        return made

    def _mirror(self) -> Mirror:
        return self.places.mirrors.mirror(self.places.settings.config_url or "")


def _named(desired: Desired, wanted: ProposedRef) -> Desired:
    """Return what is desired with the commit that people know: the merge itself was made in memory only."""
    source = desired.source
    if source is not None and source.repository is None:
        source = replace(source, revision=wanted.revision)
    return replace(desired, revision=wanted.revision, source=source)


def _gains(before: EffectiveStack | None, after: EffectiveStack, line: Sequence[SpaceName]) -> Iterator[str]:
    """Name what lets a run reach more than the stack in force can: secrets, logins, clouds and outputs of others.

    A stack that is new has none of these. By its place, the spaces of `line`, and its tool the tokens of a run may be
    known, too.
    """
    if tuple(line) != tuple(after.lineage):
        yield f"another place of the space {after.id.space}"
    if before is not None and after.integrations and before.spec.tool != after.spec.tool:
        yield f"tokens for the tool {after.spec.tool}"
    if before is None and after.pool is not None:
        yield f"the pool {after.pool.space}/{after.pool.name}"
    had = {it for _, it in _secrets(before)} if before is not None else set()
    yield from (name for name, it in _secrets(after) if it not in had)
    yield from _reached(before, after)


def _reached(before: EffectiveStack | None, after: EffectiveStack) -> Iterator[str]:
    logins = {(each.repository, each.url, each.login) for each in (before.git_credentials if before else ())}
    for login in after.git_credentials:
        if (login.repository, login.url, login.login) not in logins:
            yield f"the credentials of {login.repository}"
    clouds = {used.ref: used.spec for used in (before.integrations if before else ())}
    yield from (str(used.ref) for used in after.integrations if clouds.get(used.ref) != used.spec)
    known = before.dependencies if before is not None else ()
    outputs = {(each.parent, output) for each in known for output in each.outputs}
    for each in after.dependencies:
        yield from (f"output {name} of {each.parent}" for name in each.outputs if (each.parent, name) not in outputs)


def _secrets(stack: EffectiveStack) -> Iterator[tuple[str, Hashable]]:
    """Yield each secret with its name and what it is: the reference, and the path of the space that it belongs to."""
    for kind, values in (("env", stack.env), ("file", stack.files), ("secret", stack.secrets)):
        for key, value in values.items():
            if isinstance(value.value, Secret):
                yield f"{kind} {key}", (value.value, stack.sealed_place(value.origin.ref, key).path)
