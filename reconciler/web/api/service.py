"""The service itself, for its admins: how it is set up, and whether everything that it needs is in place."""

from __future__ import annotations

import threading
from http import HTTPStatus

from fastapi import APIRouter

from reconciler.web.api.auth import Caller, CallerIn, PortsIn
from reconciler.web.api.errors import ApiError, not_found
from reconciler.web.api.schemas.service import FindingJson, SettingJson
from reconciler.web.api.schemas.shapes import Page

router = APIRouter(tags=["service"])

_examining = threading.Lock()
"""Held during an examination: each looks at other machines, and may take a while."""


@router.get("/settings")
def list_settings(ports: PortsIn, caller: CallerIn) -> Page[SettingJson]:
    """List the settings of the service with where each is from, without passwords. For those who may do everything."""
    _require_admin(caller, "settings")
    return Page(items=[SettingJson.model_validate(each) for each in ports.settings()])


@router.post("/doctor")
def examine_service(ports: PortsIn, caller: CallerIn) -> Page[FindingJson]:
    """Check that everything the service needs is in place, as `station doctor` does. 409: somebody does just now."""
    _require_admin(caller, "doctor")
    if not _examining.acquire(blocking=False):
        raise ApiError(HTTPStatus.CONFLICT, "Busy", "the service is being examined just now: ask again in a moment")
    try:
        return Page(items=[FindingJson.model_validate(each) for each in ports.examine()])
    finally:
        _examining.release()


def _require_admin(caller: Caller, what: str) -> None:
    if not caller.is_admin:
        raise not_found(what)
