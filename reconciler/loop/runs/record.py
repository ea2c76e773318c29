"""From the end of a leg to what is remembered of it: run, stack, resources, outputs, tfstate, log and metrics.

The one place where a result is summed up; each report is recorded in one transaction, and at most once.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import assert_never
from urllib.parse import parse_qs

from reconciler.core.conditions import assess, is_retryable, is_suspended, retry_delay
from reconciler.core.phases import Leg, Phase
from reconciler.core.reasons import Reason
from reconciler.core.results import ChangeCounts
from reconciler.core.runs import AT_WORK, Run, RunEvent, RunId, RunKind, RunStatus
from reconciler.core.state import AppliedState, Outcome, StackState, Waits
from reconciler.core.verdicts import Judgement
from reconciler.engine.base import Ending, Engine, LegReport
from reconciler.loop.audit import APPLIED, APPLYING, about_judgement, about_run, log_run
from reconciler.loop.desired.record import relink
from reconciler.loop.policies.plan import Judged, Judges, Question
from reconciler.loop.runs.decide import outcome
from reconciler.loop.runs.ruling import CHANGED_POLICIES, after_judgement, as_judged, ruled
from reconciler.metrics import Metrics
from reconciler.runner.tfstate.backlog import pending_requests
from reconciler.store.protocol import Store, StoreError, Transaction
from reconciler.store.waiting import waiting
from spaces.names import Revision, StackId

_log = logging.getLogger(__name__)

_LOG_KEPT = 32 * 1024 * 1024

CommitTime = Callable[[Revision], float | None]
"""When a revision of the configuration was committed, in seconds of UTC."""


@dataclass(frozen=True, slots=True)
class Recorder:
    """Takes in reports of legs."""

    store: Store
    engine: Engine
    metrics: Metrics
    commit_time: CommitTime
    judges: Judges

    def record(self, report: LegReport, judged: Judged | None, now: datetime) -> Run | None:
        """Record one report: gives the run as it stands then, None where the report was of no more account.

        `judged` is the answer to the `question` about it; one about another plan counts for nothing.

        A run that is `applying` then goes on to its apply leg by the caller.
        """
        judgement: Judgement | None = None
        ended: Run | None = None
        with self.store.writing() as transaction:
            run = transaction.run(RunId(report.run))
            if run is None or run.attempt != report.attempt or run.status not in AT_WORK:
                pass
            elif report.leg is Leg.PLAN and run.status is RunStatus.APPLYING:
                # Recorded before, but what had to follow did not come about.
                return run
            else:
                state = _find(transaction, run.stack)
                judgement = judged.judgement if judged is not None and _about(judged, run, report) else None
                ended = self._settle(transaction, state, run, report, judgement, now)
        if ended is None:
            # What was recorded stays; the directory of a run that ended otherwise is of no more use.
            if run is not None and _was_given_up(run):
                self.engine.free(report.run)
            else:
                self.engine.discard(report.run)
            return None
        if judgement is not None:
            self.judges.tell(ended, judgement)
        for phase, seconds in report.phase_seconds.items():
            self.metrics.phase_ended(str(ended.kind), str(phase), seconds)
        if not ended.is_active:
            self.tidy(ended, now)
        elif ended.status is RunStatus.UNCONFIRMED:
            log_run(ended)
        return ended

    def tidy(self, run: Run, now: datetime) -> None:
        """Keep the log of a run that is over, count it, and let its directory go."""
        self.metrics.run_ended(run.stack.space, run.stack.name, str(run.kind), str(run.status))
        if run.status is RunStatus.FINISHED and run.phase is Phase.APPLY:
            committed = self.commit_time(run.revision)
            if committed is not None:
                self.metrics.applied(now.timestamp() - committed)
        log_run(run)
        self._put_away(run)

    def put_away_left(self) -> None:
        """Keep the logs of runs that are over and let their directories go, where that failed at their end."""
        for name in self.engine.kept():
            with self.store.reading() as reading:
                run = reading.run(RunId(name))
            if run is None or run.is_active:
                continue
            if _was_given_up(run):
                self.engine.free(name)
            elif not self._put_away(run):
                return

    def _put_away(self, run: Run) -> bool:
        """Keep a run's log and let its directory go; False: the log cannot be stored now, and stays there with it."""
        # First: on a full disk the log cannot be stored without the room that this makes.
        self.engine.free(run.id)
        path = self.engine.log_path(run.id)
        try:
            if path.exists():
                with self.store.writing() as transaction:
                    transaction.record_log(run.id, _read_log(path))
                path.unlink(missing_ok=True)
            elif run.status is RunStatus.FAILED:
                # It came to nothing before it had a log, where people look first.
                with self.store.writing() as transaction:
                    if transaction.log(run.id) is None:
                        transaction.record_log(run.id, f"{run.reason}: {run.message}\n".encode())
            self.engine.discard(run.id)
        except (OSError, StoreError) as error:
            _log.warning("the directory of run %s stays: %s", run.id, error)
            return False
        return True

    def question(self, report: LegReport, now: datetime) -> Question | None:
        """Say what its policies are to be asked about a plan that has just ended; None: nothing, or they are others."""
        planned = report.planned
        if report.leg is not Leg.PLAN or report.ending is not Ending.SUCCEEDED or planned is None:
            return None
        with self.store.reading() as reading:
            run = reading.run(RunId(report.run))
        if run is None or run.status is not RunStatus.PLANNING or run.attempt != report.attempt:
            return None
        if not planned.has_changes or not run.is_guarded:
            return None
        return self.judges.question(run, planned, report.plan_digest or run.plan_digest, now)

    def question_again(self, run: Run, now: datetime) -> Question | None:
        """Say what its policies are to be asked about a run that waits; None: they are others now."""
        with self.store.reading() as reading:
            planned = reading.planned(run.id)
        return self.judges.question(run, planned, run.plan_digest, now) if planned is not None else None

    def judge_waiting(self, run: Run, judged: Judged | None, now: datetime) -> Run | None:
        """Do what its policies say of a run that waits; None where it waits no more, or something happened since.

        `run` is as it was when they were asked. One that is `applying` then goes on to its apply leg by the caller.
        """
        with self.store.writing() as transaction:
            found = transaction.run(run.id)
            if found is None or found.attempt != run.attempt or found.status is not RunStatus.UNCONFIRMED:
                return None
            now_said = found.confirmed_by, tuple(transaction.reviews(run.id))
            if judged is not None and now_said != (run.confirmed_by, judged.reviews):
                # Somebody was quicker: the loop looks at it again.
                return None
            if waiting(transaction, [found.stack]).get(found.stack) is not None:
                # What it depends on has moved: the loop looks at it again once that is settled.
                return None
            state = _find(transaction, found.stack)
            current = state.desired is not None and state.desired.digest == found.digest
            if judged is None or not current:
                changed = found.advance(
                    RunEvent.SUPERSEDE, reason=Reason.PLAN_OUTDATED, message=CHANGED_POLICIES, finished_at=now
                )
            else:
                changed = after_judgement(found, judged.judgement, suspended=is_suspended(state), now=now)
                transaction.record_judgement(run.id, judged.judgement)
            transaction.put_run(changed)
            state = state.evolve(last=outcome(changed, now), retry_at=None)
            transaction.put_stacks([assess(state, changed if changed.is_active else None, state.why, now)])
            tell_dependents(transaction, found.stack, now)
            if judged is not None:
                transaction.append_audit(about_judgement(changed, judged.judgement, now))
            if changed.status is RunStatus.APPLYING:
                transaction.append_audit([about_run(APPLYING, changed, now)])
        if judged is not None:
            self.judges.tell(changed, judged.judgement)
        if not changed.is_active:
            self.tidy(changed, now)
        return changed

    def _settle(  # noqa: PLR0917
        self,
        transaction: Transaction,
        state: StackState,
        run: Run,
        report: LegReport,
        judgement: Judgement | None,
        now: datetime,
    ) -> Run:
        self._take_tfstate(transaction, run, report, now)
        current = state.desired is not None and state.desired.digest == run.digest
        waits = waiting(transaction, [run.stack]).get(run.stack) if report.leg is Leg.PLAN else None
        event = _event(run, report, judgement, current=current and waits is None, suspended=is_suspended(state))
        changed = run.advance(
            event,
            phase=Phase.APPLY if event is RunEvent.PROCEED else report.phase,
            reason=_reason(event, report),
            message=_message(event, report, waits if current else None),
            plan_digest=report.plan_digest or run.plan_digest,
        )
        if judgement is not None:
            transaction.record_judgement(run.id, judgement)
        changed = as_judged(changed, judgement, report)
        if report.planned is not None:
            transaction.record_plan(run.id, report.planned)
            changed = changed.evolve(changes=ChangeCounts.of(report.planned))
        # Where a stack was made by somebody else before, its first plan finds nothing to do, and yet there are outputs.
        first = event is RunEvent.FOUND_NOTHING and state.applied is None
        if report.applied is not None and (report.leg is Leg.APPLY or first):
            transaction.record_results(run.stack, report.applied.resources, report.applied.outputs)
        if not changed.is_active:
            changed = changed.evolve(finished_at=now, lease_until=None)
        transaction.put_run(changed)
        transaction.put_stacks([_stack_after(state, changed, event, report.leg, now)])
        tell_dependents(transaction, run.stack, now)
        if judgement is not None:
            transaction.append_audit(about_judgement(changed, judgement, now))
        if event is RunEvent.PROCEED:
            transaction.append_audit([about_run(APPLYING, changed, now)])
        elif report.leg is Leg.APPLY:
            transaction.append_audit([about_run(APPLIED, changed, now)])
        return changed

    def _take_tfstate(self, transaction: Transaction, run: Run, report: LegReport, now: datetime) -> None:
        """Take in the versions of the tfstate that were written while no service was there."""
        if report.pending_tfstate is None:
            return
        for pending in pending_requests(report.pending_tfstate):
            if pending.method == "POST":
                newest = transaction.tfstate(run.stack)
                if newest is None or newest.body != pending.body:
                    transaction.add_tfstate(run.stack, pending.body, run.id, now)
            elif pending.method == "UNLOCK":
                lock = parse_qs(pending.query).get("ID", [None])[0]
                transaction.unlock_tfstate(run.stack, lock)


