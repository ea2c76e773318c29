"""The `http` backend of terraform and opentofu: tfstate with locks, for the token of a run only.

A stack of several units has a tfstate for each: `?unit=` says which.

Nothing here ever answers 404: the tool would take it for an empty tfstate, and create everything again.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, TypeVar

from pydantic import BaseModel, Field
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from reconciler.core.runs import RunId
from reconciler.runner.contract.job import WITH_TFSTATE
from reconciler.store.protocol import Transaction
from reconciler.store.queries import Reading
from reconciler.store.stored import TfstateLock, TfstateVersion
from reconciler.tokens import token_hash
from reconciler.web.api.auth import ports_of, shown_token, unauthorized
from reconciler.web.api.errors import ApiError
from reconciler.web.plain import PlainRoute
from reconciler.web.ports import Ports
from spaces.names import StackId

_LARGEST_TFSTATE = 256 * 1024 * 1024
_LARGEST_LOCK = 64 * 1024
_SHORT = 64 * 1024
"""Bytes of a body that are read before the token is looked at, as those of other requests are."""
LONGEST_UNIT = 1000
"""Characters in the path of a unit."""

_Answer = TypeVar("_Answer")


def tfstate_path(stack: StackId) -> str:
    """Return the path of a stack's tfstate on the service."""
    return f"/api/v1/tfstate/{stack.space}/{stack.name}"


async def read(request: Request) -> Response:
    """Return the newest tfstate; 204 if there is none yet."""

    def find(reading: Reading) -> Response:
        stack, _ = _open(reading, request)
        return _tfstate(reading.tfstate(stack, unit=_unit(request)))

    return await _reading(ports_of(request), find)


async def write(request: Request) -> Response:
    """Store the next version. The lock that is held must be the one in `?ID=`."""
    ports = ports_of(request)

    def check(reading: Reading) -> None:
        _open(reading, request)

    if not _is_short(request):
        # Who has no token sends nothing long; a short one is checked once, where it is stored.
        await _reading(ports, check)
    body = await read_body(request)
    _check_md5(request, body)
    _object(body, "tfstate")
    lock_id, unit = request.query_params.get("ID"), _unit(request)

    def store(transaction: Transaction) -> Response:
        stack, run = _open(transaction, request)
        found = transaction.run(RunId(run))
        if found is not None and found.proposes is not None:
            detail = "a plan of what nobody has merged writes no tfstate"
            raise ApiError(HTTPStatus.FORBIDDEN, "Forbidden", detail)
        held = transaction.tfstate_lock(stack, unit)
        if held is None and lock_id:
            raise ApiError(
                HTTPStatus.CONFLICT,
                "LockLost",
                f"the lock {lock_id[:80]} was released or taken over: run the command again",
            )
        if held is not None and held.lock_id != lock_id:
            return _locked(held)
        transaction.add_tfstate(stack, body, run, ports.now(), unit=unit)
        return Response(status_code=HTTPStatus.OK)

    return await _writing(ports, store)


async def lock(request: Request) -> Response:
    """Take the lock; 423 with the holder's own data if somebody else holds it.

    With `Prefer: return=representation` the response also contains the tfstate, which saves the next request.
    """
    ports, body, unit = ports_of(request), await _body(request, _LARGEST_LOCK), _unit(request)

    def take(transaction: Transaction) -> Response:
        stack, run = _open(transaction, request)
        info = _object(body, "lock")
        lock_id = info.get("ID")
        if not isinstance(lock_id, str) or not 0 < len(lock_id) <= 200:
            raise ApiError(HTTPStatus.BAD_REQUEST, "Invalid", "the lock has no ID")
        wanted = TfstateLock(stack, lock_id, info, run, ports.now(), unit)
        held = transaction.lock_tfstate(wanted)
        if held is not None and _is_left_over(transaction, held):
            transaction.unlock_tfstate(stack, held.lock_id, unit)
            held = transaction.lock_tfstate(wanted)
        if held is not None:
            return _locked(held)
        if request.headers.get("prefer") != WITH_TFSTATE:
            return Response(status_code=HTTPStatus.OK)
        answer = _tfstate(transaction.tfstate(stack, unit=unit))
        answer.headers["Preference-Applied"] = WITH_TFSTATE
        return answer

    return await _writing(ports, take)


async def unlock(request: Request) -> Response:
    """Release the lock; 409 with the holder's own data if somebody else holds it."""
    ports, body, unit = ports_of(request), await _body(request, _LARGEST_LOCK), _unit(request)

    def release(transaction: Transaction) -> Response:
        stack, run = _open(transaction, request)
        lock_id = _object(body, "lock").get("ID")
        if not isinstance(lock_id, str) or not lock_id:
            raise ApiError(HTTPStatus.BAD_REQUEST, "Invalid", "the lock has no ID")
        held = transaction.tfstate_lock(stack, unit)
        if held is not None and held.run != run:
            found = transaction.run(RunId(run))
            if found is not None and found.proposes is not None:
                # What nobody has merged may not take away the lock of somebody else, whose id it was told.
                return _locked(held, HTTPStatus.CONFLICT)
        if transaction.unlock_tfstate(stack, lock_id, unit):
            return Response(status_code=HTTPStatus.OK)
        held = transaction.tfstate_lock(stack, unit)
        return Response(status_code=HTTPStatus.OK) if held is None else _locked(held, HTTPStatus.CONFLICT)

    return await _writing(ports, release)


