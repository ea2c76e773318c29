"""Records the end of a leg: the step of its run, resources, outputs, tfstate, log and metrics.

The loop calls `record` with each report of the engine, and `judge_waiting` when policies were asked about a run that
waits. A report is recorded in one transaction, and at most once. Nothing here starts or stops a process; a run that is
`applying` afterwards is handed on by the caller.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from reconciler.core.dependencies import may_go_ahead
from reconciler.core.drift import observe
from reconciler.core.freezing import holds_up
from reconciler.core.phases import Leg, Phase
from reconciler.core.pushes import pushed
from reconciler.core.reasons import Reason
from reconciler.core.resources import resources_after
from reconciler.core.results import ChangeCounts, Planned
from reconciler.core.runs import AT_WORK, Run, RunEvent, RunId, RunKind, RunStatus
from reconciler.core.standing import is_current, rests, without_ended_lock
from reconciler.core.state import Component, Heading, StackState, Waits
from reconciler.core.verdicts import Judgement
from reconciler.engine.base import Ending, Engine, LegReport
from reconciler.loop.policies.plan import PlanPolicies, PlanQuestion, PolicyAnswer
from reconciler.loop.runs.next_step import CHANGED_POLICIES, after_leg, while_it_waits
from reconciler.metrics import Metrics
from reconciler.runner.tfstate.backlog import pending_requests, unit_of
from reconciler.runs.audit import log_run
from reconciler.runs.transition import Prepared, advance, find_stack, find_stacks, prepare, record
from reconciler.store.protocol import Store, Transaction
from reconciler.store.provenances import ResourceAuthor
from reconciler.store.results import StackResults
from reconciler.store.stored import StoreError
from reconciler.store.waiting import waiting
from reconciler.tools.registry import tool
from spaces.names import StackId

_log = logging.getLogger(__name__)

_LOG_KEPT = 32 * 1024 * 1024
_SMALL_LOG = 64 * 1024
"""Up to how many bytes a log is stored in one transaction with others."""

CommitTime = Callable[[Run], float | None]
"""When what a run applies was committed, in seconds of UTC; None: no commit caused the run. See `desired.merged`."""


@dataclass(frozen=True, slots=True)
class Recorder:
    """Records the ends of legs, and the answers of policies about runs that wait."""

    store: Store
    engine: Engine
    metrics: Metrics
    commit_time: CommitTime
    policies: PlanPolicies

    def record(self, report: LegReport, judged: PolicyAnswer | None, now: datetime) -> Run | None:
        """Record one report. Returns the run after it; None where the report does not count any more.

        `judged` is the answer to the `question` about the report; an answer about another plan does not count.
        """
        run = self.follow(self.take_in([(report, judged)], now)[0])
        if run is not None and not run.is_active:
            self.tidy([run], now)
        return run

    def take_in(
        self, ends: Sequence[tuple[LegReport, PolicyAnswer | None]], now: datetime, *, asked: bool = True
    ) -> list[Taken]:
        """Record reports about different stacks in one transaction, all or none.

        `follow` is still to be called, and `tidy` for the runs that are over. All that is written is locked first, in
        one order, whatever the order of the reports: another service may record the ends of other runs meanwhile.
        Where policies were not `asked` yet, a report that they have a say in comes back as it was, and of those about
        one stack only the first is taken in.
        """
        with self.store.writing() as transaction:
            runs = transaction.runs_by_id([RunId(report.run) for report, _ in ends])
            taken = [_sorted_out(report, runs.get(RunId(report.run)), judged) for report, judged in ends]
            if not asked:
                taken = _without_questions(taken)
            counting = [(each.run, each) for each in taken if each.run is not None and each.counts]
            if not counting:
                return taken
            states = find_stacks(transaction, {run.stack for run, _ in counting})
            heeding = {run.stack for run, each in counting if _heeds(run, each.report, states[run.stack])}
            waits = waiting(transaction, heeding, now) if heeding else {}
            applied = transaction.plans([run.id for run, each in counting if each.report.leg is Leg.APPLY])
            for run, each in counting:
                state = without_ended_lock(states[run.stack], now)
                each.planned = each.report.planned or applied.get(run.id)
                each.step = self._take_step(transaction, run, each, state, waits.get(run.stack), now)
            transaction.record_results([each.results for each in taken if each.results is not None])
            steps = [each.step for each in taken if each.step is not None]
            plans = {run.id: planned for run, each in counting if (planned := each.report.planned) is not None}
            transaction.record_plans(plans)
            after = [state for step in steps for state in step.stacks]
            told = [row for step in steps for row in step.told]
            record(transaction, [step.step for step in steps], after, now, told=told)
        return taken

    def follow(self, taken: Taken) -> Run | None:
        """Do what follows from a report once it is recorded, but for `tidy`; returns what `record` does."""
        report, run = taken.report, taken.run
        if taken.before:
            return run
        if taken.step is None:
            # What was recorded stays; the directory of a run that ended otherwise is of no more use.
            if run is not None and _was_given_up(run):
                self.engine.free(report.run)
            else:
                self.engine.discard(report.run)
            return None
        ended = taken.step.step.run
        if taken.judgement is not None:
            self.policies.log(ended, taken.judgement)
        for phase, seconds in report.phase_seconds.items():
            self.metrics.phase_ended(str(ended.kind), str(phase), seconds)
        if ended.status is RunStatus.UNCONFIRMED:
            log_run(ended)
        return ended

    def tidy(self, ended: Sequence[Run], now: datetime) -> None:
        """Keep the logs of runs that are over, and let their directories go."""
        for run in ended:
            if run.status is RunStatus.FINISHED and run.phase is Phase.APPLY and run.kind is RunKind.TRACKED:
                committed = self.commit_time(run)
                if committed is not None:
                    self.metrics.applied(now.timestamp() - committed)
            log_run(run)
        small = [run for run in ended if self._is_small(self.engine.log_path(run.id))]
        if not self._put_away(small):
            small = []
        for run in ended:
            if run not in small:
                self._put_away([run])

    def put_away_left(self) -> None:
        """Keep the logs of runs that are over and let their directories go, where that failed when they ended."""
        for name in self.engine.kept():
            with self.store.glance() as reading:
                run = reading.run(RunId(name))
            if run is None or run.is_active:
                continue
            if _was_given_up(run):
                self.engine.free(name)
            elif not self._put_away([run]):
                return

    @staticmethod
    def _is_small(log: Path) -> bool:
        """Whether a log is there that is kept together with others."""
        try:
            return log.stat().st_size <= _SMALL_LOG
        except OSError:
            return False

    def _put_away(self, ended: Sequence[Run]) -> bool:
        """Keep logs and let the directories go; False: the logs cannot be stored now, and stay there with them."""
        for run in ended:
            # First: on a full disk the log cannot be stored without the room that this makes.
            self.engine.free(run.id)
        paths = {run.id: self.engine.log_path(run.id) for run in ended}
        try:
            logs = {run: _read_log(path) for run, path in paths.items() if path.exists()}
            # What came to nothing before it had a log has no place where people look first.
            silent = [run for run in ended if run.id not in logs and run.status is RunStatus.FAILED]
            if logs or silent:
                with self.store.writing() as transaction:
                    bare = [run for run in silent if transaction.log(run.id) is None]
                    transaction.record_logs(logs | {it.id: f"{it.reason}: {it.message}\n".encode() for it in bare})
            for each, path in paths.items():
                path.unlink(missing_ok=True)
                self.engine.discard(each)
        except (OSError, StoreError) as error:
            _log.warning("the directories of runs stay: %s: %s", ", ".join(paths), error)
            return False
        return True

    def question(self, report: LegReport, now: datetime) -> PlanQuestion | None:
        """Return the question about a plan that has just ended; None: there is none, or the policies are others now."""
        planned = report.planned
        if report.leg is not Leg.PLAN or report.ending is not Ending.SUCCEEDED or planned is None:
            return None
        with self.store.glance() as reading:
            run = reading.run(RunId(report.run))
        if run is None or not _has_question(run, report):
            return None
        return self.policies.question(run, planned, report.plan_digest or run.plan_digest, now)

    def question_again(self, run: Run, now: datetime) -> PlanQuestion | None:
        """Return the question about a run that waits; None: its policies are others now."""
        with self.store.glance() as reading:
            planned = reading.planned(run.id)
        return self.policies.question(run, planned, run.plan_digest, now) if planned is not None else None

    def judge_waiting(self, run: Run, judged: PolicyAnswer | None, now: datetime) -> Run | None:
        """Carry out the answer of the policies over a run that waits.

        `run` is as it was when they were asked; `judged` is None where its policies are others now. Returns the run
        after it; None where the run waits no more, or was reviewed or confirmed since.
        """
        with self.store.writing() as transaction:
            found = transaction.run(run.id)
            if found is None or found.attempt != run.attempt or found.status is not RunStatus.UNCONFIRMED:
                return None
            now_said = found.confirmed_by, tuple(transaction.reviews(run.id))
            if judged is not None and now_said != (run.confirmed_by, judged.reviews):
                # Somebody was quicker: the loop looks at it again.
                return None
            if waiting(transaction, [found.stack], now).get(found.stack) is not None:
                # What it depends on has moved: the loop looks at it again once that is settled.
                return None
            state = without_ended_lock(find_stack(transaction, found.stack), now)
            judgement = judged.judgement if judged is not None else None
            if judgement is not None and is_current(state, found):
                event, changes = while_it_waits(
                    found, judgement, holds_up(state, found, now), suspended=rests(state, found)
                )
            else:
                event = RunEvent.SUPERSEDE
                changes = {"reason": Reason.PLAN_OUTDATED, "message": CHANGED_POLICIES}
            changed = advance(transaction, state, found, event, now, judgement=judgement, to_judge=False, **changes)
        if judgement is not None:
            self.policies.log(changed, judgement)
        if not changed.is_active:
            self.tidy([changed], now)
        return changed

    def _take_step(  # noqa: PLR0917
        self, transaction: Transaction, run: Run, taken: Taken, state: StackState, waits: Waits | None, now: datetime
    ) -> Prepared:
        """Keep the tfstate and the results of a leg, and let the run take the step that its end means."""
        report, judgement = taken.report, taken.judgement
        self._take_tfstate(transaction, run, report, now)
        event, changes = after_leg(
            run,
            report,
            judgement,
            waits,
            holds_up(state, run, now),
            current=is_current(state, run),
            suspended=rests(state, run),
            held_back=(push := pushed(state)) is not None and push.heading is Heading.PROPOSE,
        )
        if event is not RunEvent.PROCEED:
            changes["phase"] = report.phase
        if report.planned is not None:
            changes["changes"] = ChangeCounts.of(report.planned)
        if event is RunEvent.OBSERVE and report.planned is not None:
            state = _with_observation(state, run, report.planned, now)
            changes |= _found(state)
        taken.results = _results(transaction, run, taken, state, event)
        changes["phase_seconds"] = {**run.phase_seconds, **report.phase_seconds}
        changes["plan_digest"] = report.plan_digest or run.plan_digest
        return prepare(transaction, state, run, event, now, judgement, **changes)

    def _take_tfstate(self, transaction: Transaction, run: Run, report: LegReport, now: datetime) -> None:
        """Store the versions of the tfstate that the run wrote while no service was there."""
        if report.pending_tfstate is None or run.proposes is not None:
            return
        for pending in pending_requests(report.pending_tfstate):
            query = parse_qs(pending.query)
            unit = unit_of(pending.query)
            if pending.method == "POST":
                newest = transaction.tfstate(run.stack, unit=unit)
                if newest is None or newest.body != pending.body:
                    transaction.add_tfstate(run.stack, pending.body, run.id, now, unit=unit)
            elif pending.method == "UNLOCK":
                transaction.unlock_tfstate(run.stack, query.get("ID", [None])[0], unit)


@dataclass(slots=True)
class Taken:
    """A report that was taken in, with its run as it was before."""

    report: LegReport
    run: Run | None
    asks: bool = False
    """Whether policies have a say in it first."""
    counts: bool = False
    """Whether its run takes a step by it: the report is about what is at work."""
    judgement: Judgement | None = None
    before: bool = False
    """Whether the report was recorded before."""
    planned: Planned | None = None
    """What the run's plan has found, where this leg has made or applied it."""
    step: Prepared | None = None
    """The step of the run."""
    results: StackResults | None = None
    """What there is of its stack now; None: that is not said."""


