"""The runner API: what workers on other machines ask. They call the service, which never has to reach them.

A worker waits for work with a token of the API, of whoever has `pool:work` in the pool's space. With a leg it gets a
token that opens that leg of that attempt for as long as it is at work, and nothing else: what it is to do, once; its
work directory; and what the worker says of it. Every answer is fenced: the store must still have that attempt at work.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from http import HTTPStatus
from typing import Annotated, TypeVar

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import FileResponse
from pydantic import TypeAdapter
from starlette.concurrency import run_in_threadpool

from reconciler.core.phases import Leg
from reconciler.core.runs import RunId, RunStatus
from reconciler.engine.ends import LegId
from reconciler.engine.handout import Handout, LegRefused
from reconciler.engine.pull import PullEngine
from reconciler.engine.roster import Presence
from reconciler.runner.contract.job import LegReport
from reconciler.runner.contract.records import report_from_data
from reconciler.tools.files import strict_json
from reconciler.version import __version__
from reconciler.web.api.auth import Caller, CallerIn, PortsIn, Right, shown_token, unauthorized
from reconciler.web.api.errors import ApiError, not_found
from reconciler.web.api.schemas.runner import (
    BeatJson,
    ClaimBody,
    ClaimJson,
    EndedJson,
    HelloBody,
    HelloJson,
    LegJson,
    RestBody,
    SizeJson,
    WantedBody,
    WorkerName,
)
from reconciler.web.ports import Ports, RunnerDoor
from spaces.effective.pools import pools
from spaces.model.pool import WITH_WORKERS, EngineName
from spaces.names import SpaceName

PREFIX = "/api/runner/v1"

router = APIRouter(tags=["runner"])

_WAIT = 25.0
"""How many seconds a worker waits for work before it has to ask again."""
_LOOK = 1.0
"""After how many seconds a worker that was not called looks for itself: an offer may have become free again."""
_LARGEST_PIECE = 1024 * 1024
_LARGEST_REPORT = 64 * 1024 * 1024
LARGEST_SAVED = 2 * 1024**3
"""How many bytes a plan may leave to its apply. The work directory with the providers in it counts."""
_STATUSES = {Leg.PLAN: RunStatus.PLANNING, Leg.APPLY: RunStatus.APPLYING}

_REPORTS = TypeAdapter(LegReport)
_RUN = re.compile(r"[0-9a-z]{26}")
_MOST_DIGITS = 10
_REASON = re.compile(r"[A-Z][A-Za-z]{0,63}")

_FENCED = 1.0
"""For how many seconds what the store said of a leg counts: a lost lease is noticed far later than that anyway."""

_Answer = TypeVar("_Answer")


@router.post("/pools/{space}/{name}/claim")
async def claim_leg(  # noqa: PLR0917
    request: Request, ports: PortsIn, caller: CallerIn, space: str, name: str, body: ClaimBody
) -> ClaimJson:
    """Wait for a leg to do, up to 25 seconds."""
    door, pool = _door(ports), f"{space}/{name}"
    engine = _admit(ports, caller, space, name, body)
    if (engine is EngineName.PULL) != (body.wanted is None):
        raise _other_engine(pool, engine)
    over = await run_in_threadpool(_over, ports, body.kept) if body.kept else []
    if over:
        return ClaimJson(leg=None, over=over)
    if body.wanted is not None:
        return await run_in_threadpool(_claim_wanted, ports, pool, body, body.wanted)
    called, soon = asyncio.Event(), asyncio.get_running_loop().call_soon_threadsafe

    def call() -> None:
        with suppress(RuntimeError):
            # The server may have ended meanwhile, and everybody who waits at it.
            soon(called.set)

    question = door.engine.ask(pool, body.worker, _presence(body), call)
    end = time.monotonic() + _WAIT
    try:
        while time.monotonic() < end and not door.engine.closed:
            called.clear()
            question.called = False
            offered = door.engine.answer(pool, body.worker)
            if offered is not None:
                return _offered(*offered)
            with suppress(TimeoutError):
                await asyncio.wait_for(called.wait(), _LOOK)
            if not called.is_set() and await request.is_disconnected():
                break
    finally:
        door.engine.hang_up(pool, question)
    return ClaimJson(leg=None, over=[])


@router.post("/pools/{space}/{name}/hello")
def greet(ports: PortsIn, caller: CallerIn, space: str, name: str, body: HelloBody) -> HelloJson:
    """Say that a worker is there, and learn how it gets its work."""
    door, pool = _door(ports), f"{space}/{name}"
    engine = _admit(ports, caller, space, name, body)
    if engine is EngineName.CELERY:
        door.engine.hear(pool, body.worker, _presence(body, by_message=True))
    return HelloJson(engine=engine, again=door.engine.lease / 6, over=_over(ports, body.kept))


def _admit(ports: Ports, caller: Caller, space: str, name: str, body: HelloBody) -> EngineName:
    """Return the engine of a pool that has workers; refuse who may not work for it, or is of another version."""
    pool = f"{space}/{name}"
    caller.require(Right.POOL_WORK, SpaceName(space), f"pool {pool}")
    found = pools(ports.documents()).get(pool)
    if found is None or found.engine not in WITH_WORKERS:
        raise not_found(f"pool {pool} that has workers")
    if body.version != __version__:
        detail = f"the service has version {__version__}, and this worker {body.version}: install the same"
        raise ApiError(HTTPStatus.CONFLICT, "OtherVersion", detail)
    return found.engine


def _other_engine(pool: str, engine: EngineName) -> ApiError:
    detail = f"the engine of the pool {pool} is {engine} by now: start the worker again"
    return ApiError(HTTPStatus.CONFLICT, "OtherEngine", detail)


def _presence(body: HelloBody, *, by_message: bool = False) -> Presence:
    return Presence(body.version, body.places, body.tools, by_message)


def _claim_wanted(ports: Ports, pool: str, body: ClaimBody, wanted: WantedBody) -> ClaimJson:
    """Offer the leg that a message named, if nobody has it: the message may come twice, or a day late."""
    engine = _door(ports).engine
    engine.hear(pool, body.worker, _presence(body, by_message=True))
    which = LegId(wanted.run, wanted.attempt, wanted.leg)
    offered = engine.answer(pool, body.worker, which)
    if offered is not None:
        return _offered(*offered)
    # Services on one database share the queue of a pool, and a worker may speak to another one of them.
    elsewhere = engine.waits(pool, which) or _another_has(ports, wanted.run, wanted.attempt)
    return ClaimJson(leg=None, over=[], elsewhere=elsewhere)


def _offered(token: str, which: LegId) -> ClaimJson:
    leg = LegJson(token=token, run=which.run, attempt=which.attempt, leg=which.leg)
    return ClaimJson(leg=leg, over=[])


@router.post("/leg/take", response_class=Response)
def take_leg(
    request: Request, ports: PortsIn, worker: Annotated[WorkerName, Query()], *, fresh: bool = False
) -> Response:
    """Take the leg up, and get what it is to do with its secrets: once, whoever asks again.

    `fresh`: a new token comes in the header Station-Token, and the one that was shown opens nothing any more.
    """
    order, token = _leg(request, ports, lambda engine, leg: engine.take(leg, worker, fresh=fresh), anew=True)
    return Response(order, media_type="application/json", headers={} if token is None else {"Station-Token": token})


@router.get("/leg/tree", response_class=Response)
def get_tree(request: Request, ports: PortsIn) -> Response:
    """Get what the leg begins with, as a tar file; 204 for an apply whose plan is only where it was made."""
    path = _leg(request, ports, lambda engine, leg: engine.tree(leg))
    if not path.is_file():
        return Response(status_code=HTTPStatus.NO_CONTENT)
    if path.stat().st_size <= _LARGEST_PIECE:
        # In one piece: a file that is sent piece by piece takes a thread for each.
        return Response(path.read_bytes(), media_type="application/x-tar")
    return FileResponse(path, media_type="application/x-tar")


@router.put("/leg/saved", openapi_extra={"requestBody": {"content": {"application/x-tar": {}}, "required": True}})
async def save_plan(request: Request, ports: PortsIn) -> SizeJson:
    """Send what a plan with changes leaves to its apply, as a tar file, before its end is sent."""
    with await run_in_threadpool(_leg, request, ports, lambda engine, leg: engine.saving(leg)) as saving:
        try:
            async for piece in _pieces(request):
                await run_in_threadpool(saving.add, piece)
                if saving.size > LARGEST_SAVED:
                    raise _too_large(LARGEST_SAVED)
            await run_in_threadpool(_leg, request, ports, lambda engine, leg: engine.saved(leg, saving))
        except OSError as error:
            detail = f"the service cannot keep the saved plan: {error.strerror}"
            raise ApiError(HTTPStatus.INSUFFICIENT_STORAGE, "DiskFull", detail) from None
        return SizeJson(size=saving.size)


async def _pieces(request: Request) -> AsyncIterator[bytes]:
    """Yield the body in pieces that are worth a thread each."""
    piece = bytearray()
    async for chunk in request.stream():
        piece += chunk
        if len(piece) >= _LARGEST_PIECE:
            yield bytes(piece)
            piece.clear()
    yield bytes(piece)


@router.post("/leg/beat")
def beat(request: Request, ports: PortsIn) -> BeatJson:
    """Keep the leg, and learn whether to stop."""
    return BeatJson.model_validate(_leg(request, ports, lambda engine, leg: engine.beat(leg)))


_RAW = {"requestBody": {"content": {"application/octet-stream": {}}, "required": True}}
_REPORT = {"requestBody": {"content": {"application/json": {}}, "required": True}}


@router.post("/leg/log", openapi_extra=_RAW)
async def append_log(request: Request, ports: PortsIn, offset: Annotated[int, Query(ge=0)]) -> SizeJson:
    """Append a piece of the run's log that begins at `offset`; what is there already is left out."""
    data, limit = await _body(request, ports, _LARGEST_PIECE), _longest_log(ports)
    size = await run_in_threadpool(_leg, request, ports, lambda engine, leg: engine.log(leg, offset, data, limit))
    return SizeJson(size=size)