def _was_given_up(run: Run) -> bool:
    """Say whether a run may have gone on after its end: what it wrote of its tfstate is not taken over, and stays."""
    return run.reason == Reason.LEASE_LOST


def _about(judged: Judged, run: Run, report: LegReport) -> bool:
    """Say whether a judgement is one of exactly this plan, under the policies of this run."""
    judgement = judged.judgement
    plan_digest = report.plan_digest or run.plan_digest
    return (judgement.attempt, judgement.digest, judgement.plan_digest) == (run.attempt, run.digest, plan_digest)


def _event(  # noqa: PLR0911
    run: Run, report: LegReport, judgement: Judgement | None = None, *, current: bool, suspended: bool
) -> RunEvent:
    """Say what the end of a leg means for its run."""
    match report.ending:
        case Ending.SUCCEEDED if report.leg is Leg.APPLY:
            return RunEvent.SUCCEED
        case Ending.SUCCEEDED:
            if _finds_nothing(report) and run.kind is not RunKind.PROPOSED:
                return RunEvent.FOUND_NOTHING
            if run.cancel_requested:
                return RunEvent.CANCEL
            if not current:
                return RunEvent.SUPERSEDE
            return RunEvent.PROPOSE if _finds_nothing(report) else ruled(run, judgement, suspended=suspended)
        case Ending.INTERRUPTED if report.leg is Leg.APPLY:
            return RunEvent.INTERRUPT
        case Ending.CANCELED if report.leg is Leg.PLAN:
            return RunEvent.CANCEL if run.cancel_requested or current else RunEvent.SUPERSEDE
        case Ending.FAILED if report.leg is Leg.PLAN and report.reason == Reason.PLAN_OUTDATED:
            return RunEvent.SUPERSEDE
        case Ending.FAILED | Ending.CANCELED | Ending.INTERRUPTED | Ending.LOST:
            return RunEvent.FAIL
        case _:
            assert_never(report.ending)


