"""Claims queued runs, and starts their legs in threads, so that a slow start keeps no other run waiting.

The loop calls `claim` in each pass, and `apply` for a run that goes on to its apply leg. Whatever keeps a leg from
starting becomes a report, which is recorded like any other end.
"""

from __future__ import annotations

import logging
import time
from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from reconciler.core.conditions import assess
from reconciler.core.dependencies import linked, may_go_ahead
from reconciler.core.phases import Leg, Phase
from reconciler.core.reasons import Reason
from reconciler.core.results import MadeBy, Planned
from reconciler.core.runs import Run, RunEvent, RunId, RunKind, RunStatus
from reconciler.core.standing import is_current
from reconciler.core.state import Desired, StackProblem, StackState
from reconciler.core.transition import take_step
from reconciler.credentials.errors import SecretUnreadable
from reconciler.engine.base import Ending, Engine, LegReport, TfstateAccess
from reconciler.engine.ends import LegId
from reconciler.engine.kubernetes.jobs import JobCarrier
from reconciler.engine.placing import CannotPlace, Machine
from reconciler.engine.pull import PullEngine
from reconciler.issuer.assuming import CannotAssume
from reconciler.issuer.issuer import Issuer
from reconciler.issuer.run_tokens import Bearer, identify, vault_reader
from reconciler.loop.desired.follower import Follower
from reconciler.loop.desired.values import Opened, not_allowed, open_values, without_issuer
from reconciler.loop.desired.world import read_source
from reconciler.loop.runs.job import (
    Inputs,
    make_order,
    materialise,
    needs_tfstate,
)
from reconciler.loop.runs.pools import (
    is_in_force,
    limits_of,
    pools_elsewhere,
    pools_on_kubernetes,
    pools_with_messages,
    pools_with_workers,
)
from reconciler.loop.runs.taken import CannotRun, TakenOutput, refuse, take_outputs, with_outputs
from reconciler.metrics import Metrics
from reconciler.runs.audit import log_run
from reconciler.runs.outputs import given_by, parents_in
from reconciler.runs.transition import record
from reconciler.settings import Settings
from reconciler.store.protocol import Store
from reconciler.store.stored import CannotUnseal, RunFilter
from reconciler.store.waiting import waiting
from reconciler.tokens import mint_tokens
from reconciler.version import __version__
from spaces.model.pool import DEFAULT_POOL

_log = logging.getLogger(__name__)

LEASE = timedelta(seconds=60)

TfstateDoor = Callable[[Run, str], TfstateAccess]
"""Returns how a run with a token reaches its stack's tfstate; it may start the server first."""


