"""What people ask of stacks: runs of every kind, and that nothing runs for a while."""

from __future__ import annotations

from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Protocol

from fastapi import APIRouter

from reconciler import locks, operations, proposals
from reconciler.core.runs import Run
from reconciler.core.state import StackState
from reconciler.store.protocol import Store
from reconciler.web.api import convert
from reconciler.web.api.auth import Caller, CallerIn, PortsIn, Right
from reconciler.web.api.schemas.runs import PlanRequest, RunJson, TaskRequest
from reconciler.web.api.schemas.stacks import LockRequest, StackDetailJson, StackJson
from reconciler.web.api.stacks import named, shown_stack
from reconciler.web.api.told import Told, refusals
from reconciler.web.ports import Ports
from spaces.model.durations import LONG, parse_duration
from spaces.names import StackId

router = APIRouter(prefix="/stacks/{space}/{name}", tags=["stacks"])


class Request(Protocol):
    """One of the functions of `operations` that queue a run."""

    def __call__(self, store: Store, stack: StackId, person: str, now: datetime, because: str = "") -> Run:
        """Queue the run, or refuse."""


@router.post("/runs", status_code=HTTPStatus.CREATED)
def request_run(ports: PortsIn, caller: CallerIn, space: str, name: str) -> RunJson:
    """Queue a tracked run, even of a stack that is Synced."""
    return _queue(ports, caller, space, name, Right.RUN_TRIGGER, operations.request_run)


@router.post("/plan", status_code=HTTPStatus.CREATED)
def plan_stack(ports: PortsIn, caller: CallerIn, space: str, name: str, wanted: PlanRequest | None = None) -> RunJson:
    """Queue a run that plans what is desired of a stack, or what `ref` would make of it, and applies nothing."""
    if wanted is None or wanted.ref is None:
        return _queue(ports, caller, space, name, Right.RUN_PREVIEW, operations.request_plan)
    ref = wanted.ref

    def request(store: Store, stack: StackId, person: str, now: datetime, because: str = "") -> Run:
        return proposals.propose(store, stack, ports.proposal(stack, ref, caller.subject), person, now, because)

    return _queue(ports, caller, space, name, Right.RUN_PREVIEW, request)


@router.post("/drift", status_code=HTTPStatus.CREATED)
def check_drift(ports: PortsIn, caller: CallerIn, space: str, name: str) -> RunJson:
    """Queue a drift check of a stack that is Synced."""
    return _queue(ports, caller, space, name, Right.DRIFT_CHECK, operations.request_check)


@router.post("/refresh", status_code=HTTPStatus.CREATED)
def refresh_stack(ports: PortsIn, caller: CallerIn, space: str, name: str) -> RunJson:
    """Queue a run by which the tool takes over into its tfstate what the real world has."""
    return _queue(ports, caller, space, name, Right.DRIFT_ACCEPT, operations.request_refresh)


@router.post("/tasks", status_code=HTTPStatus.CREATED)
def run_task(ports: PortsIn, caller: CallerIn, space: str, name: str, body: TaskRequest) -> RunJson:
    """Queue a shell command in a stack's directory and environment."""

    def request(store: Store, stack: StackId, person: str, now: datetime, because: str = "") -> Run:
        return operations.request_task(store, stack, body.command, person, now, because)

    return _queue(ports, caller, space, name, Right.TASK_CREATE, request)


@router.post("/destroy", status_code=HTTPStatus.CREATED)
def destroy_stack(ports: PortsIn, caller: CallerIn, space: str, name: str) -> RunJson:
    """Queue a run that removes what a stack made. It waits for confirmation, and leaves the stack suspended."""

    def request(store: Store, stack: StackId, person: str, now: datetime, because: str = "") -> Run:
        found = ports.effective(stack)
        lacks = found.spec.lacks_destruction if found is not None else None
        return operations.request_destroy(store, stack, person, now, because, lacks)

    return _queue(ports, caller, space, name, Right.STACK_DELETE, request)


@router.post("/forget")
def forget_stack(ports: PortsIn, caller: CallerIn, space: str, name: str) -> StackJson:
    """Forget a stack that left Git. What it made stays; a new stack of its name starts from nothing."""
    stack = named(caller, Right.STACK_DELETE, space, name)
    with refusals(caller, stack):
        forgotten = operations.forget(
            ports.store, stack, caller.person, ports.now(), _basis(caller, Right.STACK_DELETE, stack)
        )
    return convert.stack_json(forgotten, None, Told.of(caller))


@router.post("/suspend")
def suspend_stack(ports: PortsIn, caller: CallerIn, space: str, name: str) -> StackDetailJson:
    """Suspend a stack: it gets no new runs."""
    stack = named(caller, Right.RUN_CANCEL, space, name)
    because = _basis(caller, Right.RUN_CANCEL, stack)
    return _changed(ports, caller, locks.suspend(ports.store, stack, caller.person, ports.now(), because))


@router.post("/resume")
def resume_stack(ports: PortsIn, caller: CallerIn, space: str, name: str) -> StackDetailJson:
    """Resume a suspended stack."""
    stack = named(caller, Right.RUN_TRIGGER, space, name)
    because = _basis(caller, Right.RUN_TRIGGER, stack)
    return _changed(ports, caller, locks.resume(ports.store, stack, caller.person, ports.now(), because))


@router.post("/lock")
def lock_stack(ports: PortsIn, caller: CallerIn, space: str, name: str, wanted: LockRequest) -> StackDetailJson:
    """Lock a stack so that no run starts until it is unlocked, or the time is over."""
    stack = named(caller, Right.STACK_LOCK, space, name)
    duration = timedelta(seconds=parse_duration(wanted.duration, LONG)) if wanted.duration is not None else None
    because = _basis(caller, Right.STACK_LOCK, stack)
    state = locks.lock(ports.store, stack, wanted.note, duration, caller.person, ports.now(), because)
    return _changed(ports, caller, state)


@router.post("/unlock")
def unlock_stack(ports: PortsIn, caller: CallerIn, space: str, name: str) -> StackDetailJson:
    """End the lock of a stack: one's own, or with the right `stack:unlock` that of somebody else."""
    stack = named(caller, Right.STACK_LOCK, space, name)
    breaks = caller.allows(Right.STACK_UNLOCK, stack.space)
    because = _basis(caller, Right.STACK_UNLOCK if breaks else Right.STACK_LOCK, stack)
    return _changed(ports, caller, locks.unlock(ports.store, stack, caller.person, ports.now(), because, breaks=breaks))


def _queue(ports: Ports, caller: Caller, space: str, name: str, right: Right, request: Request) -> RunJson:  # noqa: PLR0917
    stack = named(caller, right, space, name)
    with refusals(caller, stack):
        run = request(ports.store, stack, caller.person, ports.now(), _basis(caller, right, stack))
    ports.wake()
    return convert.run_json(run, Told.of(caller))


def _changed(ports: Ports, caller: Caller, state: StackState) -> StackDetailJson:
    ports.wake()
    with ports.store.reading() as reading:
        return shown_stack(ports, reading, caller, state)


def _basis(caller: Caller, right: Right, stack: StackId) -> str:
    return caller.basis(right.action, stack.space)