def _finds_nothing(report: LegReport) -> bool:
    return report.planned is not None and not report.planned.has_changes


def _reason(event: RunEvent, report: LegReport) -> str:
    """Name the reason: a success is worded here, anything else by whoever saw it."""
    words = {
        RunEvent.FOUND_NOTHING: Reason.NOTHING_TO_DO,
        RunEvent.PROPOSE: Reason.PROPOSED,
        RunEvent.AWAIT: Reason.WAITS_FOR_CONFIRMATION,
        RunEvent.PROCEED: Reason.APPLYING,
        RunEvent.SUCCEED: Reason.APPLIED,
        RunEvent.SUPERSEDE: Reason.SUPERSEDED,
        RunEvent.CANCEL: Reason.CANCELED,
        RunEvent.INTERRUPT: Reason.INTERRUPTED,
    }
    return str(words.get(event, report.reason))


def _message(event: RunEvent, report: LegReport, waits: Waits | None) -> str:
    if event is RunEvent.SUPERSEDE:
        return "something newer is desired" if waits is None else "a stack that it depends on is out of sync"
    if event is RunEvent.PROPOSE:
        return "nothing would change" if _finds_nothing(report) else "planned, and not applied"
    if event is RunEvent.PROCEED:
        return "applies what was planned"
    return report.message


