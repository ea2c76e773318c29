"""Asks notification policies about runs that ended or began to wait, and passes on what they have to tell.

Beside the loop, and for it alone: nothing waits for them, and what a service that stops was about to ask is not asked.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime

from reconciler.core.results import Planned
from reconciler.core.runs import Run, RunStatus
from reconciler.core.verdicts import Notice, Severity
from reconciler.loop.audit import about_notice, about_silence
from reconciler.loop.desired.world import World
from reconciler.loop.policies.plan import a_case
from reconciler.metrics import Metrics
from reconciler.policies.evaluation import notify
from reconciler.policies.inputs import Case, event_input
from reconciler.store.protocol import Store, StoreError
from spaces.effective.policies import Guardrail
from spaces.model.policy import PolicyType

_log = logging.getLogger(__name__)

_LEVELS = {Severity.INFO: logging.INFO, Severity.WARNING: logging.WARNING, Severity.ERROR: logging.ERROR}


def is_news(run: Run) -> bool:
    """Say whether a run that has just changed has ended, or waits."""
    return not run.is_active or run.status is RunStatus.UNCONFIRMED


@dataclass(frozen=True, slots=True)
class NoticeQuestion:
    """All that the notification policies over a run are asked."""

    policies: tuple[Guardrail, ...]
    case: Case

    def ask(self) -> list[tuple[Notice, ...] | str]:
        """Ask them. It takes as long as policies may take."""
        return notify(self.policies, event_input(self.case))


@dataclass(frozen=True, slots=True)
class Notices:
    """Knows the notification policies over runs."""

    store: Store
    world: World
    metrics: Metrics

    def question(self, run: Run, now: datetime) -> NoticeQuestion | None:
        """Gather what to ask about a run; None where nobody wants to know."""
        stack = self.world.effective(run.stack)
        if stack is None:
            return None
        policies = tuple(policy for policy in stack.policies if policy.spec.type is PolicyType.NOTIFICATION)
        if not policies:
            return None
        with self.store.reading() as reading:
            planned = reading.planned(run.id) or Planned(has_changes=False)
            case = a_case(reading, self.world, run, stack, planned, now)
        return NoticeQuestion(policies, case)

    def pass_on(self, question: NoticeQuestion, answers: list[tuple[Notice, ...] | str] | None, now: datetime) -> None:
        """Write what they said into the log and the audit. None: they could not be asked, which was logged."""
        run = question.case.run
        rows = []
        for policy, answer in zip(question.policies, answers or (), strict=answers is not None):
            if isinstance(answer, str):
                self.metrics.policy_decided(policy.spec.type.value, "error")
                _log.warning(
                    "policy %s on run %s of %s could not be evaluated: %s", policy.name, run.id, run.stack, answer
                )
                rows.append(about_silence(run, policy.name, answer, now))
                continue
            self.metrics.policy_decided(policy.spec.type.value, "notify" if answer else "quiet")
            for notice in answer:
                level = _LEVELS[notice.severity]
                _log.log(level, "policy %s on run %s of %s: %s", policy.name, run.id, run.stack, notice.message)
                rows.append(about_notice(run, policy.name, notice, now))
        if not rows:
            return
        try:
            with self.store.writing() as transaction:
                transaction.append_audit(rows)
        except StoreError as error:
            # Nothing may be held up by this; the log has it.
            _log.warning("what was told of run %s is not in the audit: %s", run.id, error)
