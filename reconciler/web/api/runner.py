"""The runner API: what workers on other machines ask. They call the service, which never has to reach them.

A worker waits for work with a token of the API, of whoever has `pool:work` in the pool's space. With a leg it gets a
token that opens that leg, and nothing else: `runner_legs` has what is asked with that.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from functools import partial
from http import HTTPStatus
from typing import TypeVar

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from reconciler.core.runs import RunId
from reconciler.engine.ends import LegId
from reconciler.engine.pull import PullEngine
from reconciler.engine.roster import Presence
from reconciler.version import __version__
from reconciler.web.api import runner_legs as legs
from reconciler.web.api.auth import Right, authenticate, ports_of
from reconciler.web.api.crowd import crowd_of
from reconciler.web.api.errors import ApiError, not_found
from reconciler.web.api.runner_legs import another_has, door_of
from reconciler.web.api.schemas.runner import (
    BeatJson,
    ClaimBody,
    ClaimJson,
    EndedJson,
    HelloBody,
    HelloJson,
    LegJson,
    LogQuery,
    SizeJson,
    TakeQuery,
    WantedBody,
)
from reconciler.web.plain import PlainRoute, json_of, read_json
from reconciler.web.ports import Ports
from spaces.effective.pools import pools
from spaces.model.pool import WITH_WORKERS, EngineName
from spaces.names import SpaceName

PREFIX = "/api/runner/v1"

_Body = TypeVar("_Body", bound=HelloBody)

_WAIT = 25.0
"""How many seconds a worker waits for work before it has to ask again."""
_LOOK = 1.0
"""After how many seconds a worker that was not called looks for itself: an offer may have become free again."""


async def claim_leg(request: Request) -> Response:
    """Wait for a leg to do, up to 25 seconds."""
    ports, data = ports_of(request), await request.body()
    body, pool, engine, over = await _admitted(request, ports, data, ClaimBody)
    if (engine is EngineName.PULL) != (body.wanted is None):
        raise _other_engine(pool, engine)
    if over:
        return json_of(ClaimJson(leg=None, over=over))
    if body.wanted is not None:
        return json_of(await run_in_threadpool(_claim_wanted, ports, pool, body, body.wanted))
    return json_of(await _wait_for_leg(request, door_of(ports).engine, pool, body))


async def _wait_for_leg(request: Request, engine: PullEngine, pool: str, body: ClaimBody) -> ClaimJson:
    called, soon = asyncio.Event(), asyncio.get_running_loop().call_soon_threadsafe

    def call() -> None:
        with suppress(RuntimeError):
            # The server may have ended meanwhile, and everybody who waits at it.
            soon(called.set)

    question = engine.ask(pool, body.worker, _presence(body), call)
    end = time.monotonic() + _WAIT
    try:
        while time.monotonic() < end and not engine.closed:
            called.clear()
            question.called = False
            offered = engine.answer(pool, body.worker)
            if offered is not None:
                return _offered(*offered)
            with suppress(TimeoutError):
                await asyncio.wait_for(called.wait(), _LOOK)
            if not called.is_set() and await request.is_disconnected():
                break
    finally:
        engine.hang_up(pool, question)
    return ClaimJson(leg=None, over=[])


async def greet(request: Request) -> Response:
    """Say that a worker is there, and learn how it gets its work."""
    ports, data = ports_of(request), await request.body()
    body, pool, engine, over = await _admitted(request, ports, data, HelloBody)
    pulling = door_of(ports).engine
    if engine is EngineName.CELERY:
        pulling.hear(pool, body.worker, _presence(body, by_message=True))
    return json_of(HelloJson(engine=engine, again=pulling.lease / 6, over=over))


_Admitted = tuple[_Body, str, EngineName, list[str]]


async def _admitted(request: Request, ports: Ports, data: bytes, shape: type[_Body]) -> _Admitted[_Body]:
    return await crowd_of(request).admit(partial(_admit, request, ports, data, shape))


def _admit(request: Request, ports: Ports, data: bytes, shape: type[_Body]) -> _Admitted[_Body]:
    """Return what a worker says, the name and the engine of its pool, and which of the runs that it kept are over.

    Refuse who may not work for it, or is of another version.
    """
    caller, body = authenticate(request), read_json(data, shape)
    space, name = request.path_params["space"], request.path_params["name"]
    door_of(ports)
    pool = f"{space}/{name}"
    caller.require(Right.POOL_WORK, SpaceName(space), f"pool {pool}")
    found = pools(ports.documents()).get(pool)
    if found is None or found.engine not in WITH_WORKERS:
        raise not_found(f"pool {pool} that has workers")
    if body.version != __version__:
        detail = f"the service has version {__version__}, and this worker {body.version}: install the same"
        raise ApiError(HTTPStatus.CONFLICT, "OtherVersion", detail)
    return body, pool, found.engine, _over(ports, body.kept) if body.kept else []


def _other_engine(pool: str, engine: EngineName) -> ApiError:
    detail = f"the engine of the pool {pool} is {engine} by now: start the worker again"
    return ApiError(HTTPStatus.CONFLICT, "OtherEngine", detail)


def _presence(body: HelloBody, *, by_message: bool = False) -> Presence:
    return Presence(body.version, body.places, body.tools, by_message)


def _claim_wanted(ports: Ports, pool: str, body: ClaimBody, wanted: WantedBody) -> ClaimJson:
    """Offer the leg that a message named, if nobody has it: the message may come twice, or a day late."""
    engine = door_of(ports).engine
    engine.hear(pool, body.worker, _presence(body, by_message=True))
    which = LegId(wanted.run, wanted.attempt, wanted.leg)
    offered = engine.answer(pool, body.worker, which)
    if offered is not None:
        return _offered(*offered)
    # Services on one database share the queue of a pool, and a worker may speak to another one of them.
    elsewhere = engine.waits(pool, which) or another_has(ports, wanted.run, wanted.attempt)
    return ClaimJson(leg=None, over=[], elsewhere=elsewhere)


def _offered(token: str, which: LegId) -> ClaimJson:
    leg = LegJson(token=token, run=which.run, attempt=which.attempt, leg=which.leg)
    return ClaimJson(leg=leg, over=[])


def _over(ports: Ports, kept: list[str]) -> list[str]:
    with ports.store.glance() as reading:
        found = reading.runs_by_id([RunId(name) for name in kept])
    return [name for name in kept if (run := found.get(RunId(name))) is None or not run.is_active]


_BYTES, _TAR, _JSON = "application/octet-stream", "application/x-tar", "application/json"

ROUTES = (
    PlainRoute("POST", "/pools/{space}/{name}/claim", claim_leg, ClaimJson, body=ClaimBody),
    PlainRoute("POST", "/pools/{space}/{name}/hello", greet, HelloJson, body=HelloBody),
    PlainRoute("POST", "/leg/take", legs.take_leg, query=TakeQuery),
    PlainRoute("GET", "/leg/tree", legs.get_tree),
    PlainRoute("PUT", "/leg/saved", legs.save_plan, SizeJson, body=_TAR),
    PlainRoute("POST", "/leg/beat", legs.beat, BeatJson),
    PlainRoute("POST", "/leg/log", legs.append_log, SizeJson, body=_BYTES, query=LogQuery),
    PlainRoute("POST", "/leg/end", legs.end_leg, EndedJson, body=_JSON),
)
