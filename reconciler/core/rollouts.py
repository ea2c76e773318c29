"""Whether a stack may go on with the revision that changed it, or waits for others of the same rollout: pure.

A rollout is all stacks below a space that one revision changed. Where each of them stands follows from the stack alone
(`part_of`); the store counts the parts. So nothing is remembered of a rollout but what people said yes to when they
resumed it. `loop.runs.decide` asks `hold` before it queues a run, and `loop.runs.rollouts` wakes as many as may go.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from reconciler.core.runs import ACTIVE
from reconciler.core.standing import stands_still
from reconciler.core.state import StackState, Sync
from spaces.effective.rollouts import RolloutRule
from spaces.names import Revision, SpaceName


class Part(StrEnum):
    """Where a stack of a rollout stands."""

    WAITING = "waiting"
    """It would have a run, and waits for others."""
    RUNNING = "running"
    """It has a run, or its run is tried again by itself."""
    FAILED = "failed"
    """Its run for this did not succeed."""
    DONE = "done"
    OTHER = "other"
    """Something else keeps it, such as a lock or a stack that it depends on."""


CANARY = "canary "
"""Before the part of a stack that goes first, as the store keeps it."""


WAITS = "it waits for other stacks that the same revision changed: see station rollout list"
"""What is said of a stack that `hold` keeps waiting. Why it does may be another reason a moment later."""


@dataclass(frozen=True, slots=True)
class RolloutId:
    """The rollout of a revision below a space."""

    space: SpaceName
    revision: Revision

    def __str__(self) -> str:
        """Read as `space@revision`."""
        return f"{self.space}@{self.revision}"


@dataclass(frozen=True, slots=True)
class Accepted:
    """What people said yes to when they resumed a rollout: so many failures, and that the rest need not wait."""

    failures: int = 0
    canaries: bool = False


@dataclass(frozen=True, slots=True)
class RolloutProgress:
    """How many stacks of a rollout stand where; `canaries` are counted in `every` as well."""

    every: Mapping[Part, int] = field(default_factory=dict)
    canaries: Mapping[Part, int] = field(default_factory=dict)
    accepted: Accepted = Accepted()

    @property
    def failures(self) -> int:
        """The failures that nobody has accepted."""
        return max(0, self.every.get(Part.FAILED, 0) - self.accepted.failures)

    @property
    def canaries_left(self) -> int:
        """How many canaries are not in sync."""
        return sum(count for part, count in self.canaries.items() if part is not Part.DONE)

    def one_more(self) -> RolloutProgress:
        """Return the progress with one more stack that has a run."""
        every = {**self.every, Part.RUNNING: self.every.get(Part.RUNNING, 0) + 1}
        return RolloutProgress(every, self.canaries, self.accepted)


def rollout_id(state: StackState) -> RolloutId | None:
    """Return the rollout that a stack belongs to; None: it belongs to none."""
    desired = state.desired
    if desired is None or desired.rollout is None or desired.leaving:
        return None
    return RolloutId(desired.rollout.space, desired.revision)


def part_of(state: StackState) -> Part:
    """Return where a stack of a rollout stands."""
    desired, last = state.desired, state.last
    if state.sync is Sync.SYNCED:
        return Part.DONE
    if desired is not None and last is not None and last.digest == desired.digest:
        if last.status in ACTIVE or (stands_still(state) is not None and state.retry_at is not None):
            return Part.RUNNING
        if stands_still(state) is not None:
            return Part.FAILED
    return Part.WAITING if state.turn is not None else Part.OTHER


def is_paused(rule: RolloutRule, progress: RolloutProgress) -> str | None:
    """Return why a rollout is paused until a person resumes it; None: it is not."""
    canaries = progress.canaries.get(Part.FAILED, 0)
    if rule.canaries and canaries and not progress.accepted.canaries:
        many = "a stack that goes first has failed" if canaries == 1 else f"{canaries} stacks that go first have failed"
        return f"its rollout is paused: {many}"
    if progress.failures >= rule.failures:
        many = "a stack has failed" if progress.failures == 1 else f"{progress.failures} stacks have failed"
        return f"its rollout is paused: {many}"
    return None


def hold(rule: RolloutRule, progress: RolloutProgress, *, first: bool) -> str | None:
    """Return why a stack waits for others of its rollout; None: it may go. `first`: it goes before the rest.

    Canaries do, and what these depend on.
    """
    paused = is_paused(rule, progress)
    if paused is not None:
        return paused
    if rule.canaries and not first and progress.canaries_left and not progress.accepted.canaries:
        return "it waits for the stacks of its rollout that go first"
    if rule.most is not None and progress.every.get(Part.RUNNING, 0) >= rule.most:
        return f"it waits for its turn: {rule.most} of its rollout at a time"
    return None


def places(rule: RolloutRule, progress: RolloutProgress) -> int:
    """Return how many of the stacks that wait may be looked at now; 0 while it is paused."""
    if is_paused(rule, progress) is not None:
        return 0
    waiting = progress.every.get(Part.WAITING, 0)
    return waiting if rule.most is None else min(waiting, max(0, rule.most - progress.every.get(Part.RUNNING, 0)))
