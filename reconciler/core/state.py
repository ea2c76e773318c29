"""Desired, applied and observed, as types, so that no function can take one for another."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Self

from reconciler.core.keeping import StackLock, StackPin
from reconciler.core.reasons import Reason
from spaces.effective.rollouts import RolloutRule
from spaces.effective.windows import Freeze
from spaces.model.dependency import OutputUse
from spaces.model.drift import Drift
from spaces.model.pool import DEFAULT_POOL
from spaces.model.retries import Retry
from spaces.model.schedules import Schedule
from spaces.names import Digest, Revision, StackId

OUTPUT_TO = " -> "
"""Between an output and the variable or file that it goes to, in the names of `Component.DEPENDENCIES`."""

_encode = json.JSONEncoder(sort_keys=True, separators=(",", ":"), check_circular=False).encode


class Component(StrEnum):
    """The named parts of a digest."""

    SPEC = "spec"
    SOURCE = "source"
    CONTEXTS = "contexts"
    DEPENDENCIES = "dependencies"
    POLICIES = "policies"
    INTEGRATIONS = "integrations"
    BLUEPRINT = "blueprint"
    TOOL = "tool"


VERSION = "version"
"""The item of a blueprint that says which version of it a stack was made from."""


def is_noted(item: str) -> bool:
    """Whether an item of the blueprint component is only noted, `space/name version`."""
    return item.partition(" ")[2] == VERSION


@dataclass(frozen=True, slots=True)
class Why:
    """One reason for a run: the component that differs, and what in it, in words."""

    component: Component
    summary: str


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """All that goes into a stack's run: by component, short hashes of named items ("env TF_VAR_cidr" -> "9f…")."""

    components: Mapping[Component, Mapping[str, str]]

    @property
    def digest(self) -> Digest:
        """Hash over all components; two stacks with the same digest would do the same thing.

        The version of a blueprint is noted and does not count: what it changes does.
        """
        components = self.components
        if Component.BLUEPRINT in components:
            made = components[Component.BLUEPRINT].items()
            components = {**components, Component.BLUEPRINT: {key: mark for key, mark in made if not is_noted(key)}}
        if Component.DEPENDENCIES in components:
            # By variable and file: from which stack and output a value comes makes no difference to who gets it.
            given = {name.rpartition(OUTPUT_TO)[2]: mark for name, mark in components[Component.DEPENDENCIES].items()}
            components = {**components, Component.DEPENDENCIES: given}
        return Digest(hashlib.blake2b(_encode(components).encode(), digest_size=16).hexdigest())

    @property
    def own(self) -> Mapping[Component, Mapping[str, str]]:
        """Return all components but the outputs of other stacks: what the configuration and its sources say."""
        if Component.DEPENDENCIES not in self.components:
            return self.components
        return {name: items for name, items in self.components.items() if name is not Component.DEPENDENCIES}


class Sync(StrEnum):
    """Whether what is applied is what is desired."""

    SYNCED = "Synced"
    OUT_OF_SYNC = "OutOfSync"
    UNKNOWN = "Unknown"


@dataclass(frozen=True, slots=True)
class StackProblem:
    """Why a stack cannot be run at all as it is written: its source is not there, its tool is missing."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Need:
    """A stack that has to be in sync first. `outputs`: each output in use, with where it goes."""

    parent: StackId
    outputs: Mapping[str, OutputUse] = field(default_factory=dict)
    always: bool = False
    """Whether each apply of that stack is a reason to run."""


@dataclass(frozen=True, slots=True)
class Waits:
    """The stack that another one waits for, and why it has to."""

    on: StackId
    words: str

    def __str__(self) -> str:
        """Read as `platform/base failed: ToolFailed`."""
        return f"{self.on} {self.words}"


class Heading(StrEnum):
    """Where push policies send a change."""

    TRACK = "track"
    """Its run may come."""
    PROPOSE = "propose"
    """It is planned only; a push policy keeps it from applying."""
    IGNORE = "ignore"
    """No run comes of it."""
    FAILED = "failed"
    """A policy could not be evaluated: no run comes of it either."""


@dataclass(frozen=True, slots=True)
class Push:
    """What push policies said of a change: of this digest, asked of exactly these policies."""

    digest: Digest
    policies: str
    """`Desired.push_policies` as they were."""
    heading: Heading
    message: str = ""
    """Which policy, and its sentence."""


@dataclass(frozen=True, slots=True)
class SourceCommit:
    """The commit that made a stack's source what it is."""

    repository: str | None
    """The Repository document, as `space/name`; None: the source lies in the configuration repository."""
    revision: Revision
    author: str | None = None
    """Whose commit it is, as far as it names or proves that."""


