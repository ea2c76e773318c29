"""The tfstates that the service keeps: list versions, read and write them, go back to one, release a lock."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response
from starlette.concurrency import run_in_threadpool

from reconciler import tfstates
from reconciler.store.stored import TfstateVersion
from reconciler.web.api.auth import CallerIn, PortsIn, Right
from reconciler.web.api.interrupted import lock_json, tfstate_json
from reconciler.web.api.paging import CursorIn, LimitIn, of_number, page
from reconciler.web.api.schemas.shapes import Page
from reconciler.web.api.schemas.tfstates import TfstateJson, TfstateLockJson, TfstateVersionJson
from reconciler.web.api.stacks import find_stack, named
from reconciler.web.api.tfstate import LONGEST_UNIT, read_body
from reconciler.web.api.told import refusals

router = APIRouter(prefix="/tfstates/{space}/{name}", tags=["tfstates"])

VersionIn = Annotated[int, Path(ge=1, le=2**31 - 1)]
UnitIn = Annotated[str, Query(max_length=LONGEST_UNIT, description="The unit, where the stack has a tfstate for each.")]
NoteIn = Annotated[str, Query(max_length=2000, description="Why, for those who read it later.")]


@router.get("")
def get_tfstate(ports: PortsIn, caller: CallerIn, space: str, name: str, unit: UnitIn = "") -> TfstateJson:
    """Return the newest version of a stack's tfstate, without its content, and its lock."""
    with ports.store.reading() as reading:
        stack = find_stack(reading, caller, space, name).id
        newest, lock = reading.tfstate_versions(stack, None, 1, unit), reading.tfstate_lock(stack, unit)
    return tfstate_json(newest[0] if newest else None, lock)


@router.get("/versions")
def list_tfstates(  # noqa: PLR0917
    ports: PortsIn, caller: CallerIn, space: str, name: str, limit: LimitIn = 100, cursor: CursorIn = None
) -> Page[TfstateVersionJson]:
    """List the versions of a stack's tfstate, newest first: those of all its units, where it has several."""
    before = of_number(cursor)
    with ports.store.reading() as reading:
        stack = find_stack(reading, caller, space, name).id
        found = reading.tfstate_versions(stack, before, limit + 1)
    return page(found, limit, lambda version: str(version.version), _shown)


@router.get("/versions/{version}", response_class=Response)
def pull_tfstate(ports: PortsIn, caller: CallerIn, space: str, name: str, version: VersionIn) -> Response:
    """Return the content of a version, with all secrets in it. The audit keeps who asked."""
    stack = named(caller, Right.TFSTATE_READ, space, name)
    because = caller.basis(Right.TFSTATE_READ.action, stack.space)
    with refusals(caller, stack):
        found = tfstates.read(ports.store, stack, version, caller.person, ports.now(), because)
    return Response(found.body, media_type="application/json")


_TFSTATE = {"requestBody": {"required": True, "content": {"application/json": {"schema": {"type": "object"}}}}}


@router.post("/versions", status_code=HTTPStatus.CREATED, openapi_extra=_TFSTATE)
async def push_tfstate(  # noqa: PLR0917
    request: Request,
    ports: PortsIn,
    caller: CallerIn,
    space: str,
    name: str,
    note: NoteIn = "",
    unit: UnitIn = "",
    *,
    force: Annotated[bool, Query(description="Also one of another lineage, or with an older serial.")] = False,
) -> TfstateVersionJson:
    """Store the body as the next version of a stack's tfstate."""
    stack = await run_in_threadpool(named, caller, Right.TFSTATE_WRITE, space, name)
    body = await read_body(request)

    def store() -> TfstateVersion:
        because = caller.basis(Right.TFSTATE_WRITE.action, stack.space)
        with refusals(caller, stack):
            return tfstates.write(
                ports.store, stack, body, note, caller.person, ports.now(), because, force=force, unit=unit
            )

    return _shown(await run_in_threadpool(store))


@router.post("/versions/{version}/rollback", status_code=HTTPStatus.CREATED)
def roll_back_tfstate(  # noqa: PLR0917
    ports: PortsIn, caller: CallerIn, space: str, name: str, version: VersionIn, note: NoteIn = ""
) -> TfstateVersionJson:
    """Store an earlier version once more as the newest one."""
    stack = named(caller, Right.TFSTATE_WRITE, space, name)
    because = caller.basis(Right.TFSTATE_WRITE.action, stack.space)
    with refusals(caller, stack):
        made = tfstates.roll_back(ports.store, stack, version, note, caller.person, ports.now(), because)
    return _shown(made)


@router.delete("/lock")
def unlock_tfstate(ports: PortsIn, caller: CallerIn, space: str, name: str, unit: UnitIn = "") -> TfstateLockJson:
    """Release the lock of a stack's tfstate, unless the run that holds it is active."""
    stack = named(caller, Right.TFSTATE_UNLOCK, space, name)
    because = caller.basis(Right.TFSTATE_UNLOCK.action, stack.space)
    with refusals(caller, stack):
        return lock_json(tfstates.unlock(ports.store, stack, caller.person, ports.now(), because, unit))


def _shown(version: TfstateVersion) -> TfstateVersionJson:
    return TfstateVersionJson.model_validate(version)
