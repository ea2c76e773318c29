"""Tells an open page that something has changed; the page then asks for its parts anew, with the rights of that moment.

It says only that, and follows what the API's streams follow, so that one look serves all of them.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from starlette.concurrency import run_in_threadpool

from reconciler.core.runs import RunId
from reconciler.web.api import runs
from reconciler.web.api.auth import Caller, PortsIn, Right
from reconciler.web.api.events import ChangesTopic, LogTopic, Written, opened
from reconciler.web.pages.route import PageRoute
from reconciler.web.pages.viewer import NotSignedIn, ViewerIn, viewer_of
from reconciler.web.ports import Ports
from reconciler.web.streams import BEAT, HEARTBEAT, Beats, Streams, event
from spaces.names import SpaceName

router = APIRouter(prefix="/live", route_class=PageRoute)

_CHANGED, _LOG = event("changed", {}), event("log", {})


@router.get("")
async def follow(
    request: Request,
    ports: PortsIn,
    viewer: ViewerIn,
    *,
    run: Annotated[str, Query(max_length=40)] = "",
    offset: Annotated[int, Query(ge=0, le=2**40)] = 0,
) -> Response:
    """Follow what changes: events `changed`, and `log` when the log of a run is longer than the page has it."""
    caller = viewer.caller
    found = None
    if run:
        glanced, _ = await run_in_threadpool(runs.glance, ports, caller, run)
        found = glanced.id if glanced.is_active else None
    return await opened(_events(request, ports, caller, found, offset))


async def _events(
    request: Request, ports: Ports, caller: Caller, run: RunId | None, offset: int
) -> AsyncGenerator[bytes, None]:
    streams: Streams = request.app.state.streams
    whose = None if caller.access is None else caller.token or caller.person
    with contextlib.ExitStack() as following:
        changes = following.enter_context(streams.follow("changes", lambda: ChangesTopic(ports), whose))
        if changes.state is None:
            changes.state = await run_in_threadpool(changes.look, None)
        log = None
        if run is not None:
            log = following.enter_context(streams.follow(f"log {run}", lambda: LogTopic(ports, run), whose))
            await log.begin(offset)
        changes.start()
        followed = _Followed(changes, log, changes.state.last, log.state if log is not None else None)
        beats, able = Beats(), _able(caller)
        yield HEARTBEAT
        while not streams.closing:
            told = followed.news(able)
            for each in told:
                yield each
            if told:
                continue
            if beats.is_due():
                now = await run_in_threadpool(_still, request)
                if now is None:
                    return
                able = _able(now)
                yield HEARTBEAT
            await _any([each.next for each in (changes, log) if each is not None])


@dataclass(slots=True)
class _Followed:
    """What a page has been told of: the number of the last change, and the log as it was."""

    changes: ChangesTopic
    log: LogTopic | None
    seen: int
    written: Written | None

    def news(self, able: frozenset[SpaceName] | None) -> list[bytes]:
        """Return the events for what is new to somebody who may read the runs in these spaces (None: in all)."""
        told = []
        state = self.changes.state
        if state is not None and state.last > self.seen:
            if any(change.number > self.seen and change.is_for(able) for change in state.changes):
                told.append(_CHANGED)
            self.seen = state.last
        if self.log is not None and self.log.state is not self.written:
            self.written = self.log.state
            told.append(_LOG)
        return told


async def _any(events: list[asyncio.Event]) -> None:
    """Wait until one of them is set, or until the next beat is due."""
    waits = {asyncio.create_task(each.wait()) for each in events}
    try:
        await asyncio.wait(waits, timeout=BEAT, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for each in waits:
            each.cancel()


def _able(caller: Caller) -> frozenset[SpaceName] | None:
    return caller.spaces(Right.RUN_READ)


def _still(request: Request) -> Caller | None:
    """Return who follows; None once their session has ended."""
    try:
        return viewer_of(request).caller
    except NotSignedIn:
        return None