@dataclass(frozen=True, slots=True)
class Desired:
    """What the admitted configuration says of a stack, as far as decisions need it."""

    digest: Digest
    fingerprint: Fingerprint
    revision: Revision
    """The revision of the configuration that brought this digest."""
    tool: str
    labels: Mapping[str, str] = field(default_factory=dict)
    autodeploy: bool = True
    suspended: bool = False
    person: str | None = None
    problem: StackProblem | None = None
    needs: tuple[Need, ...] = ()
    push_policies: str | None = None
    """A hash of the push policies over the stack; None: there are none. It is no part of the digest."""
    authors: tuple[str, ...] = ()
    """Everyone whose changes made it differ from what was applied: `person` is only the last of them."""
    protected: bool = False
    """Whether it is never destroyed."""
    destroy_after: bool = False
    """Whether what it made is destroyed once its document has left Git."""
    leaving: bool = False
    """Its document has left Git, and what it made is to be destroyed: digest and fingerprint are the applied ones."""
    source: SourceCommit | None = None
    """None: the stack has no source, or one that cannot be read."""
    drift: Drift | None = None
    """When it is checked for drift, and what follows. It is no part of the digest."""
    schedules: tuple[Schedule, ...] = ()
    """When runs come by the clock. They are no part of the digest."""
    ttl: int | None = None
    """How many seconds after its first apply what it made is destroyed; no part of the digest either."""
    destroy_at: datetime | None = None
    """When what it made is destroyed."""
    retry: Retry | None = None
    """How often a run that failed by its tool is tried again; no part of the digest."""
    freezes: tuple[Freeze, ...] = ()
    """The freeze windows over it; no part of the digest."""
    rollout: RolloutRule | None = None
    """How it goes out with a revision that changes many stacks; no part of the digest."""
    refused: str | None = None
    """Why a newer revision of its source is not followed: the signature that it needs is missing."""
    pin: StackPin | None = None
    """It stays at an earlier revision: digest, fingerprint, revision, needs and source are those of then."""
    behind: tuple[str, ...] = ()
    """Whose changes the branch has beside the pin: they count as authors of the run that follows it."""

    pool: str = DEFAULT_POOL
    """The worker pool that starts its runs: `space/name`, or the service's own machine. It is no part of the digest."""

    @property
    def lacks_source(self) -> bool:
        """Whether the source cannot be read for now, through no fault of anything that is desired."""
        return self.problem is not None and self.problem.reason in _NO_SOURCE


_NO_SOURCE = frozenset({Reason.SOURCE_UNAVAILABLE, Reason.SOURCE_UNVERIFIED})


@dataclass(frozen=True, slots=True)
class AppliedState:
    """What the last successful run of a stack left behind."""

    digest: Digest
    fingerprint: Fingerprint
    revision: Revision
    run: str
    at: datetime
    source: SourceCommit | None = None
    first: datetime | None = None
    """Since when something of the stack is applied; None: an earlier version did not note it."""
    changed: str | None = None
    """The last run that applied a plan; `run` may be one that found nothing to do. None: there was none, or an earlier
    version did not note it."""
    partly: bool = False
    """Only some of its resources were applied, as somebody asked for; the rest is as it was before."""


@dataclass(frozen=True, slots=True)
class Observed:
    """What the last look at the real world found: by a drift check, or by a run that applied or found nothing to do."""

    run: str
    at: datetime
    digest: Digest
    """What was applied when it was compared."""
    drifted: int = 0
    """How many resources differ."""
    mendable: bool = True
    """Whether a run would put them right; otherwise the tool only tells of them."""
    failed: str | None = None
    """Why the newest check could not find out; the rest is then what the one before it found."""

    @property
    def many(self) -> str:
        """How many resources differ, in words."""
        return "1 resource differs" if self.drifted == 1 else f"{self.drifted} resources differ"


@dataclass(frozen=True, slots=True)
class NewestRun:
    """How the stack's newest run stands: what conditions and the next decision are read from."""

    run: str
    kind: str
    status: str
    reason: str
    message: str
    digest: Digest
    at: datetime
    failures: int = 0
    """How many retryable failures of this digest came in a row."""
    applying: bool = False
    """It failed while it applied: how much of it is in the world, nobody knows."""
    retry: int = 0
    """Which retry by itself comes next, from 1; 0: none."""


class ConditionStatus(StrEnum):
    """The three answers a condition can give."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class ConditionType(StrEnum):
    """What is asked of a stack."""

    READY = "Ready"
    RECONCILING = "Reconciling"
    STALLED = "Stalled"
    DRIFTED = "Drifted"
    SOURCE_VERIFIED = "SourceVerified"
    """Only there, and false, while a newer revision of the source is refused."""
    EXPIRED = "Expired"
    """Only there, and true, once its time is over: `ttl` or `destroyAt`."""
    PINNED = "Pinned"
    """Only there, and true, while the stack stays at an earlier revision of itself."""


@dataclass(frozen=True, slots=True)
class Condition:
    """One answer, with its reason (CamelCase, the same word in log, metric and API) and since when it holds."""

    status: ConditionStatus
    reason: str
    message: str
    since: datetime


@dataclass(frozen=True, slots=True)
class StackState:
    """All that is remembered of a stack. The facts come first; the rest is read from them by `conditions.assess`."""

    id: StackId
    desired: Desired | None
    """None: the document left Git, and what was applied is retained."""
    applied: AppliedState | None = None
    last: NewestRun | None = None
    paused: bool = False
    """An operator suspended it; the document's own `suspended` comes on top."""
    interrupted: bool = False
    """Its last apply died half-way: the next run waits for confirmation."""
    retry_at: datetime | None = None
    """After a retryable failure: not before this time."""
    push: Push | None = None
    """The last word of push policies; `pushes.pushed` says whether it is about what is desired now."""
    failed: NewestRun | None = None
    """The last run that failed, until one succeeds; `standing.unmended` says whether it still counts."""
    observed: Observed | None = None
    """None: nothing was applied yet, or nobody has looked since."""
    lock: StackLock | None = None
    """Somebody keeps the stack to themselves. `conditions.assess` forgets one that has ended."""

    sync: Sync = Sync.UNKNOWN
    reason: str = "New"
    why: tuple[Why, ...] = ()
    conditions: Mapping[ConditionType, Condition] = field(default_factory=dict)
    turn: str | None = None
    """Why it waits for other stacks of its rollout, as of the last decision; None: it does not."""
    due_at: datetime | None = None
    """When the loop has to look at it next; None: nothing to do until something changes."""

    def evolve(self, **changes: Any) -> Self:
        """Return the same stack with some fields changed."""
        return dataclasses.replace(self, **changes)