async def delete(request: Request) -> Response:
    """Refuse: every version is kept."""

    def check(reading: Reading) -> None:
        _open(reading, request)

    await _reading(ports_of(request), check)
    detail = "a tfstate cannot be deleted: every version is kept"
    raise ApiError(HTTPStatus.METHOD_NOT_ALLOWED, "NotDeleted", detail, headers={"Allow": "GET, POST, LOCK, UNLOCK"})


class _Query(BaseModel):
    """The parameters of all of these, read by each as it needs them."""

    unit: str
    lock: str = Field(alias="ID")


ROUTES = tuple(
    PlainRoute(method, "/{space}/{name}", endpoint, body="application/json", query=_Query)
    for method, endpoint in (("GET", read), ("POST", write), ("LOCK", lock), ("UNLOCK", unlock), ("DELETE", delete))
)


def install(app: Starlette, prefix: str) -> None:
    """Add the routes, behind those that answer first: so that what these do not take is refused, and not unknown."""
    for route in ROUTES:
        app.add_route(f"{prefix}/tfstate{route.path}", route.endpoint, [route.method], include_in_schema=False)


def _open(reading: Reading, request: Request) -> tuple[StackId, str]:
    """Return the (stack, run) that the caller's token gives access to.

    401 without one, 403 for another stack's token.
    """
    token = shown_token(request)
    opened = None if token is None else reading.token_stack(token_hash(token))
    if opened is None:
        raise unauthorized("the token of an active run is needed", "Basic")
    if str(opened[0]) != "{space}/{name}".format_map(request.path_params):
        raise ApiError(HTTPStatus.FORBIDDEN, "Forbidden", "this token belongs to a run of another stack")
    return opened


def _unit(request: Request) -> str:
    unit = request.query_params.get("unit", "")
    if len(unit) > LONGEST_UNIT or not unit.isprintable():
        raise ApiError(HTTPStatus.BAD_REQUEST, "Invalid", "that is not the name of a unit")
    return unit


def _tfstate(version: TfstateVersion | None) -> Response:
    if version is None:
        return Response(status_code=HTTPStatus.NO_CONTENT)
    md5 = base64.b64encode(hashlib.md5(version.body, usedforsecurity=False).digest()).decode()
    return Response(version.body, media_type="application/json", headers={"Content-MD5": md5})


def _is_left_over(reading: Reading, held: TfstateLock) -> bool:
    """Whether the holder's run has ended without releasing the lock. Its token is no longer valid."""
    if held.run is None:
        return False
    run = reading.run(RunId(held.run))
    return run is None or not run.is_active


def _locked(held: TfstateLock, status: HTTPStatus = HTTPStatus.LOCKED) -> Response:
    return JSONResponse(dict(held.info), int(status))


async def _reading(ports: Ports, question: Callable[[Reading], _Answer]) -> _Answer:
    def ask() -> _Answer:
        with ports.store.reading() as reading:
            return question(reading)

    return await run_in_threadpool(ask)


async def _writing(ports: Ports, change: Callable[[Transaction], _Answer]) -> _Answer:
    def change_in_transaction() -> _Answer:
        with ports.store.writing() as transaction:
            return change(transaction)

    return await run_in_threadpool(change_in_transaction)


async def read_body(request: Request) -> bytes:
    """Return the body of a request that writes a tfstate; raise 413 where it is too large."""
    return await _body(request, _LARGEST_TFSTATE)


async def _body(request: Request, limit: int) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise ApiError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "TooLarge", f"the tfstate is larger than {limit} bytes")
    return bytes(body)


def _is_short(request: Request) -> bool:
    length = request.headers.get("content-length", "")
    return length.isdecimal() and int(length) <= _SHORT


def _check_md5(request: Request, body: bytes) -> None:
    written = request.headers.get("content-md5")
    if written is None:
        return
    try:
        expected = base64.b64decode(written, validate=True)
    except binascii.Error:
        expected = b""
    if expected != hashlib.md5(body, usedforsecurity=False).digest():
        raise ApiError(HTTPStatus.BAD_REQUEST, "Corrupted", "the body does not match its Content-MD5")


def _object(body: bytes, what: str) -> dict[str, Any]:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise ApiError(HTTPStatus.BAD_REQUEST, "Invalid", f"the {what} is not a JSON object")
    return value