@dataclass(slots=True)
class Dispatcher:
    """Starts the legs of runs on the engine."""

    store: Store
    engine: Engine
    follower: Follower
    settings: Settings
    metrics: Metrics
    holder: str
    tfstate_door: TfstateDoor
    issuer: Issuer
    """Who signs the tokens of runs. Without a URL it signs only what this service itself reads."""
    pull: PullEngine
    """Who offers the legs of pools with workers elsewhere."""
    unsafe: Callable[[], str | None] = lambda: None
    """Returns why nothing may run here now; None: everything may."""
    unreachable: Callable[[], str | None] = lambda: None
    """Returns why workers that wait for messages get none; None: they do."""
    reports: deque[LegReport] = field(default_factory=deque)
    """Legs that ended before they began."""
    busy: set[str] = field(default_factory=set)
    """Runs whose start is under way."""
    _elsewhere: dict[str, str] = field(default_factory=dict)
    """Those of them that workers are to do, each with its pool."""
    _tokens: dict[RunId, str] = field(default_factory=dict)
    """The tokens of runs whose process waits for the verdict on its plan, and applies it with the same token."""
    _machine: Machine = field(init=False)
    _pool: ThreadPoolExecutor = field(init=False)

    def __post_init__(self) -> None:
        self._machine = Machine.of(self.settings)
        self._pool = ThreadPoolExecutor(min(self.settings.parallelism, 8), "start")

    def at_work(self) -> int:
        """Count the runs that this service has at work, here and on workers."""
        return len(self.busy | set(self.engine.active()))

    def workers(self) -> dict[tuple[str, str], int]:
        """Count the places for runs, by (pool, state)."""
        busy = self._at_work_here()
        counts = {(DEFAULT_POOL, "busy"): busy, (DEFAULT_POOL, "idle"): max(0, self.settings.parallelism - busy)}
        seen, untold = self.pull.workers(), self._untold()
        for pool in pools_with_workers(self.follower.world):
            workers = seen.get(pool, [])
            counts[pool, "busy"] = sum(worker.active for worker in workers)
            idle = sum(max(1, worker.said.places - worker.active) for worker in workers if worker.idle)
            counts[pool, "idle"] = idle if pool not in untold else 0
        legs = Counter(leg.offer.pool for leg in self.pull.legs())
        counts |= {(pool, "busy"): legs[pool] for pool in pools_on_kubernetes(self.follower.world)}
        return counts

    def unserved(self) -> list[str]:
        """Return the pools whose workers are all gone, or get no messages, as far as this service knows."""
        served = self.pull.served() - self._untold()
        return [pool for pool in pools_with_workers(self.follower.world) if pool not in served]

    def _untold(self) -> frozenset[str]:
        """Return the pools whose workers wait for messages that cannot be sent now."""
        return frozenset() if self.unreachable() is None else pools_with_messages(self.follower.world)

    def _places(self, pool: str) -> int:
        # What nobody can be told of stays in the queue, where a more urgent run can still overtake it.
        # And whoever waits gets what is being prepared, before anything else is taken from the queue for them.
        coming = sum(theirs == pool for theirs in self._elsewhere.copy().values())
        return 0 if pool in self._untold() else max(0, self.pull.places(pool) - coming)

    def _at_work_here(self) -> int:
        return len((self.busy | set(self.engine.active())) - self._elsewhere.keys() - set(self.pull.active()))

    def claim(self, now: datetime) -> int:
        """Claim as many queued runs as there are places, and start them. Returns how many."""
        free = self.settings.parallelism - self._at_work_here()
        if free <= 0 and not self.pull.served() and not pools_on_kubernetes(self.follower.world):
            return 0
        with self.store.reading() as reading:
            if not reading.list_runs(RunFilter(statuses={RunStatus.QUEUED}), None, 1):
                return 0
            limits = limits_of(self.follower.world, reading, self._places)
        with self.store.writing() as transaction:
            # Whoever is behind the store's generation would start what is no longer desired, and another version may
            # hash the same otherwise, so that it would take everything for outdated.
            state = transaction.configuration()
            if state.generation != self.follower.world.generation or state.version not in {None, __version__}:
                return 0
            taken = transaction.claim(self.holder, now, LEASE, free, limits)
            found = transaction.stacks([run.stack for run in taken])
            steps = [
                take_step(found.get(run.stack) or StackState(run.stack, None), run, RunEvent.PREPARE, now, message="")
                for run in taken
            ]
            leading = [step for step in steps if step.run.stack in found and step.run.leads]
            states = [assess(step.stack, step.run, step.stack.why, now) for step in leading]
            tokens = mint_tokens(transaction, [step.run for step in steps])
            record(transaction, steps, states, now)
            waits = waiting(transaction, [step.run.stack for step in steps], now)
        at_work = self.busy | set(self.engine.active())
        self._tokens = {run: token for run, token in self._tokens.copy().items() if run in at_work}
        for run in (step.run for step in steps):
            if run.stack in waits and not run.checks and not may_go_ahead(run, found.get(run.stack)):
                self._fail(run, Leg.PLAN, Reason.PLAN_OUTDATED, f"it waits for {waits[run.stack].on}")
                continue
            log_run(run)
            self.metrics.run_claimed((now - run.created_at).total_seconds(), run.pool)
            self._submit(run, Leg.PLAN, tokens[run.id])
        return len(steps)

    def apply(self, run: Run, planned: Planned | None = None) -> None:
        """Go on to the apply leg of a run: in the process that waits, else in a new one. `planned`: if at hand."""
        log_run(run)
        self._submit(run, Leg.APPLY, self._tokens.pop(run.id, None), planned)

    def job_carrier(self, ready: Callable[[], bool]) -> JobCarrier:
        """Return who carries the legs of pools on Kubernetes; `ready`: whether the runs at work are known."""

        def note(which: LegId, message: str) -> None:
            with self.store.writing() as transaction:
                transaction.note_run(RunId(which.run), which.attempt, message)

        return JobCarrier(
            self.pull,
            lambda: pools_on_kubernetes(self.follower.world),
            self.settings.kubernetes_config,
            self.settings.worker_url or self.settings.public_url,
            self.holder,
            note,
            ready,
        )

    def close(self) -> None:
        """Finish the starts that are under way, and let no worker wait for more."""
        self._pool.shutdown(wait=True)
        self.pull.close()

    def _submit(self, run: Run, leg: Leg, token: str | None, planned: Planned | None = None) -> None:
        if run.pool in pools_elsewhere(self.follower.world):
            self._elsewhere[run.id] = run.pool
        self.busy.add(run.id)
        self._pool.submit(self._start, run, leg, token, planned)

    def _start(self, run: Run, leg: Leg, token: str | None, planned: Planned | None) -> None:
        began = time.monotonic()
        try:
            inputs = self._identified(run, leg, self._inputs(run))
            if leg is Leg.APPLY:
                inputs = replace(inputs, made_by=self._made_by(run, planned))
            tfstate = self._tfstate(run, leg, token) if needs_tfstate(inputs) else None
            opened = with_outputs(self._open(run, leg, inputs), inputs.outputs)
            order = make_order(run, leg, inputs, opened, self.settings, self.store.carry_key(run.id))
            if run.id in self._elsewhere:
                fill = materialise(inputs, opened) if leg is Leg.PLAN else None
                self.pull.offer(run.pool, replace(order, waits_for_verdict=False), tfstate, fill)
                return
            job = self._machine.place(order, tfstate)
            if job.waits_for_verdict and tfstate is not None:
                self._tokens[run.id] = tfstate.token
            if leg is Leg.PLAN:
                self.engine.start(job, materialise(inputs, opened))
            elif not self.engine.proceed(run.id, job):
                self.engine.start(job, None)
        except (CannotRun, CannotPlace) as error:
            self._fail(run, leg, error.reason, error.message)
        except Exception as error:  # noqa: BLE001 - it is logged
            # One run that cannot be started must not stop the others. The traceback names no value of the run's.
            _log.exception("run %s could not be started", run.id)
            self._fail(run, leg, Reason.NEVER_STARTED, f"it could not be started ({type(error).__name__})")
        finally:
            if leg is Leg.PLAN:
                self.metrics.phase_ended(str(run.kind), str(Phase.PREPARE), time.monotonic() - began)
            self.busy.discard(run.id)
            self._elsewhere.pop(run.id, None)
            if self.reports:
                self.engine.wake()

    def _tfstate(self, run: Run, leg: Leg, token: str | None) -> TfstateAccess:
        if leg is Leg.PLAN or token is None:
            # A process that waits with its token has read it a moment ago.
            try:
                with self.store.reading() as reading:
                    reading.tfstate(run.stack)
            except CannotUnseal as error:
                raise CannotRun(Reason.TFSTATE_UNREADABLE, str(error)) from None
        if token is None:
            with self.store.writing() as transaction:
                token = mint_tokens(transaction, [run])[run.id]
        return self.tfstate_door(run, token)

    def _inputs(self, run: Run) -> Inputs:
        """Return the inputs of a run; CannotRun where nothing may run, or the desired configuration has changed."""
        if run.id not in self._elsewhere and (why := self.unsafe()) is not None:
            raise CannotRun(Reason.SANDBOX_MISSING, why)
        self._check_pool(run)
        if run.leaving:
            return self._inputs_of_what_left(run)
        if run.proposes is not None:
            return self._inputs_of_a_proposal(run)
        world = self.follower.world
        desired, stack = world.desired.get(run.stack), world.effective(run.stack)
        if world.in_force is None or desired is None or stack is None:
            raise CannotRun(Reason.PLAN_OUTDATED, "the desired configuration has changed")
        outputs = self._outputs(run, desired)
        earlier = world.pinned.get(run.stack)
        if isinstance(earlier, StackProblem):
            raise refuse(earlier)
        if earlier is not None:
            return Inputs(earlier.stack, earlier.source, earlier.trees, outputs)
        place = self.follower.locate(world.in_force, stack) if stack.source is not None else None
        if isinstance(place, StackProblem):
            raise refuse(place)
        _, source = read_source(world.in_force, stack, self.follower.locate)
        if isinstance(source, StackProblem):
            raise refuse(source)
        return Inputs(stack, source, place.trees if place else None, outputs)

    def _check_pool(self, run: Run) -> None:
        """Refuse a run whose pool is gone, or does not belong to its stack any more: it gets no secret of it."""
        world = self.follower.world
        if not is_in_force(world, run.pool):
            raise CannotRun(Reason.POOL_MISSING, f"its worker pool {run.pool} is not in force any more")
        desired = world.desired.get(run.stack)
        if desired is not None and desired.pool != run.pool:
            raise CannotRun(Reason.PLAN_OUTDATED, f"its pool is {run.pool}, and that of its stack {desired.pool} now")

    def _made_by(self, run: Run, planned: Planned | None) -> MadeBy | None:
        if planned is None:
            with self.store.glance() as reading:
                planned = reading.planned(run.id)
        return planned.made_by if planned is not None else None

    def _identified(self, run: Run, leg: Leg, inputs: Inputs) -> Inputs:
        """Return the inputs with the tokens for the stack's cloud integrations; CannotRun if nobody can sign them."""
        if not inputs.stack.integrations:
            return inputs
        missing = without_issuer(inputs.stack, self.issuer.url or None)
        if missing is not None:
            raise refuse(missing)
        try:
            return replace(inputs, identity=identify(self.issuer, Bearer(run, leg, inputs.stack), datetime.now(UTC)))
        except CannotAssume as error:
            raise CannotRun(Reason.ROLE_REFUSED, f"the service cannot take on a role: {error}") from None
        except CannotUnseal as error:
            raise CannotRun(Reason.ISSUER_UNUSABLE, f"the issuer's key cannot be used: {error}") from None

    def _inputs_of_what_left(self, run: Run) -> Inputs:
        """Return the inputs of the destruction of a stack whose document is not in Git any more."""
        with self.store.reading() as reading:
            state = reading.stack(run.stack)
            if state is None or state.desired is None or not is_current(state, run):
                raise CannotRun(Reason.PLAN_OUTDATED, "the desired configuration has changed")
            outputs = take_outputs(reading, run.stack, state.desired.needs)
        left = self.follower.left(run.stack)
        if isinstance(left, StackProblem):
            raise refuse(left)
        return Inputs(left.stack, left.source, left.trees, outputs)

    def _inputs_of_a_proposal(self, run: Run) -> Inputs:
        """Return the inputs of a plan of what nobody has merged: exactly what was asked for, or nothing."""
        found = self.follower.proposed(run, datetime.now(UTC))
        if isinstance(found, StackProblem):
            raise refuse(found)
        made = found.stack
        return Inputs(made.stack, made.source, made.trees, self._outputs(run, found.desired))

    def _outputs(self, run: Run, desired: Desired) -> tuple[TakenOutput, ...]:
        """Return the outputs that a run uses; CannotRun if they or the desired configuration have changed."""
        if not desired.needs and desired.digest == run.digest:
            return ()
        with self.store.reading() as reading:
            fresh = linked(desired, run.stack, given_by(reading, parents_in([desired])))
            if fresh.digest != run.digest:
                raise CannotRun(Reason.PLAN_OUTDATED, "the desired configuration has changed")
            return take_outputs(reading, run.stack, desired.needs, preview=run.kind is RunKind.PROPOSED)

    def _open(self, run: Run, leg: Leg, inputs: Inputs) -> Opened:
        problem = not_allowed(inputs.stack, self.settings.env_takeover_allowed)
        if problem is not None:
            raise refuse(problem)
        vault = None
        try:
            vault = vault_reader(self.issuer, Bearer(run, leg, inputs.stack), datetime.now(UTC))
            return open_values(inputs.stack, self.follower.remotes.secrets, vault)
        except SecretUnreadable as error:
            raise CannotRun(Reason.SECRET_UNREADABLE, str(error)) from None
        except CannotUnseal as error:
            raise CannotRun(Reason.ISSUER_UNUSABLE, f"the issuer's key cannot be used: {error}") from None
        finally:
            if vault is not None:
                vault.close()

    def _fail(self, run: Run, leg: Leg, reason: str, message: str) -> None:
        phase = Phase.PREPARE if leg is Leg.PLAN else Phase.APPLY
        self.reports.append(LegReport(run.id, run.attempt, leg, Ending.FAILED, str(reason), message, phase))