def _sorted_out(report: LegReport, run: Run | None, judged: PolicyAnswer | None) -> Taken:
    if run is None or run.attempt != report.attempt or run.status not in AT_WORK:
        return Taken(report, run)
    if report.leg is Leg.PLAN and run.status is RunStatus.APPLYING:
        # Recorded before, but what had to follow did not come about.
        return Taken(report, run, before=True)
    judgement = judged.judgement if judged is not None and _is_about(judged, run, report) else None
    return Taken(report, run, counts=True, judgement=judgement)


def _without_questions(taken: Sequence[Taken]) -> list[Taken]:
    """Let those not count that policies have a say in, and leave out all but the first of each stack."""
    left: list[Taken] = []
    seen: set[StackId] = set()
    for each in taken:
        if each.run is not None:
            if each.run.stack in seen:
                continue
            each.asks = _has_question(each.run, each.report)
            each.counts = each.counts and not each.asks
            seen.update([] if each.asks else [each.run.stack])
        left.append(each)
    return left


def _results(
    transaction: Transaction, run: Run, taken: Taken, state: StackState, event: RunEvent
) -> StackResults | None:
    """Return what a leg leaves of its stack; None: it has not changed that, or does not say."""
    report, planned = taken.report, taken.planned
    if run.destroys and event in {RunEvent.SUCCEED, RunEvent.FOUND_NOTHING}:
        return StackResults(run.stack, (), ())
    # Where a stack was made by somebody else before, its first plan finds nothing to do, and yet there are outputs.
    first = event is RunEvent.FOUND_NOTHING and state.applied is None
    if report.applied is None or not (report.leg is Leg.APPLY or first):
        return None
    resources = report.applied.resources
    if report.applied.by_plan:
        known = transaction.resources(run.stack) if _same_tool(state, run) else ()
        resources = resources_after(known, planned.changes if planned else ())
    author = ResourceAuthor.of(run.id, planned.changes if planned else ()) if not first else None
    outputs = {output.name: output for output in report.applied.outputs}
    if report.ending is not Ending.SUCCEEDED:
        # It may have failed before it could say them all.
        outputs = {output.name: output for output in transaction.outputs(run.stack)} | outputs
    return StackResults(run.stack, resources, list(outputs.values()), author)