def _longest_log(ports: Ports) -> int:
    # Two legs, each with its head and its end, and what is said of what was left out between them.
    return 2 * _door(ports).log_limit + _LARGEST_PIECE


@router.post("/leg/end", openapi_extra=_REPORT)
async def end_leg(request: Request, ports: PortsIn) -> EndedJson:
    """Say how the leg ended. The token opens nothing any more after that.

    In `log` may be the rest of the log: `offset`, where it begins, and `base64`, its bytes.
    """
    data, limit = await _body(request, ports, _LARGEST_REPORT), _longest_log(ports)

    def end(engine: PullEngine, leg: Handout) -> None:
        # It is read in the thread, too: a large one takes seconds.
        report, rest = _report(data)
        engine.end(leg, report, lambda: None if rest is None else engine.log(leg, rest.offset, rest.base64, limit))

    await run_in_threadpool(partial(_leg, request, ports, end, anew=True))
    return EndedJson(recorded=True)


def _leg(
    request: Request, ports: Ports, then: Callable[[PullEngine, Handout], _Answer], *, anew: bool = False
) -> _Answer:
    """Do something with the leg that the caller's token opens, if that is still at work; the store is asked `anew`."""
    engine, token = _door(ports).engine, shown_token(request)
    if token is None:
        raise unauthorized("the token of a leg is needed", "Bearer")
    try:
        leg = engine.authorise(token)
        if anew or time.monotonic() - leg.fenced > _FENCED:
            _fence(ports, leg)
            leg.fenced = time.monotonic()
        return then(engine, leg)
    except LegRefused as refused:
        if _is_elsewhere(ports, token):
            detail = "another service has this leg: ask that one, or again where a proxy stands in front of several"
            raise ApiError(HTTPStatus.MISDIRECTED_REQUEST, "OtherService", detail) from None
        raise ApiError(HTTPStatus.GONE, "LegLost", str(refused)) from None


