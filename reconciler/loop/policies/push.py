"""Push policies: the question what is to become of a change, and the answer, which is kept with the stack.

The loop asks them before it queues a run for a stack. They see the files that differ from what was applied.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from reconciler.core.conditions import assess
from reconciler.core.digest import push_policies
from reconciler.core.pushes import to_be_pushed
from reconciler.core.runs import leading
from reconciler.core.state import Component, Heading, Push, StackState
from reconciler.core.verdicts import Verdict, heading
from reconciler.git.errors import GitError, GitReason
from reconciler.git.remote import redact
from reconciler.git.source_keys import read_key
from reconciler.git.trees import Trees
from reconciler.loop.desired.follower import Follower
from reconciler.loop.desired.sources import MISSING
from reconciler.loop.desired.world import CONFIGURATION, SourceLocation
from reconciler.metrics import Metrics
from reconciler.policies.evaluation import evaluate
from reconciler.policies.inputs import PushCase, push_input
from reconciler.runs.audit import about_push
from reconciler.store.protocol import Store
from spaces.effective.policies import Guardrail, surroundings
from spaces.effective.stack import EffectiveStack
from spaces.model.policy import PolicyType
from spaces.model.refs import RefKind, read_ref
from spaces.names import Digest, StackId

_log = logging.getLogger(__name__)

MOST_PATHS = 1000
"""How many files a push policy sees."""


def changed_files(trees: Trees, old: Mapping[str, str], new: Mapping[str, str]) -> tuple[list[str], bool]:
    """Return the files that differ, sorted and bounded, and whether there are more. `old` and `new`: Git ids by path.

    Where what was applied is no longer there to compare with, every file of the source is taken for changed.
    """
    found: set[str] = set()
    try:
        for path in sorted(old.keys() | new.keys()):
            for each in _between(trees, old.get(path), new.get(path), path):
                found.add(each)
                if len(found) > MOST_PATHS:
                    return sorted(found)[:MOST_PATHS], True
    except GitError:
        # Too many to read, or the newest revision is gone already: what is not known must not look as if all were.
        return sorted(found), True
    return sorted(found), False


def _between(trees: Trees, old: str | None, new: str | None, path: str) -> Iterator[str]:
    before, after = (None if each == MISSING else each for each in (old, new))
    if before == after:
        return iter(())
    try:
        return trees.paths_between(before, after, path)
    except GitError as error:
        if error.reason is not GitReason.REVISION_NOT_FOUND or after is None:
            raise
        return trees.paths_between(None, after, path)


@dataclass(frozen=True, slots=True)
class PushQuestion:
    """A question about one change of a stack, gathered whole, so that any thread may ask it."""

    stack: StackId
    digest: Digest
    marks: str
    """The policies that are asked, as `Desired.push_policies` has them."""
    policies: tuple[Guardrail, ...]
    case: PushCase

    def ask(self) -> list[Verdict]:
        """Ask the policies. It takes as long as policies may take."""
        return evaluate(self.policies, push_input(self.case))


@dataclass(frozen=True, slots=True)
class PushPolicies:
    """The push policies over stacks."""

    store: Store
    follower: Follower
    metrics: Metrics

    def question(self, stack: StackId, now: datetime) -> PushQuestion | None:
        """Return the question; None where nothing is to be asked any more, or other policies are in force here."""
        with self.store.reading() as reading:
            state = reading.stack(stack)
        if state is None or state.desired is None or state.desired.push_policies is None or not to_be_pushed(state):
            return None
        marks = state.desired.push_policies
        configured = self.follower.stack_as(stack, lambda found: push_policies(found) == marks, now)
        if configured is None:
            return None
        policies = tuple(policy for policy in configured.policies if policy.spec.type is PolicyType.PUSH)
        case = self._case(state, configured, now)
        return PushQuestion(stack, state.desired.digest, marks, policies, case) if case is not None else None

    def record(self, question: PushQuestion, verdicts: list[Verdict] | None, now: datetime) -> None:
        """Keep their answer, where it is still about what is desired. None: they could not be asked at all."""
        said, message = heading(verdicts) if verdicts is not None else (Heading.FAILED, "it could not be asked")
        with self.store.writing() as transaction:
            state = transaction.stacks([question.stack]).get(question.stack)
            if state is None or state.desired is None or not to_be_pushed(state):
                return
            if (state.desired.digest, state.desired.push_policies) != (question.digest, question.marks):
                return
            state = state.evolve(push=Push(question.digest, question.marks, said, message))
            active = leading(transaction.active_runs([state.id])).get(state.id)
            transaction.put_stacks([assess(state, active, state.why, now)])
            transaction.wake_dependents([state.id], now)
            transaction.append_audit(about_push(state, verdicts or [], now))
        _log.info("the push of %s: %s %s", question.stack, said, message)
        for verdict in verdicts or ():
            self.metrics.policy_decided(verdict.type, "error" if verdict.error else verdict.result.value)
            level = logging.WARNING if verdict.error else logging.INFO
            told = "; ".join(verdict.messages)
            _log.log(level, "policy %s on the push of %s: %s %s", verdict.policy, question.stack, verdict.result, told)

    def _case(self, state: StackState, configured: EffectiveStack, now: datetime) -> PushCase | None:
        in_force, desired = self.follower.world.in_force, state.desired
        if in_force is None or desired is None:
            return None
        place = self.follower.locate(in_force, configured)
        if not isinstance(place, SourceLocation):
            return None
        old = state.applied.fingerprint.components.get(Component.SOURCE, {}) if state.applied is not None else {}
        new = desired.fingerprint.components.get(Component.SOURCE, {})
        paths, truncated = changed_files(place.trees, old, new)
        url, branch = self._followed(place.key)
        return PushCase(
            state=state,
            tool=configured.spec.tool.value,
            labels=dict(configured.labels),
            space=surroundings(in_force.documents, state.id.space),
            repository=redact(url),
            branch=branch,
            revision=place.revision,
            paths=paths,
            truncated=truncated,
            now=now,
        )

    def _followed(self, key: str) -> tuple[str, str | None]:
        """Return the address of a repository and the branch that is followed of it; None: a tag, version or commit."""
        if key == CONFIGURATION:
            settings = self.follower.remotes.settings
            return settings.config_url or "", settings.config_branch
        source = read_key(key)
        followed = read_ref(source.ref)
        return source.url, followed.name if followed.kind is RefKind.BRANCH else None
