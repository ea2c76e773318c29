"""Rollouts as people see them, and how they are resumed.

The API calls these once it knows that the caller may ask.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from reconciler.core.rollouts import Accepted, Part, RolloutId, RolloutProgress, is_paused
from reconciler.refusals import OperationRefused, Refusal
from reconciler.runs.audit import Asked, Audited, about_request
from reconciler.store.protocol import Store
from reconciler.store.queries import Reading
from spaces.effective.rollouts import RolloutRule
from spaces.names import SpaceName


@dataclass(frozen=True, slots=True)
class RolloutView:
    """A rollout in which stacks wait. `paused` says why it needs a person; None: it goes on by itself."""

    id: RolloutId
    progress: RolloutProgress
    paused: str | None


def under_way(reading: Reading) -> list[RolloutView]:
    """Return the rollouts in which stacks wait, by space."""
    found = []
    for rollout in reading.waiting_rollouts():
        progress = reading.rollout_progress(rollout)
        rule = rule_of(reading, rollout)
        found.append(RolloutView(rollout, progress, is_paused(rule, progress) if rule is not None else None))
    return found


def rule_of(reading: Reading, rollout: RolloutId) -> RolloutRule | None:
    """Return how the stacks that wait in a rollout go out; None: none of them waits any more."""
    parts = (reading.in_rollout(rollout, [Part.WAITING], 1, canaries=canaries) for canaries in (True, False))
    states = reading.peek([stack for part in parts for stack in part])
    rules = (it.desired.rollout for it in states.values() if it.desired is not None)
    return next((it for it in rules if it is not None), None)


def resume(store: Store, space: SpaceName, person: str, now: datetime, because: str = "") -> list[RolloutView]:
    """Let the paused rollouts of a space go on: the failures so far count no more, nor do canaries. Returns these."""
    with store.writing() as transaction:
        paused = [each for each in under_way(transaction) if each.id.space == space and each.paused is not None]
        if not paused:
            raise OperationRefused(Refusal.NOT_PAUSED, f"no rollout of {space} is paused")
        for each in paused:
            canaries = each.progress.accepted.canaries or bool(each.progress.canaries.get(Part.FAILED, 0))
            transaction.accept(each.id, Accepted(each.progress.every.get(Part.FAILED, 0), canaries))
            about = {"space": space, "revision": each.id.revision, "why": each.paused}
            row = about_request(Audited.ROLLOUT_RESUMED, Asked(person, because), now, **about)
            transaction.append_audit([row])
        return paused
