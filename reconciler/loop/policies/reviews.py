"""What a review does: told to whoever gives it, since it may be recorded and still count for nothing.

The API asks when a review was recorded. The approval policies are asked beside the loop, with the review and
without it. Nothing follows from that: the loop asks them for itself.
"""

from __future__ import annotations

from datetime import datetime

from reconciler.core.results import Planned
from reconciler.core.runs import RunId
from reconciler.core.verdicts import ReviewEffect, effect_of
from reconciler.loop.desired.world import World
from reconciler.loop.policies.plan import a_case
from reconciler.policies.evaluation import evaluate
from reconciler.policies.inputs import input_of
from reconciler.store.protocol import Store
from spaces.model.policy import PolicyType


def review_effect(store: Store, world: World, run: RunId, person: str, now: datetime) -> ReviewEffect | None:
    """Return what a person's review of a run does; None where the run has no plan, or its stack is not in force."""
    with store.reading() as reading:
        found, planned = reading.run(run), reading.planned(run)
        stack = world.effective(found.stack) if found is not None else None
        if found is None or stack is None:
            return None
        case = a_case(reading, world, found, stack, planned or Planned(has_changes=False), now)
    policies = [policy for policy in stack.policies if policy.spec.type is PolicyType.APPROVAL]
    is_author = person in case.authors
    deaf = [policy.name for policy in policies if is_author and not policy.spec.author_counts]
    hearing = [policy for policy in policies if policy.name not in deaf]
    given = input_of(case)
    others = [review for review in given["reviews"] if review["person"] != person]
    with_it = evaluate(hearing, given) if hearing else []
    without = evaluate(hearing, {**given, "reviews": others}) if hearing else []
    return effect_of(person, deaf, with_it, without)
