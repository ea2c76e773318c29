"""What this process knows of the configuration at one generation, and the desired state of every stack in it.

`Follower` owns the one `World` of a process. `Generations` and `CatchingUp` fill it by `desire`, in the loop's thread;
the dispatcher, the policies and the API read it. What it holds is in the store as well, or can be read again from Git.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice

from rbac.admission.admit import Admission
from reconciler.core.digest import SourceSnapshot, fingerprint, push_policies
from reconciler.core.keeping import StackPin
from reconciler.core.reasons import Reason
from reconciler.core.state import Desired, Need, SourceCommit, StackProblem
from reconciler.git.trees import Trees
from reconciler.loop.desired.sources import MISSING, SourceIndex, snapshot, watched
from spaces.effective.pools import pool_name
from spaces.effective.rollouts import rollout_of
from spaces.effective.stack import EffectiveStack, Layers, ResolvedSource, effective
from spaces.effective.windows import Freeze, freezes
from spaces.in_force import InForce
from spaces.model.pool import DEFAULT_POOL
from spaces.model.stack import OnDelete
from spaces.names import Revision, SpaceName, SpacePath, StackId

CONFIGURATION = "configuration"
"""The key of the configuration repository among the sources."""

OUTSIDE = frozenset(
    {Reason.SECRET_UNREADABLE, Reason.ISSUER_UNUSABLE, Reason.SOURCE_UNAVAILABLE, Reason.SOURCE_UNVERIFIED}
)
"""Problems that no commit makes or mends: a secret, the issuer, or a source's revision is missing here."""

_BATCH = 50
_REMEMBERED = 500
"""How many effective configurations are kept. More stacks than that seldom run at once."""


@dataclass(frozen=True, slots=True)
class SourceLocation:
    """Where a source is read: a repository's objects, at a revision."""

    key: str
    trees: Trees
    revision: Revision


Locate = Callable[[InForce, EffectiveStack], SourceLocation | StackProblem]
"""Finds where a stack's source is read with the configuration in force."""

ReadSource = Callable[[InForce, EffectiveStack], tuple[str, SourceSnapshot | StackProblem]]
"""Gives the key of the repository that a stack's source lies in, and what the source is now."""


Check = Callable[[EffectiveStack], StackProblem | None]
"""Says what else keeps a stack from being run."""


@dataclass(slots=True)
class World:
    """The configuration in force and what it desires. Only the loop's own thread changes it."""

    generation: int = 0
    admission: Admission | None = None
    tips: dict[str, Revision] = field(default_factory=dict)
    """The revision at which each source repository's branch is followed."""
    desired: dict[StackId, Desired] = field(default_factory=dict)
    index: SourceIndex = field(default_factory=SourceIndex)
    refused: dict[str, str] = field(default_factory=dict)
    """Why a newer revision of a source repository's branch is not followed."""
    missing: dict[str, str] = field(default_factory=dict)
    """Why there is no revision of what is followed, as far as only the repository's content decides it."""
    pins: Mapping[StackId, StackPin] = field(default_factory=dict)
    """The stacks that stay at an earlier revision of themselves."""
    pinned: Mapping[StackId, EarlierStack | StackProblem] = field(default_factory=dict)
    """These stacks as they were."""
    untold: set[StackId] = field(default_factory=set)
    """The stacks whose source this process could not read yet, and whose stored state says nothing of it."""
    by_name: frozenset[SpacePath] = frozenset()
    """The paths at which secrets count that an earlier version kept by the name of a space."""
    _troubled: set[StackId] | None = field(init=False, default=None)
    """The stacks with a problem of `OUTSIDE`; None until somebody asks."""
    _worked_out: tuple[InForce | None, dict[StackId, EffectiveStack]] = field(
        init=False, default_factory=lambda: (None, {})
    )
    """The effective configurations that were asked for last: of a run they are asked for several times."""

    @property
    def in_force(self) -> InForce | None:
        """The documents in force."""
        return self.admission.in_force if self.admission else None

    @property
    def revision(self) -> Revision | None:
        """The admitted revision."""
        return self.in_force.revision if self.in_force else None

    def become(self, other: World) -> None:
        """Take over everything that another one knows.

        But for `missing`: only the fetches of this process fill it, and the other one was read from the store.
        """
        self.generation, self.admission, self.tips = other.generation, other.admission, other.tips
        self.desired, self.index = other.desired, other.index
        self.by_name = other.by_name
        self.refused, self.untold, self._troubled = other.refused, other.untold, None
        self.pins, self.pinned = other.pins, other.pinned

    def put(self, wanted: Mapping[StackId, Desired], gone: Collection[StackId]) -> None:
        """Note what is desired of some stacks now, and that others are no more."""
        for stack in gone:
            self.index.remove(stack)
            self.desired.pop(stack, None)
        self.desired.update(wanted)
        self.untold.difference_update(gone, wanted)
        if self._troubled is not None:
            self._troubled = self._troubled.difference(gone, wanted) | _troubled(wanted)

    def troubled(self) -> Collection[StackId]:
        """List the stacks with a problem that may go by itself. Every pass asks, so that nobody goes through all."""
        if self._troubled is None:
            self._troubled = _troubled(self.desired)
        return self._troubled

    def effective(self, stack: StackId) -> EffectiveStack | None:
        """Return a stack's effective configuration, that of then where it is pinned; None where it is not in force."""
        earlier = self.pinned.get(stack)
        if isinstance(earlier, EarlierStack):
            return earlier.stack
        in_force = self.in_force
        if in_force is None:
            return None
        worked_out = self._worked_out
        if worked_out[0] is not in_force or len(worked_out[1]) >= _REMEMBERED:
            worked_out = self._worked_out = in_force, {}
        found = worked_out[1].get(stack)
        if found is None:
            try:
                found = worked_out[1][stack] = effective(in_force.documents, stack)
            except KeyError:
                return None
        return found


