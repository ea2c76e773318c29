"""Stacks: view them, suspend and resume them, lock and unlock them, request a run."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from reconciler.core.runs import Run, RunStatus
from reconciler.core.state import ConditionStatus, ConditionType, StackState, Sync
from reconciler.store.queries import Reading
from reconciler.store.stored import RunFilter, StackFilter
from reconciler.web.api import convert
from reconciler.web.api.auth import Caller, CallerIn, PortsIn, Right
from reconciler.web.api.dependencies import dependencies_json, dependents_json
from reconciler.web.api.errors import invalid, not_found
from reconciler.web.api.frozen import frozen_json
from reconciler.web.api.interrupted import interrupted_json
from reconciler.web.api.paging import (
    CursorIn,
    LimitIn,
    PartIn,
    behind,
    chosen_spaces,
    of_runs,
    of_stacks,
    page,
)
from reconciler.web.api.schemas.effective import EffectiveJson
from reconciler.web.api.schemas.runs import RunJson
from reconciler.web.api.schemas.shapes import Page
from reconciler.web.api.schemas.stacks import OutputJson, ResourceJson, StackDetailJson, StackJson
from reconciler.web.api.told import Told
from reconciler.web.api.waiting import Waiting
from reconciler.web.ports import Ports
from spaces.model.base import MOST_LABELS
from spaces.model.tools import ToolName
from spaces.names import StackId

router = APIRouter(prefix="/stacks", tags=["stacks"])

LabelsIn = Annotated[
    list[str] | None, Query(max_length=MOST_LABELS, description="`key=value`; a stack must have all of them.")
]


@router.get("")
def list_stacks(
    ports: PortsIn,
    caller: CallerIn,
    part: PartIn,
    *,
    label: LabelsIn = None,
    sync: Annotated[Sync | None, Query(description="Only stacks with this state.")] = None,
    tool: Annotated[ToolName | None, Query(description="Only stacks that use this tool.")] = None,
    drifted: Annotated[bool | None, Query(description="Only stacks whose last check found drift, or did not.")] = None,
    condition: Annotated[
        list[str] | None,
        Query(max_length=len(ConditionType), description="`type=status`, as in Stalled=True; all must hold."),
    ] = None,
    q: Annotated[str | None, Query(max_length=130, description="Part of `space/name`.")] = None,
) -> Page[StackJson]:
    """List stacks in the order of `space/name`."""
    wanted = StackFilter(
        spaces=chosen_spaces(ports.tree(), caller, Right.STACK_READ, part),
        labels=labels_of(label or []) or None,
        sync=sync,
        tool=tool,
        text=q,
        drifted=drifted,
        conditions=_conditions(condition or []) or None,
    )
    readable = caller.spaces(Right.RUN_READ)
    with ports.store.reading() as reading:
        found = reading.list_stacks(wanted, of_stacks(part.cursor), part.limit + 1)
        shown = [stack.id for stack in found[: part.limit] if readable is None or stack.id.space in readable]
        last = reading.last_runs(shown)
    told = Told.of(caller)
    return page(
        found,
        part.limit,
        lambda stack: str(stack.id),
        lambda stack: convert.stack_json(stack, last.get(stack.id), told),
    )


@router.get("/{space}/{name}")
def get_stack(ports: PortsIn, caller: CallerIn, space: str, name: str) -> StackDetailJson:
    """Return a stack."""
    with ports.store.reading() as reading:
        return shown_stack(ports, reading, caller, find_stack(reading, caller, space, name))


@router.get("/{space}/{name}/runs")
def list_runs_of_stack(
    ports: PortsIn, caller: CallerIn, space: str, name: str, *, limit: LimitIn = 100, cursor: CursorIn = None
) -> Page[RunJson]:
    """List a stack's runs, newest first."""
    with ports.store.reading() as reading:
        stack = find_stack(reading, caller, space, name)
        caller.require(Right.RUN_READ, stack.id.space, f"stack {stack.id}")
        found = reading.list_runs(RunFilter(stack=stack.id), of_runs(cursor), limit + 1)
    told = Told.of(caller)
    return page(found, limit, _run_id, lambda run: convert.run_json(run, told))