def _is_elsewhere(ports: Ports, token: str) -> bool:
    """Whether a token is for an attempt that another service on the database has at work."""
    run, attempt, *_ = [*token.split("."), ""]
    if not (_RUN.fullmatch(run) and attempt.isdecimal() and len(attempt) < _MOST_DIGITS):
        return False
    return _another_has(ports, run, int(attempt))


def _another_has(ports: Ports, run: str, attempt: int) -> bool:
    """Whether another service on the database has an attempt at work."""
    with ports.store.glance() as reading:
        found = reading.run(RunId(run))
    mine = found is None or found.holder in {None, ports.holder}
    return not mine and found is not None and found.attempt == attempt and found.status in _STATUSES.values()


def _fence(ports: Ports, leg: Handout) -> None:
    """Refuse a leg that the store has not at work any more."""
    which = leg.which
    with ports.store.glance() as reading:
        run = reading.run(RunId(which.run))
    if run is None or (run.attempt, run.status) != (which.attempt, _STATUSES[which.leg]):
        raise LegRefused("the run goes on without this leg, or has ended")


def _report(data: bytes) -> tuple[LegReport, RestBody | None]:
    """Read a report, every value of it checked: it comes from another machine, and goes into what people are shown.

    Numbers that are infinite or none, and halves of surrogate pairs, would stop whoever records the run or lists it.
    """
    try:
        known, said = strict_json(data.decode())
        if known and isinstance(said, dict):
            rest = said.pop("log", None)
            report = _REPORTS.validate_python(asdict(report_from_data(said)))
            if _REASON.fullmatch(report.reason) and min(report.phase_seconds.values(), default=0) >= 0:
                return report, None if rest is None else RestBody.model_validate(rest)
    except (KeyError, TypeError, ValueError, RecursionError):
        pass
    raise ApiError(HTTPStatus.BAD_REQUEST, "Invalid", "this is no report about a leg")


def _over(ports: Ports, kept: list[str]) -> list[str]:
    with ports.store.glance() as reading:
        found = reading.runs_by_id([RunId(name) for name in kept])
    return [name for name in kept if (run := found.get(RunId(name))) is None or not run.is_active]


def _door(ports: Ports) -> RunnerDoor:
    if ports.runner is None:
        raise not_found("work for workers: no service runs here")
    return ports.runner


async def _body(request: Request, ports: Ports, limit: int) -> bytes:
    """Return the body of a request whose token opens a leg: nobody else makes the service hold so much."""
    try:
        _door(ports).engine.authorise(shown_token(request) or "")
    except LegRefused:
        # What is wrong with it takes a look into the store.
        await run_in_threadpool(_leg, request, ports, lambda _engine, _leg: None)
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise _too_large(limit)
    return bytes(body)


def _too_large(limit: int) -> ApiError:
    detail = f"the request is larger than {limit} bytes"
    return ApiError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "TooLarge", detail)
