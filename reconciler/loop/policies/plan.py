"""Plan and approval policies: the question about a plan, and the answer.

`runs.record` gathers a question when a plan has ended, or when a run that waits was reviewed or confirmed. All that the
policies see is read from the store and the world before they are asked, outside of any transaction.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from rbac.access.subjects import Subject
from reconciler.core.digest import judging
from reconciler.core.results import ChangeCounts, Planned
from reconciler.core.runs import Run, RunId, RunStatus
from reconciler.core.state import Component, StackProblem
from reconciler.core.verdicts import Judgement, Review, authors_of
from reconciler.loop.desired.follower import Follower
from reconciler.loop.desired.world import World
from reconciler.metrics import Metrics
from reconciler.policies.evaluation import judge
from reconciler.policies.inputs import Case, Membership, event_input
from reconciler.store.protocol import Store
from reconciler.store.queries import Reading
from reconciler.store.stored import RunFilter
from spaces.effective.policies import Guardrail, surroundings
from spaces.effective.stack import EffectiveStack
from spaces.names import SpaceName

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PolicyAnswer:
    """The judgement of the policies over a run, and the reviews that they were shown."""

    judgement: Judgement
    reviews: tuple[Review, ...]


@dataclass(frozen=True, slots=True)
class PlanQuestion:
    """A question about one plan, gathered whole, so that any thread may ask it."""

    policies: tuple[Guardrail, ...]
    case: Case
    plan_digest: str | None

    def ask(self) -> PolicyAnswer:
        """Ask the policies. It takes as long as policies may take."""
        run, verdicts = self.case.run, judge(self.policies, self.case)
        judgement = Judgement(run.digest, self.plan_digest, run.attempt, self.case.now, verdicts)
        return PolicyAnswer(judgement, tuple(self.case.reviews))


@dataclass(frozen=True, slots=True)
class PlanPolicies:
    """The plan and approval policies over runs."""

    store: Store
    follower: Follower
    metrics: Metrics

    def question(self, run: Run, planned: Planned, plan_digest: str | None, now: datetime) -> PlanQuestion | None:
        """Return the question about a plan; None where other policies are in force than when the run was queued."""
        stack = self._stack(run, now)
        if stack is None:
            return None
        with self.store.reading() as reading:
            case = a_case(
                reading, self.follower.world, run.evolve(changes=ChangeCounts.of(planned)), stack, planned, now
            )
        return PlanQuestion(stack.policies, case, plan_digest)

    def _stack(self, run: Run, now: datetime) -> EffectiveStack | None:
        """Return the stack of a run with the policies that it was queued under, or those of now if its stack left."""
        if run.leaving:
            left = self.follower.left(run.stack)
            return None if isinstance(left, StackProblem) else left.stack
        if run.proposes is not None:
            found = self.follower.proposed(run, now)
            same = not isinstance(found, StackProblem) and found.desired.fingerprint.own == run.fingerprint.own
            return found.stack.stack if same and not isinstance(found, StackProblem) else None
        wanted = dict(run.fingerprint.components.get(Component.POLICIES, {}))
        return self.follower.stack_as(run.stack, lambda found: judging(found) == wanted, now)

    def log(self, run: Run, judgement: Judgement) -> None:
        """Count and log a judgement that was recorded."""
        for verdict in judgement.verdicts:
            self.metrics.policy_decided(verdict.type, "error" if verdict.error else verdict.result.value)
            said = "; ".join((*verdict.messages, *verdict.warnings))
            _log.info("policy %s on run %s of %s: %s %s", verdict.policy, run.id, run.stack, verdict.result, said)


def a_case(  # noqa: PLR0917
    reading: Reading, world: World, run: Run, stack: EffectiveStack, planned: Planned, now: datetime
) -> Case:
    """Return the facts about a run that its policies see."""
    assert world.in_force is not None  # noqa: S101 - the stack was found in it
    state = reading.stack(run.stack)
    desired = state.desired if state is not None else None
    reviews = reading.reviews(run.id)
    finished = reading.list_runs(RunFilter(run.stack, statuses={RunStatus.FINISHED}), run.id, 1)
    return Case(
        run=run,
        tool=stack.spec.tool.value,
        labels=dict(stack.labels),
        space=surroundings(world.in_force.documents, run.stack.space),
        planned=planned,
        previous=finished[0] if finished else None,
        reviews=reviews,
        authors=authors_of(run, desired),
        now=now,
        standings={review.person: _standing(world, review.person, run.stack.space, now) for review in reviews},
    )


def _standing(world: World, person: str, space: SpaceName, now: datetime) -> Membership:
    if world.admission is None:
        return Membership()
    access = world.admission.access.at(now)
    subject = next((admin for admin in access.admins if str(admin) == person), None)
    try:
        subject = subject or Subject.parse(person)
    except ValueError:
        # Somebody who is known by an address alone holds nothing.
        return Membership()
    return Membership(access.groups_of(subject), access.roles_in(subject, space))


def policy_input(store: Store, world: World, run: RunId, now: datetime) -> dict[str, Any] | None:
    """Return the input that policies would get about a run, all reviews included; None where it has no plan yet."""
    with store.reading() as reading:
        found, planned = reading.run(run), reading.planned(run)
        stack = world.effective(found.stack) if found is not None else None
        if found is None or stack is None or (planned is None and found.is_active):
            return None
        planned = planned or Planned(has_changes=False)
        return event_input(a_case(reading, world, found, stack, planned, now))
