"""Runs: view them, follow their log, confirm, discard, cancel, retry, review."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query, Response
from fastapi.responses import PlainTextResponse

from reconciler import operations, replanning
from reconciler.core.runs import Run, RunId, RunKind, RunStatus
from reconciler.core.verdicts import Review, authors_of
from reconciler.store.protocol import Store
from reconciler.store.queries import Reading
from reconciler.store.stored import RunFilter
from reconciler.web.api import convert, frozen, logs
from reconciler.web.api.auth import Caller, CallerIn, PortsIn, Right
from reconciler.web.api.dependencies import follows_json
from reconciler.web.api.errors import not_found
from reconciler.web.api.paging import PartIn, chosen_spaces, of_runs, page
from reconciler.web.api.schemas.runs import (
    LogJson,
    PlanJson,
    PolicySampleJson,
    ReplanRequest,
    ReviewedRunJson,
    ReviewEffectJson,
    ReviewRequest,
    RunJson,
    WholeRunJson,
)
from reconciler.web.api.schemas.shapes import Page
from reconciler.web.api.stacks import LabelsIn, labels_of
from reconciler.web.api.told import Told, refusals
from reconciler.web.ports import Ports
from spaces.names import SpaceName

router = APIRouter(prefix="/runs", tags=["runs"])

_ID_LENGTH = 26


@router.get("")
def list_runs(
    ports: PortsIn,
    caller: CallerIn,
    part: PartIn,
    *,
    label: LabelsIn = None,
    status: Annotated[list[RunStatus] | None, Query(description="Only runs with these statuses.")] = None,
    kind: Annotated[list[RunKind] | None, Query(description="Only runs of these kinds.")] = None,
    prefix: Annotated[
        str | None, Query(pattern="^[0-9a-z]{1,26}$", description="Only runs whose id begins with this.")
    ] = None,
    ending: Annotated[
        str | None, Query(pattern="^[0-9a-z]{1,26}$", description="Only runs whose id ends with this.")
    ] = None,
) -> Page[RunJson]:
    """List runs, newest first."""
    spaces = chosen_spaces(ports.tree(), caller, Right.RUN_READ, part)
    wanted = RunFilter(spaces=spaces, statuses=status, kinds=kind, labels=labels_of(label or []) or None, ending=ending)
    with ports.store.reading() as reading:
        if prefix is not None and part.cursor is None:
            # Ids sort by time, so ids with one prefix are neighbours, directly after the last possible id.
            last = prefix.ljust(_ID_LENGTH, "z")
            exact = reading.run(RunId(prefix)) if len(prefix) == _ID_LENGTH else None
            if exact is not None and (spaces is None or exact.stack.space in spaces):
                found = [exact]
            else:
                found = reading.list_runs(wanted, last, part.limit + 1)
        else:
            found = reading.list_runs(wanted, of_runs(part.cursor), part.limit + 1)
    if prefix is not None:
        found = [run for run in found if run.id.startswith(prefix)]
    told = Told.of(caller)
    return page(found, part.limit, lambda run: run.id, lambda run: convert.run_json(run, told))


@router.get("/{run}")
def get_run(ports: PortsIn, caller: CallerIn, run: str) -> WholeRunJson:
    """Return a run."""
    with ports.store.reading() as reading:
        found = _find(reading, caller, Right.RUN_READ, run)
        follows = follows_json(reading, caller, found)
        stack = reading.stack(found.stack)
        authors = authors_of(found, stack.desired if stack is not None else None)
        reviews = reading.reviews(found.id)
        return convert.whole_run_json(found, reading.judgement(found.id), reviews, authors, follows, Told.of(caller))


def glance(ports: Ports, caller: Caller, run: str) -> tuple[Run, list[Review]]:
    """Return what can change of a run while somebody looks at it, without its plan, which may be large."""
    with ports.store.reading() as reading:
        found = _find(reading, caller, Right.RUN_READ, run)
        return found, reading.reviews(found.id)


@router.get("/{run}/plan")
def get_plan(ports: PortsIn, caller: CallerIn, run: str) -> PlanJson:
    """Return the result of a run's plan."""
    with ports.store.reading() as reading:
        found = _find(reading, caller, Right.RUN_READ, run)
        planned = reading.planned(found.id)
    if planned is None:
        raise not_found(f"plan of run {run}")
    return convert.plan_json(found, planned)


@router.get("/{run}/policy-input")
def get_policy_input(ports: PortsIn, caller: CallerIn, run: str) -> PolicySampleJson:
    """Return the input of the policies over a run, with all reviews, to test other policies with."""
    with ports.store.reading() as reading:
        found = _find(reading, caller, Right.RUN_READ, run)
    policy_input = ports.policy_input(found.id)
    if policy_input is None:
        raise not_found(f"plan of run {run}")
    told, space = Told.of(caller), policy_input["space"]
    above = space | {"path": [told.space(SpaceName(name)) for name in space["path"]]}
    return PolicySampleJson(input={**policy_input, "space": above})


