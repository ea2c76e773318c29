"""Decides about the stacks that are due, and does what follows: stops, applies, asks policies, tidies up.

The loop calls `step` once this process knows what is desired. The decisions themselves are made and recorded in
`decide`; what is to follow is kept here until it is done, and one thing that fails keeps no other back. What comes by
the clock is queued by `schedules`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from reconciler.core.runs import Run, RunStatus
from reconciler.core.verdicts import Verdict
from reconciler.engine.base import Engine
from reconciler.loop.policies.inquiries import Inquiries
from reconciler.loop.policies.plan import PlanQuestion, PolicyAnswer
from reconciler.loop.policies.push import PushPolicies, PushQuestion
from reconciler.loop.runs.decide import Ended, Followup, ToApply, ToJudge, ToPush, ToStop, decide_due
from reconciler.loop.runs.dispatch import Dispatcher
from reconciler.loop.runs.record import Recorder
from reconciler.store.protocol import Store
from reconciler.store.stored import StoreBusy
from spaces.names import StackId


@dataclass(slots=True)
class Decisions:
    """Carries the stacks forward that are due."""

    store: Store
    engine: Engine
    dispatcher: Dispatcher
    recorder: Recorder
    pushes: PushPolicies
    inquiries: Inquiries
    holder: str
    watching: Callable[[Run], None]
    todo: deque[Followup] = field(default_factory=deque)
    """What follows from decisions and is not done yet."""

    @property
    def about(self) -> set[str]:
        """The runs that something is still to be done about here."""
        return {each.run.id for each in self.todo if not isinstance(each, ToPush)}

    def step(self, now: datetime, *, due: bool = True) -> bool:
        """Decide, and do what follows. Returns whether a stack was due. Where none is `due`, the store is not asked."""
        decided, followups = decide_due(self.store, self.holder, now) if due else (0, [])
        self.todo.extend(each for each in followups if each not in self.todo)
        self._follow_up(now)
        return bool(decided)

    def _follow_up(self, now: datetime) -> None:
        """Do each thing that is to be done; the first failure is raised when the others were tried."""
        failure: Exception | None = None
        for _ in range(len(self.todo)):
            followup = self.todo.popleft()
            try:
                self._do(followup, now)
            except Exception as error:
                self.todo.append(followup)
                if isinstance(error, StoreBusy):
                    raise
                failure = failure or error
        if failure is not None:
            raise failure

    def _do(self, followup: Followup, now: datetime) -> None:
        match followup:
            case ToStop(run):
                self.engine.cancel(run.id)
            case ToApply(run):
                self.dispatcher.apply(run)
            case ToJudge(run):
                self._ask_again(run)
            case ToPush(stack):
                self._ask_push(stack)
                return
            case Ended(run):
                self.recorder.tidy([run], now)
        self.watching(followup.run)

    def _ask_again(self, run: Run) -> None:
        """Ask the policies over a run that waits, and carry out their answer."""
        if self.inquiries.is_about(run.id):
            return

        def gather(now: datetime) -> PlanQuestion | None:
            return self.recorder.question_again(run, now)

        def conclude(_question: PlanQuestion | None, answer: PolicyAnswer | None, now: datetime) -> None:
            changed = self.recorder.judge_waiting(run, answer, now)
            if changed is None:
                return
            self.watching(changed)
            if changed.status is RunStatus.APPLYING:
                self.dispatcher.apply(changed)

        self.inquiries.open(run.id, gather, conclude)

    def _ask_push(self, stack: StackId) -> None:
        """Ask the push policies over a stack, and keep their answer."""
        if self.inquiries.is_about(str(stack)):
            return

        def gather(now: datetime) -> PushQuestion | None:
            return self.pushes.question(stack, now)

        def conclude(question: PushQuestion | None, verdicts: list[Verdict] | None, now: datetime) -> None:
            if question is not None:
                self.pushes.record(question, verdicts, now)

        self.inquiries.open(str(stack), gather, conclude)
