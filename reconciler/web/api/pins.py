"""Pins: a stack stays at an earlier revision of itself, and goes on with the branch again."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta

from fastapi import APIRouter

from reconciler import pins
from reconciler.core.keeping import StackPin
from reconciler.web.api.auth import Caller, CallerIn, PortsIn, Right
from reconciler.web.api.schemas.stacks import PinRequest, StackDetailJson, StackPinJson
from reconciler.web.api.stacks import named, shown_stack
from reconciler.web.api.told import refusals
from reconciler.web.ports import Ports
from spaces.model.durations import LONG, parse_duration
from spaces.names import StackId

router = APIRouter(prefix="/stacks/{space}/{name}", tags=["stacks"])

_PATIENCE = 5.0
"""How many seconds an answer waits for the service to take a pin in."""
_PAUSE = 0.05


@router.post("/pin")
def pin_stack(ports: PortsIn, caller: CallerIn, space: str, name: str, wanted: PinRequest) -> StackDetailJson:
    """Let a stack stay at what it was at a revision, or for a run: until somebody unpins it, or a commit changes it."""
    stack = named(caller, Right.STACK_PIN, space, name)
    duration = timedelta(seconds=parse_duration(wanted.duration, LONG)) if wanted.duration is not None else None
    run, because = ports.earlier(stack, wanted.at), caller.basis(Right.STACK_PIN.action, stack.space)
    with refusals(caller, stack):
        made = pins.pin(ports.store, stack, run, wanted.note, duration, caller.person, ports.now(), because)
    shown, taken = _taken_in(ports, caller, stack, made.is_same)
    told = StackPinJson.model_validate(made).model_copy(update={"in_force": taken})
    return shown.model_copy(update={"pin": told})


@router.post("/unpin")
def unpin_stack(ports: PortsIn, caller: CallerIn, space: str, name: str) -> StackDetailJson:
    """End the pin of a stack: what the branch says of it is desired again."""
    stack = named(caller, Right.STACK_PIN, space, name)
    with refusals(caller, stack):
        because = caller.basis(Right.STACK_PIN.action, stack.space)
        pins.unpin(ports.store, stack, caller.person, ports.now(), because)
    return _taken_in(ports, caller, stack, lambda here: here is None)[0]


def _taken_in(
    ports: Ports, caller: Caller, stack: StackId, suits: Callable[[StackPin | None], bool]
) -> tuple[StackDetailJson, bool]:
    """Return the stack once the loop has taken its pin in, or as it is where that takes long or nothing runs here."""
    ports.wake()
    end = time.monotonic() + (_PATIENCE if ports.judges else 0)
    while True:
        with ports.store.reading() as reading:
            state = reading.stack(stack)
            taken = state is None or state.desired is None or suits(state.desired.pin)
            if state is not None and (taken or time.monotonic() >= end):
                return shown_stack(ports, reading, caller, state), taken
        time.sleep(_PAUSE)
