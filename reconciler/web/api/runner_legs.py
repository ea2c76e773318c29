"""What a worker asks about a leg, with the token that opens it for as long as that attempt is at work.

It gets what it is to do, once, and its work directory, and says what becomes of it. Every answer is fenced: the store
must still have that attempt at work.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import AsyncIterator, Callable
from dataclasses import fields, is_dataclass
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, Response

from reconciler.core.phases import Leg
from reconciler.core.runs import RunId
from reconciler.engine.handout import Handout, LegRefused
from reconciler.engine.pull import PullEngine
from reconciler.runner.contract.job import WITH_TREE, LegReport
from reconciler.runner.contract.records import report_from_data
from reconciler.tools.files import strict_json
from reconciler.web.api.auth import ports_of, shown_token, unauthorized
from reconciler.web.api.crowd import STATUSES, crowd_of
from reconciler.web.api.errors import ApiError, not_found
from reconciler.web.api.schemas.runner import BeatJson, EndedJson, LogQuery, RestBody, SizeJson, TakeQuery
from reconciler.web.plain import json_of, read_query
from reconciler.web.ports import Ports, RunnerDoor

_LARGEST_PIECE = 1024 * 1024
_SMALL_TREE = 256 * 1024
_LARGEST_REPORT = 64 * 1024 * 1024
LARGEST_SAVED = 2 * 1024**3
"""How many bytes a plan may leave to its apply. The work directory with the providers in it counts."""

_REPORTS = TypeAdapter(LegReport)
_RUN = re.compile(r"[0-9a-z]{26}")
_MOST_DIGITS = 10
_REASON = re.compile(r"[A-Z][A-Za-z]{0,63}")

_Answer = TypeVar("_Answer")


async def take_leg(request: Request) -> Response:
    """Take the leg up, and get what it is to do with its secrets: once, whoever asks again.

    `fresh`: a new token comes in the header Station-Token, and the one that was shown opens nothing any more. With
    `Prefer: tree` the answer also has what a plan begins with as `tree`, in base64, if it is small.
    """
    asked, with_tree = read_query(request, TakeQuery), request.headers.get("prefer") == WITH_TREE

    def take(engine: PullEngine, leg: Handout) -> tuple[bytes, str | None]:
        order, token = engine.take(leg, asked.worker, fresh=asked.fresh)
        tree = _small(engine.tree(leg)) if with_tree and leg.which.leg is Leg.PLAN else None
        return order if tree is None else b'{"tree":"%s",%s' % (b64encode(tree), order.removeprefix(b"{")), token

    # That an apply was taken up is brought to the disk.
    order, token = await _with_leg(request, take, anew=True, slow=lambda leg: leg.which.leg is Leg.APPLY)
    return Response(order, media_type="application/json", headers={} if token is None else {"Station-Token": token})


def _small(path: Path) -> bytes | None:
    """Return what is in a file; None: it is not there, or too large to come with something else."""
    try:
        return path.read_bytes() if path.stat().st_size <= _SMALL_TREE else None
    except OSError:
        return None


async def get_tree(request: Request) -> Response:
    """Get what the leg begins with, as a tar file; 204 for an apply whose plan is only where it was made."""
    return await _with_leg(request, _tree)


def _tree(engine: PullEngine, leg: Handout) -> Response:
    path = engine.tree(leg)
    if not path.is_file():
        return Response(status_code=HTTPStatus.NO_CONTENT)
    if path.stat().st_size <= _LARGEST_PIECE:
        # In one piece: a file that is sent piece by piece takes a thread for each.
        return Response(path.read_bytes(), media_type="application/x-tar")
    return FileResponse(path, media_type="application/x-tar")


async def save_plan(request: Request) -> Response:
    """Send what a plan with changes leaves to its apply, as a tar file, before its end is sent."""
    with await _with_leg(request, lambda engine, leg: engine.saving(leg)) as saving:
        try:
            async for piece in _pieces(request):
                await run_in_threadpool(saving.add, piece)
                if saving.size > LARGEST_SAVED:
                    raise _too_large(LARGEST_SAVED)
            await _with_leg(request, lambda engine, leg: engine.saved(leg, saving), slow=_always)
        except OSError as error:
            detail = f"the service cannot keep the saved plan: {error.strerror}"
            raise ApiError(HTTPStatus.INSUFFICIENT_STORAGE, "DiskFull", detail) from None
        return json_of(SizeJson(size=saving.size))


async def _pieces(request: Request) -> AsyncIterator[bytes]:
    """Yield the body in pieces that are worth a thread each."""
    piece = bytearray()
    async for chunk in request.stream():
        piece += chunk
        if len(piece) >= _LARGEST_PIECE:
            yield bytes(piece)
            piece.clear()
    yield bytes(piece)


async def beat(request: Request) -> Response:
    """Keep the leg, and learn whether to stop."""
    said = await _with_leg(request, lambda engine, leg: engine.beat(leg))
    return json_of(BeatJson.model_validate(said))


async def append_log(request: Request) -> Response:
    """Append a piece of the run's log that begins at `offset`; what is there already is left out."""
    ports, offset = ports_of(request), read_query(request, LogQuery).offset
    data, limit = await _body(request, _LARGEST_PIECE), _longest_log(ports)
    size = await _with_leg(request, lambda engine, leg: engine.log(leg, offset, data, limit))
    return json_of(SizeJson(size=size))


