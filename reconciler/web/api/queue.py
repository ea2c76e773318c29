"""What is at work, what waits in the queue, and why it has not started yet."""

from __future__ import annotations

from fastapi import APIRouter

from reconciler.core.queue import place_of
from reconciler.core.runs import AT_WORK, Run
from reconciler.web.api import convert
from reconciler.web.api.auth import CallerIn, PortsIn, Right
from reconciler.web.api.paging import PartIn, chosen_spaces, page
from reconciler.web.api.schemas.runs import PlaceJson, WorkersJson
from reconciler.web.api.schemas.shapes import Page
from reconciler.web.api.told import Told
from reconciler.web.api.waiting import Waiting
from reconciler.web.ports import Ports

router = APIRouter(tags=["runs"])


@router.get("/queue")
def list_queue(
    ports: PortsIn,
    caller: CallerIn,
    part: PartIn,
) -> Page[PlaceJson]:
    """List the runs at work, the oldest first, and behind them the queued ones: what is more urgent first.

    Spaces take turns, so one space's run may start before an older one of another space.
    """
    spaces = chosen_spaces(ports.tree(), caller, Right.RUN_READ, part)
    with ports.store.reading() as reading:
        found = reading.queue(spaces, part.cursor or "", part.limit + 1)
        waiting = Waiting.of(ports, reading, found)
    told, everything = Told.of(caller), caller.sees_everything

    def shown(run: Run) -> PlaceJson:
        return PlaceJson(
            **convert.run_json(run, told).model_dump(by_alias=False),
            at_work=run.status in AT_WORK,
            service=run.holder if everything else None,
            waits=waiting.why(run),
        )

    return page(found, part.limit, place_of, shown)


@router.get("/workers")
def list_workers(ports: PortsIn, caller: CallerIn) -> Page[WorkersJson]:
    """List the places for runs of this service; none to those who may not read everything."""
    return Page(items=_workers(ports) if caller.sees_everything else [])


def _workers(ports: Ports) -> list[WorkersJson]:
    counted = ports.workers()
    return [
        WorkersJson(
            pool=pool, service=ports.holder, busy=counted.get((pool, "busy"), 0), idle=counted.get((pool, "idle"), 0)
        )
        for pool in sorted({pool for pool, _ in counted})
    ]
