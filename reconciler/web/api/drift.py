"""Drift: what differs from what was applied."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from fastapi import APIRouter

from reconciler.adopting.edits import Edit
from reconciler.adopting.finding import Adoption
from reconciler.core.drift import Difference, differences
from reconciler.core.runs import RunId
from reconciler.core.state import Observed, StackState
from reconciler.store.queries import Reading
from reconciler.store.stored import StackFilter
from reconciler.web.api.auth import Caller, CallerIn, PortsIn, Right
from reconciler.web.api.paging import PartIn, chosen_spaces, of_stacks
from reconciler.web.api.schemas.drift import AdoptionJson, AttributeJson, DriftJson
from reconciler.web.api.schemas.shapes import Page
from reconciler.web.api.stacks import LabelsIn, find_stack, labels_of
from reconciler.web.ports import Ports
from spaces.names import StackId

router = APIRouter(tags=["drift"])


@router.get("/drift")
def list_drift(
    ports: PortsIn,
    caller: CallerIn,
    part: PartIn,
    *,
    label: LabelsIn = None,
) -> Page[DriftJson]:
    """List what differs from what was applied, as the last check of each stack found it.

    `limit` counts stacks: all differences of a stack are on one page.
    """
    wanted = StackFilter(
        spaces=chosen_spaces(ports.tree(), caller, Right.DRIFT_READ, part),
        labels=labels_of(label or []) or None,
        in_git=True,
        drifted=True,
    )
    with ports.store.reading() as reading:
        found = reading.list_stacks(wanted, of_stacks(part.cursor), part.limit + 1)
        items = [each for stack in found[: part.limit] for each in _of_stack(reading, stack)]
    return Page(items=items, next=str(found[part.limit - 1].id) if len(found) > part.limit else None)


@router.get("/stacks/{space}/{name}/adoption")
def show_adoption(ports: PortsIn, caller: CallerIn, space: str, name: str) -> Page[AdoptionJson]:
    """Show what to change in Git so that it says what the last check found, by file and line. Nothing is changed."""
    with ports.store.reading() as reading:
        stack = find_stack(reading, caller, space, name).id
    caller.require(Right.DRIFT_READ, stack.space, f"drift of stack {stack}")
    found = ports.adoptions(stack, [each.model_dump() for each in drift_of(ports, caller, stack)])
    return Page(items=[_adoption(each) for each in found])


def _adoption(adoption: Adoption) -> AdoptionJson:
    how = adoption.how
    edit = isinstance(how, Edit)
    return AdoptionJson(
        address=adoption.address,
        attribute=adoption.attribute,
        was=adoption.was,
        is_=adoption.now,
        file=how.file,
        line=how.line or None,
        in_source=adoption.in_source,
        change="edit" if edit else "byHand",
        new=how.new if isinstance(how, Edit) else None,
        how=f"write {how.new}" if isinstance(how, Edit) else how.why,
    )


def drift_of(ports: Ports, caller: Caller, stack: StackId) -> list[DriftJson]:
    """Return how one stack differs from what was applied; nothing without the right to read that."""
    if not caller.allows(Right.DRIFT_READ, stack.space):
        return []
    with ports.store.reading() as reading:
        state = reading.stack(stack)
        drifted = state is not None and state.observed is not None and state.observed.drifted
        return list(_of_stack(reading, state)) if state is not None and drifted else []


def drifted_addresses(reading: Reading, caller: Caller, stacks: Collection[StackId]) -> dict[tuple[StackId, str], str]:
    """Return how resources of these stacks differ, of those that do, as far as the caller may read that."""
    spaces = caller.spaces(Right.DRIFT_READ)
    able = [stack for stack in stacks if spaces is None or stack.space in spaces]
    states = reading.peek(able) if able else {}
    drifted = [state for state in states.values() if state.observed is not None and state.observed.drifted]
    found = ((state.id, each) for state in drifted for each in _of_stack(reading, state))
    return {(stack, each.address): each.difference for stack, each in found if each.address is not None}


def _of_stack(reading: Reading, stack: StackState) -> Iterator[DriftJson]:
    observed, desired = stack.observed, stack.desired
    if observed is None or desired is None:
        return
    planned = reading.planned(RunId(observed.run))
    ignore = desired.drift.ignore if desired.drift is not None else ()
    found = differences(planned, ignore, mendable=observed.mendable) if planned is not None else []
    for difference in found:
        yield _shown(stack, observed, difference)
    if not found and (planned is None or not (planned.changes or planned.drifted)):
        yield DriftJson(
            stack=str(stack.id),
            address=None,
            type=None,
            provider=None,
            difference="changed",
            attributes=[],
            run=observed.run,
            at=observed.at,
        )


def _shown(stack: StackState, observed: Observed, difference: Difference) -> DriftJson:
    return DriftJson(
        stack=str(stack.id),
        address=difference.address,
        type=difference.type,
        provider=difference.provider,
        difference=difference.kind,
        attributes=[AttributeJson(name=each.name, was=each.was, is_=each.now) for each in difference.attributes()],
        run=observed.run,
        at=observed.at,
    )
