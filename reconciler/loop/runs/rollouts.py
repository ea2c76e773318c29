"""Lets the stacks of a rollout go on: a few at a time, those that go first before the rest, none while it is paused.

`decide` asks `Turns` before it queues the run of a change. The loop calls `Rollouts.step` in each pass: it counts, and
wakes as many of the stacks that wait as may go. Nothing is remembered, so that a lost step changes nothing.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime

from reconciler.core.rollouts import Part, RolloutId, RolloutProgress, hold, places, rollout_id
from reconciler.core.state import StackState
from reconciler.rollouts import rule_of
from reconciler.store.protocol import Store, Transaction
from reconciler.store.queries import Reading
from spaces.names import StackId

_MOST_CANARIES = 10_000
_BATCH = 500
"""How many stacks are woken at once, where no limit says how many."""


@dataclass(slots=True)
class Turns:
    """Whose turn it is among the stacks of one transaction."""

    transaction: Transaction
    _progress: dict[RolloutId, RolloutProgress] = field(default_factory=dict)
    _first: dict[RolloutId, Collection[StackId]] = field(default_factory=dict)

    def hold(self, state: StackState) -> str | None:
        """Return why a stack that is to have a run waits for others of its rollout; None: it goes, and is counted."""
        rollout, rule = rollout_id(state), state.desired.rollout if state.desired is not None else None
        if rollout is None or rule is None:
            return None
        progress = self._progress.get(rollout)
        if progress is None:
            self.transaction.one_at_a_time(rollout)
            progress = self.transaction.rollout_progress(rollout)
        first = rule.is_canary
        if rule.canaries and not first and progress.canaries_left:
            if rollout not in self._first:
                self._first[rollout] = needed_first(self.transaction, rollout)
            first = state.id in self._first[rollout]
        held = hold(rule, progress, first=first)
        self._progress[rollout] = progress if held is not None else progress.one_more()
        return held


@dataclass(frozen=True, slots=True)
class Rollouts:
    """The rollouts in which stacks wait."""

    store: Store

    def is_idle(self, reading: Reading) -> bool:
        """Whether no stack's turn has come."""
        return not any(_next(reading, rollout) for rollout in reading.waiting_rollouts())

    def step(self, now: datetime) -> bool:
        """Wake the stacks whose turn has come. Returns whether there were any."""
        with self.store.reading() as reading:
            wanted = [stack for rollout in reading.waiting_rollouts() for stack in _next(reading, rollout)]
        if wanted:
            with self.store.writing() as transaction:
                transaction.wake(wanted, now)
        return bool(wanted)


def needed_first(reading: Reading, rollout: RolloutId) -> Collection[StackId]:
    """Return the stacks that the canaries of a rollout depend on, at any distance: they go before the rest as well."""
    left = [part for part in Part if part is not Part.DONE]
    canaries = reading.in_rollout(rollout, left, _MOST_CANARIES, canaries=True)
    return {parent for above in reading.parents(canaries).values() for parent in above} if canaries else ()


def _next(reading: Reading, rollout: RolloutId) -> list[StackId]:
    """Return the stacks that wait in a rollout and may go now."""
    rule, progress = rule_of(reading, rollout), reading.rollout_progress(rollout)
    most = min(places(rule, progress), _BATCH) if rule is not None else 0
    if rule is None or not most:
        # A rollout may be paused for days, and each pass asks.
        return []
    first = reading.in_rollout(rollout, [Part.WAITING], most, canaries=True)
    if rule.canaries and progress.canaries_left and not progress.accepted.canaries:
        needed = needed_first(reading, rollout)
        waiting = reading.in_rollout(rollout, [Part.WAITING], _MOST_CANARIES, canaries=False)
        rest = [stack for stack in waiting if stack in needed]
    else:
        rest = reading.in_rollout(rollout, [Part.WAITING], most, canaries=False)
    return [*first, *rest][:most]