def _heeds(run: Run, report: LegReport, state: StackState) -> bool:
    """Whether it matters that the stack waits for another one."""
    return report.leg is Leg.PLAN and not may_go_ahead(run, state)


def _has_question(run: Run, report: LegReport) -> bool:
    """Whether policies are asked about a plan that has just ended."""
    if report.leg is not Leg.PLAN or report.ending is not Ending.SUCCEEDED or report.planned is None:
        return False
    current = run.status is RunStatus.PLANNING and run.attempt == report.attempt
    return current and report.planned.has_changes and run.is_guarded and not run.checks


def _with_observation(state: StackState, run: Run, planned: Planned, now: datetime) -> StackState:
    desired = state.desired
    assert desired is not None  # noqa: S101 - the run is for what is desired
    ignore = desired.drift.ignore if desired.drift is not None else ()
    mendable = tool(desired.tool).abilities.plans_drift
    return state.evolve(observed=observe(run, planned, ignore, now, mendable=mendable))


def _found(state: StackState) -> dict[str, Any]:
    """Return how a drift check ended, in the words of the stack's condition."""
    if state.observed is None or not state.observed.drifted:
        return {"reason": Reason.NO_DRIFT, "message": "nothing differs from what was applied"}
    return {"reason": Reason.DRIFTED, "message": f"{state.observed.many} from what was applied"}


def _was_given_up(run: Run) -> bool:
    """Whether a run may have gone on after its recorded end: the tfstate that it wrote since is only kept."""
    return run.reason == Reason.LEASE_LOST


def _same_tool(state: StackState, run: Run) -> bool:
    """Whether the stack's resources are of the tool that the run used."""
    if state.applied is None:
        return True
    was, now = (it.fingerprint.components.get(Component.TOOL, {}) for it in (state.applied, run))
    return was.get("name") == now.get("name")


def _is_about(judged: PolicyAnswer, run: Run, report: LegReport) -> bool:
    """Whether a judgement is about exactly this plan, under the policies of this run."""
    judgement = judged.judgement
    plan_digest = report.plan_digest or run.plan_digest
    return (judgement.attempt, judgement.digest, judgement.plan_digest) == (run.attempt, run.digest, plan_digest)


def _read_log(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_LOG_KEPT)