def _find(transaction: Transaction, stack: StackId) -> StackState:
    """Give the stack, with those that depend on it locked as well: always in one order, so that nobody deadlocks."""
    children = transaction.children([stack]).get(stack, ())
    found = transaction.stacks([stack, *children])
    return relink(transaction, {stack: found.get(stack) or StackState(stack, None)})[stack]


def tell_dependents(transaction: Transaction, stack: StackId, now: datetime) -> None:
    """Take the outputs that are there now into what is desired of the stacks that use them, and have them looked at."""
    children = transaction.children([stack]).get(stack, ())
    if not children:
        return
    before = transaction.stacks(children)
    after = relink(transaction, before)
    active = {run.stack: run for run in transaction.active_runs(children) if run.leads}
    changed = [state for child, state in after.items() if state is not before[child]]
    transaction.put_stacks([assess(state, active.get(state.id), state.why, now) for state in changed])
    transaction.wake_dependents([stack], now)


def _stack_after(state: StackState, run: Run, event: RunEvent, leg: Leg, now: datetime) -> StackState:
    """Carry a run's new status over to its stack."""
    failures = state.last.failures if state.last is not None and state.last.run == run.id else 0
    retry_at = None
    match event:
        case RunEvent.SUCCEED | RunEvent.FOUND_NOTHING:
            applied = AppliedState(run.digest, run.fingerprint, run.revision, run.id, now)
            state = state.evolve(applied=applied, interrupted=False, failed=None, why=())
            failures = 0
        case RunEvent.INTERRUPT:
            state = state.evolve(interrupted=True)
        case RunEvent.FAIL if is_retryable(run.reason):
            failures += 1
            retry_at = now + retry_delay(failures)
        case _:
            pass
    last = outcome(run, now, failures)
    if event is RunEvent.FAIL:
        state = state.evolve(failed=_failure(state, last, leg))
    state = state.evolve(last=last, retry_at=retry_at)
    return assess(state, run if run.is_active else None, state.why, now)


def _failure(state: StackState, last: Outcome, leg: Leg) -> Outcome:
    """Give the failure that counts now: a plan that fails after a failed apply does not undo that one."""
    before, applied = state.failed, state.applied
    if before is None or not before.applying:
        return replace(last, applying=leg is Leg.APPLY)
    puts_right = applied is not None and applied.digest == last.digest
    if before.digest != last.digest and (leg is Leg.PLAN or puts_right):
        # What an apply of something else left half-way is there still.
        return before
    return replace(last, applying=True)


def _read_log(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_LOG_KEPT)