@router.get("/{space}/{name}/resources")
def list_resources(
    ports: PortsIn, caller: CallerIn, space: str, name: str, *, limit: LimitIn = 100, cursor: CursorIn = None
) -> Page[ResourceJson]:
    """List the resources that a stack's last successful run left behind, by address."""
    with ports.store.reading() as reading:
        stack = find_stack(reading, caller, space, name)
        found = sorted(reading.resources(stack.id), key=lambda resource: resource.address)
    cut = behind(found, cursor, limit, lambda resource: resource.address)
    return page(cut, limit, lambda resource: resource.address, convert.resource_json)


@router.get("/{space}/{name}/outputs")
def list_outputs(
    ports: PortsIn, caller: CallerIn, space: str, name: str, *, limit: LimitIn = 100, cursor: CursorIn = None
) -> Page[OutputJson]:
    """List a stack's outputs by name, without the values of sensitive ones."""
    with ports.store.reading() as reading:
        stack = find_stack(reading, caller, space, name)
        found = sorted(reading.outputs(stack.id), key=lambda output: output.name)
    cut = behind(found, cursor, limit, lambda output: output.name)
    return page(cut, limit, lambda output: output.name, convert.output_json)


@router.get("/{space}/{name}/effective")
def get_effective(ports: PortsIn, caller: CallerIn, space: str, name: str) -> EffectiveJson:
    """Return the configuration that a stack's runs get, with the origin of every value."""
    stack = named(caller, Right.STACK_READ, space, name)
    found = ports.effective(stack)
    if found is None:
        raise not_found(f"stack {stack} in force")
    return convert.effective_json(found, Told.of(caller))


def named(caller: Caller, right: Right, space: str, name: str) -> StackId:
    """Return the stack of a path; raise 404 if the caller lacks the right, or it cannot be one."""
    try:
        stack = StackId.parse(f"{space}/{name}")
    except ValueError:
        raise not_found(f"stack {space}/{name}") from None
    caller.require(right, stack.space, f"stack {stack}")
    return stack


def find_stack(reading: Reading, caller: Caller, space: str, name: str) -> StackState:
    """Return the stack of a path, if the caller may read it; raise 404 otherwise."""
    stack = named(caller, Right.STACK_READ, space, name)
    found = reading.stack(stack)
    if found is None:
        raise not_found(f"stack {stack}")
    return found


def shown_stack(ports: Ports, reading: Reading, caller: Caller, stack: StackState) -> StackDetailJson:
    """Return a stack, with its newest run if the caller may read runs."""
    last = reading.last_runs([stack.id]) if caller.allows(Right.RUN_READ, stack.id.space) else {}
    run = last.get(stack.id)
    shown = convert.stack_json(stack, run, Told.of(caller))
    queued = run is not None and run.status is RunStatus.QUEUED
    return StackDetailJson(
        **dict(shown),
        dependencies=dependencies_json(caller, stack),
        dependents=dependents_json(reading, caller, stack.id),
        next=[convert.next_json(timer, stack) for timer in reading.timers(stack.id)],
        interrupted=interrupted_json(reading, caller, stack),
        frozen=frozen_json(stack, ports.now(), Told.of(caller)),
        waits=Waiting.of(ports, reading, [run]).why(run) if run is not None and queued else None,
    )


def labels_of(written: list[str]) -> dict[str, str]:
    """Return the labels of a query; raise 422 for one that is not `key=value`."""
    labels = {}
    for text in written:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise invalid("label", f"write key=value, not {text!r}")
        labels[key] = value
    return labels


def _conditions(written: list[str]) -> dict[ConditionType, ConditionStatus]:
    conditions = {}
    for text in written:
        kind, _, status = text.partition("=")
        try:
            conditions[ConditionType(kind)] = ConditionStatus(status)
        except ValueError:
            kinds, answers = ", ".join(ConditionType), ", ".join(ConditionStatus)
            known = f"a type is one of {kinds}, a status one of {answers}"
            raise invalid("condition", f"write type=status, not {text[:80]!r}: {known}") from None
    return conditions


def _run_id(run: Run) -> str:
    return run.id
