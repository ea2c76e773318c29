"""Rollouts: which stacks of a revision wait for others, and letting a paused one go on."""

from __future__ import annotations

from collections.abc import Collection

from fastapi import APIRouter

from reconciler import rollouts
from reconciler.store.queries import Reading
from reconciler.web.api.auth import CallerIn, PortsIn, Right
from reconciler.web.api.errors import not_found
from reconciler.web.api.schemas.rollouts import RolloutJson
from reconciler.web.api.schemas.shapes import Page
from spaces.names import SpaceName

router = APIRouter(prefix="/rollouts", tags=["rollouts"])


@router.get("")
def list_rollouts(ports: PortsIn, caller: CallerIn) -> Page[RolloutJson]:
    """List the rollouts in which stacks wait, by space."""
    readable = caller.spaces(Right.RUN_READ)
    with ports.store.reading() as reading:
        found = rollouts_of(reading, readable)
    return Page[RolloutJson](items=found, next=None)


def rollouts_of(reading: Reading, readable: Collection[SpaceName] | None) -> list[RolloutJson]:
    """Return the rollouts in which stacks wait, of spaces whose runs somebody may read; None: all."""
    return [_json(each) for each in rollouts.under_way(reading) if readable is None or each.id.space in readable]


@router.post("/{space}/resume")
def resume_rollout(ports: PortsIn, caller: CallerIn, space: str) -> Page[RolloutJson]:
    """Let the paused rollouts of a space go on. The failures so far count no more."""
    name = SpaceName(space)
    caller.require(Right.RUN_TRIGGER, name, f"space {space}")
    if not ports.tree().exists(name):
        raise not_found(f"space {space}")
    because = caller.basis(Right.RUN_TRIGGER.action, name)
    done = rollouts.resume(ports.store, name, caller.person, ports.now(), because)
    ports.wake()
    return Page[RolloutJson](items=[_json(each) for each in done], next=None)


def _json(view: rollouts.RolloutView) -> RolloutJson:
    every, canaries = view.progress.every, view.progress.canaries
    return RolloutJson(
        space=view.id.space,
        revision=view.id.revision,
        paused=view.paused,
        stacks={part.value: count for part, count in sorted(every.items())},
        canaries={part.value: count for part, count in sorted(canaries.items())},
    )
