"""The issuer of run tokens: its keys can be replaced at once, when somebody else may have them."""

from __future__ import annotations

from http import HTTPStatus

from fastapi import APIRouter

from reconciler.runs.audit import Audited
from reconciler.store.stored import AuditEvent
from reconciler.web.api.auth import CallerIn, PortsIn
from reconciler.web.api.errors import not_found
from reconciler.web.api.schemas.overview import IssuerKeyJson

router = APIRouter(prefix="/issuer", tags=["issuer"])


@router.post("/rotate", status_code=HTTPStatus.OK)
def rotate_issuer_key(ports: PortsIn, caller: CallerIn) -> IssuerKeyJson:
    """Replace all keys by a new one that signs at once. Only the operator may: every token of a run dies."""
    if caller.access is not None or ports.issuer is None:
        raise not_found("issuer whose keys you may replace")
    now = ports.now()
    key = ports.issuer.keyring.replace(now)
    with ports.store.writing() as transaction:
        transaction.append_audit([AuditEvent(Audited.ISSUER_ROTATED, now, caller.person, {"key": key.id})])
    return IssuerKeyJson(key=key.id)