def _longest_log(ports: Ports) -> int:
    # Two legs, each with its head and its end, and what is said of what was left out between them.
    return 2 * door_of(ports).log_limit + _LARGEST_PIECE


async def end_leg(request: Request) -> Response:
    """Say how the leg ended. The token opens nothing any more after that.

    In `log` may be the rest of the log: `offset`, where it begins, and `base64`, its bytes.
    """
    data, limit = await _body(request, _LARGEST_REPORT), _longest_log(ports_of(request))

    def end(engine: PullEngine, leg: Handout) -> None:
        report, rest = _report(data)
        engine.end(leg, report, lambda: None if rest is None else engine.log(leg, rest.offset, rest.base64, limit))

    # To read a large report takes seconds.
    await _with_leg(request, end, anew=True, slow=lambda _leg: len(data) > _LARGEST_PIECE)
    return json_of(EndedJson(recorded=True))


async def _with_leg(
    request: Request,
    then: Callable[[PullEngine, Handout], _Answer],
    *,
    anew: bool = False,
    slow: Callable[[Handout], bool] = lambda _leg: False,
) -> _Answer:
    """Do something in a thread with the leg that the caller's token opens, if that is still at work.

    The store is asked that `anew`, or where it was not lately. What is `slow` keeps nobody else waiting.
    """
    ports, token, crowd = ports_of(request), shown_token(request), crowd_of(request)
    engine = door_of(ports).engine
    if token is None:
        raise unauthorized("the token of a leg is needed", "Bearer")
    try:
        leg = engine.authorise(token)
        piece = partial(then, engine, leg)
        if not slow(leg):
            return await crowd.work(leg, piece, anew=anew)
        await crowd.work(leg, _nothing, anew=anew)
        return await run_in_threadpool(piece)
    except LegRefused as refused:
        raise await run_in_threadpool(_refusal, ports, token, refused) from None


def _nothing() -> None:
    pass


def _always(_leg: Handout) -> bool:
    return True


def _refusal(ports: Ports, token: str, refused: LegRefused) -> ApiError:
    """Return the error for a leg that its token does not open any more."""
    if _is_elsewhere(ports, token):
        detail = "another service has this leg: ask that one, or again where a proxy stands in front of several"
        return ApiError(HTTPStatus.MISDIRECTED_REQUEST, "OtherService", detail)
    return ApiError(HTTPStatus.GONE, "LegLost", str(refused))


def _is_elsewhere(ports: Ports, token: str) -> bool:
    """Whether a token is for an attempt that another service on the database has at work."""
    run, attempt, *_ = [*token.split("."), ""]
    if not (_RUN.fullmatch(run) and attempt.isdecimal() and len(attempt) < _MOST_DIGITS):
        return False
    return another_has(ports, run, int(attempt))


def another_has(ports: Ports, run: str, attempt: int) -> bool:
    """Whether another service on the database has an attempt at work."""
    with ports.store.glance() as reading:
        found = reading.run(RunId(run))
    mine = found is None or found.holder in {None, ports.holder}
    return not mine and found is not None and found.attempt == attempt and found.status in STATUSES.values()


def _report(data: bytes) -> tuple[LegReport, RestBody | None]:
    """Read a report, every value of it checked: it comes from another machine, and goes into what people are shown.

    Numbers that are infinite or none, and halves of surrogate pairs, would stop whoever records the run or lists it.
    """
    try:
        known, said = strict_json(data.decode())
        if known and isinstance(said, dict):
            rest = said.pop("log", None)
            report = _REPORTS.validate_python(_fields(report_from_data(said)))
            if _REASON.fullmatch(report.reason) and min(report.phase_seconds.values(), default=0) >= 0:
                return report, None if rest is None else RestBody.model_validate(rest)
    except (KeyError, TypeError, ValueError, RecursionError):
        pass
    raise ApiError(HTTPStatus.BAD_REQUEST, "Invalid", "this is no report about a leg")


def _fields(value: Any) -> Any:
    """Return a record as its fields, and so those in it. `asdict` would copy all their values, too."""
    if is_dataclass(value):
        return {field.name: _fields(getattr(value, field.name)) for field in fields(value)}
    return [*map(_fields, value)] if isinstance(value, tuple) else value


def door_of(ports: Ports) -> RunnerDoor:
    """Return the engine for workers; 404 where no service runs."""
    if ports.runner is None:
        raise not_found("work for workers: no service runs here")
    return ports.runner


async def _body(request: Request, limit: int) -> bytes:
    """Return the body of a request whose token opens a leg: nobody else makes the service hold so much."""
    try:
        door_of(ports_of(request)).engine.authorise(shown_token(request) or "")
    except LegRefused:
        # What is wrong with it takes a look into the store.
        await _with_leg(request, lambda _engine, _leg: None)
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise _too_large(limit)
    return bytes(body)


def _too_large(limit: int) -> ApiError:
    detail = f"the request is larger than {limit} bytes"
    return ApiError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "TooLarge", detail)