@dataclass(frozen=True, slots=True)
class EarlierStack:
    """A stack as it was: its configuration and the place of its source, with the policies over it now."""

    stack: EffectiveStack
    source: SourceSnapshot
    trees: Trees | None
    """None: it has no source."""

    @property
    def source_seen(self) -> SourceSnapshot | None:
        """The source, where it has one."""
        return self.source if self.trees is not None else None


def _troubled(desired: Mapping[StackId, Desired]) -> set[StackId]:
    return {stack for stack, each in desired.items() if each.problem is not None and each.problem.reason in OUTSIDE}


def read_source(in_force: InForce, stack: EffectiveStack, locate: Locate) -> tuple[str, SourceSnapshot | StackProblem]:
    """Find what a stack's source is now, and the key of the repository that it lies in."""
    place = locate(in_force, stack)
    if isinstance(place, StackProblem):
        return "", place
    return place.key, snapshot(stack, place.trees, place.revision)


def desire(
    in_force: InForce,
    stacks: Iterable[StackId],
    read: ReadSource,
    index: SourceIndex,
    person: str | None = None,
    *,
    check: Check = lambda _: None,
) -> dict[StackId, Desired]:
    """Work out what is desired of each of these stacks, and note in `index` what their sources use."""
    result: dict[StackId, Desired] = {}
    layers: Layers = {}
    windows: dict[SpaceName, tuple[Freeze, ...]] = {}
    left = iter(stacks)
    # Step by step for several stacks, not one stack after the other: a processor likes to do the same thing again.
    while batch := list(islice(left, _BATCH)):
        every = [effective(in_force.documents, stack, layers) for stack in batch]
        sources = [read(in_force, configured) for configured in every]
        for configured, (key, source) in zip(every, sources, strict=True):
            if configured.source is not None:
                index.put(configured.id, key, configured.source, watched(source))
            problem = source if isinstance(source, StackProblem) else check(configured)
            space = configured.id.space
            if space not in windows:
                windows[space] = freezes(in_force.documents, space)
            made = _desired(configured, source, problem, in_force.revision, person)
            rollout = rollout_of(in_force.documents, space, configured.labels)
            over = bool(windows[space]) or rollout is not None
            result[configured.id] = replace(made, freezes=windows[space], rollout=rollout) if over else made
    return result


def needs_of(stack: EffectiveStack) -> tuple[Need, ...]:
    """Return what a stack takes of others, as its document says."""
    return tuple(Need(each.parent, dict(each.outputs), each.always) for each in stack.dependencies)


def _desired(
    configured: EffectiveStack,
    source: SourceSnapshot | StackProblem,
    problem: StackProblem | None,
    revision: Revision,
    person: str | None,
) -> Desired:
    if configured.source is None and configured.spec.tool != "script":
        problem = StackProblem(Reason.SOURCE_NOT_FOUND, "the stack has no source")
    marks = fingerprint(configured, None if isinstance(source, StackProblem) else source)
    return Desired(
        digest=marks.digest,
        fingerprint=marks,
        revision=revision,
        tool=str(configured.spec.tool),
        labels=configured.labels,
        autodeploy=configured.spec.autodeploy,
        suspended=configured.spec.suspended,
        person=person,
        problem=problem,
        needs=needs_of(configured),
        push_policies=push_policies(configured),
        protected=configured.spec.protected,
        destroy_after=configured.spec.on_delete is OnDelete.DESTROY,
        drift=configured.spec.drift,
        schedules=configured.spec.schedules,
        ttl=configured.spec.ttl,
        retry=configured.spec.retry,
        destroy_at=configured.spec.destroy_at,
        source=_source(configured, source),
        pool=pool_name(configured.pool) if configured.pool is not None else DEFAULT_POOL,
    )


def _source(configured: EffectiveStack, source: SourceSnapshot | StackProblem) -> SourceCommit | None:
    if configured.source is None or isinstance(source, StackProblem):
        return None
    repository = configured.source.repository
    return SourceCommit(f"{repository.space}/{repository.name}" if repository is not None else None, source.revision)


def source_paths(snapped: SourceSnapshot, source: ResolvedSource | None) -> list[str]:
    """List what the work directory holds; a link that leads to nothing stays one."""
    return [] if source is None else [path for path, found in snapped.entries.items() if found != MISSING]