@router.post("/{run}/reviews", status_code=201)
def review_run(ports: PortsIn, caller: CallerIn, run: str, review: ReviewRequest) -> ReviewedRunJson:
    """Approve or reject a waiting run, and learn whether that counts. A person's later review replaces the earlier."""

    def note(store: Store, found: RunId, person: str, now: datetime, because: str) -> Run:
        return operations.review(store, found, Review(person, review.approve, review.note, now), because)

    done = _act(ports, caller, Right.RUN_REVIEW, run, note)
    return ReviewedRunJson(**done.model_dump(by_alias=False), review=review_effect(ports, caller, RunId(done.id)))


def review_effect(ports: Ports, caller: Caller, run: RunId) -> ReviewEffectJson | None:
    """Return what the caller's review of a run does, without names that they may not see."""
    effect = ports.review_effect(run, caller.person)
    if effect is None:
        return None
    return ReviewEffectJson(counts=effect.counts, because=Told.of(caller).message(effect.because, None))


@router.get("/{run}/log")
def get_log(
    ports: PortsIn,
    caller: CallerIn,
    run: str,
    offset: Annotated[int, Query(ge=0, le=2**40, description="Bytes to skip.")] = 0,
    limit: Annotated[int, Query(ge=16, le=4 * 1024 * 1024, description="Bytes to return at most.")] = 256 * 1024,
) -> LogJson:
    """Return a piece of a run's log, even while it is being written."""
    with ports.store.reading() as reading:
        found = _find(reading, caller, Right.RUN_READ, run)
    return logs.read(ports, found.id, offset, limit)


@router.get("/{run}/log.txt", response_class=PlainTextResponse)
def get_log_text(ports: PortsIn, caller: CallerIn, run: str) -> Response:
    """Return a run's whole log as text, as far as it is written."""
    found, _ = glance(ports, caller, run)
    data, _ = logs.whole(ports, found.id, active=found.is_active)
    return PlainTextResponse(data)


@router.post("/{run}/confirm")
def confirm_run(ports: PortsIn, caller: CallerIn, run: str) -> RunJson:
    """Confirm a waiting run."""
    return _act(ports, caller, Right.RUN_CONFIRM, run, operations.confirm)


@router.post("/{run}/through")
def let_run_through(ports: PortsIn, caller: CallerIn, run: str) -> RunJson:
    """Let a run go on to apply although freeze windows are open, by the roles that these ask for."""

    def let_through(store: Store, wanted: RunId, person: str, now: datetime, _because: str) -> Run:
        return operations.let_through(store, wanted, person, now, lambda window: frozen.basis(caller, window))

    return _act(ports, caller, Right.RUN_CONFIRM, run, let_through)


@router.post("/{run}/discard")
def discard_run(ports: PortsIn, caller: CallerIn, run: str) -> RunJson:
    """Discard a waiting run."""
    return _act(ports, caller, Right.RUN_DISCARD, run, operations.discard)


@router.post("/{run}/cancel")
def cancel_run(ports: PortsIn, caller: CallerIn, run: str) -> RunJson:
    """Cancel a run; one that is at work ends a little later."""
    return _act(ports, caller, Right.RUN_CANCEL, run, operations.cancel)


@router.post("/{run}/prioritize")
def prioritize_run(ports: PortsIn, caller: CallerIn, run: str) -> RunJson:
    """Let a queued run start before all others."""
    return _act(ports, caller, Right.RUN_PRIORITIZE, run, operations.prioritize)


@router.post("/{run}/retry", status_code=201)
def retry_run(ports: PortsIn, caller: CallerIn, run: str) -> RunJson:
    """Retry a failed or discarded run with the current configuration."""
    return _act(ports, caller, Right.RUN_RETRY, run, operations.retry)


@router.post("/{run}/replan", status_code=201)
def replan_run(ports: PortsIn, caller: CallerIn, run: str, wanted: ReplanRequest) -> RunJson:
    """Plan some of a run's resources only, in its place. The new run waits for a person."""

    def replan(store: Store, found: RunId, person: str, now: datetime, because: str) -> Run:
        return replanning.replan(store, found, wanted.targets, person, now, because)

    return _act(ports, caller, Right.RUN_REPLAN, run, replan)


def _act(
    ports: Ports,
    caller: Caller,
    right: Right,
    run: str,
    operation: Callable[[Store, RunId, str, datetime, str], Run],
) -> RunJson:
    with ports.store.reading() as reading:
        found = _find(reading, caller, right, run)
    because = caller.basis(right.action, found.stack.space)
    with refusals(caller, found.stack):
        done = operation(ports.store, found.id, caller.person, ports.now(), because)
    ports.wake()
    return convert.run_json(done, Told.of(caller))


def _find(reading: Reading, caller: Caller, right: Right, run: str) -> Run:
    found = reading.run(RunId(run)) if len(run) == _ID_LENGTH and run.isalnum() and run.isascii() else None
    if found is None:
        raise caller.nothing(right, f"run {run}")
    caller.require(right, found.stack.space, f"run {run}")
    return found
