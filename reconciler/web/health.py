"""The endpoints for machines: alive, ready, metrics. Metrics name spaces and stacks, so they need a right."""

from __future__ import annotations

import ipaddress
import logging
from collections import Counter
from http import HTTPStatus

from fastapi import APIRouter, Request, Response
from fastapi.responses import PlainTextResponse

from reconciler.core.runs import RunStatus
from reconciler.core.state import ConditionStatus, ConditionType, StackState
from reconciler.metrics import CONTENT_TYPE, Gauges, StackGauge
from reconciler.repeating import Repeating
from reconciler.store.protocol import Reading, StackFilter, Store, StoreError
from reconciler.web.api.auth import PortsIn, authenticate
from reconciler.web.api.errors import not_found

router = APIRouter(tags=["health"])

_POOL = "default"
_PAGE = 1000
_PASSED_ON = ("forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-real-ip")
_log = logging.getLogger(__name__)

_failures = Repeating()


@router.get("/healthz", response_class=PlainTextResponse)
def healthz() -> str:
    """Answer that the service is alive."""
    return "ok\n"


@router.get("/readyz", response_class=PlainTextResponse)
def readyz(ports: PortsIn) -> PlainTextResponse:
    """Answer whether the store works and a first pass succeeded. Anybody may ask: the answer names no place."""
    trouble = ports.trouble()
    if trouble is not None:
        return PlainTextResponse(f"{trouble}\n", HTTPStatus.SERVICE_UNAVAILABLE)
    try:
        with ports.store.reading() as reading:
            reading.configuration()
    except StoreError as error:
        return PlainTextResponse(f"{error.brief}\n", HTTPStatus.SERVICE_UNAVAILABLE)
    if not ports.ready():
        return PlainTextResponse("the service has not reconciled yet\n", HTTPStatus.SERVICE_UNAVAILABLE)
    return PlainTextResponse("ok\n")


@router.get("/metrics", response_class=PlainTextResponse)
def metrics(request: Request, ports: PortsIn) -> Response:
    """Return the metrics in Prometheus' text format, to this machine and to callers who may read everything."""
    if (ports.metrics_need_token or not _is_local(request)) and not authenticate(request).sees_everything:
        raise not_found("such page")
    return Response(ports.metrics.expose(), headers={"Content-Type": CONTENT_TYPE})


def _is_local(request: Request) -> bool:
    """Whether this machine itself asks. A proxy that forwards somebody else's request says so in a header."""
    if any(header in request.headers for header in _PASSED_ON) or request.client is None:
        return False
    try:
        return ipaddress.ip_address(request.client.host).is_loopback
    except ValueError:
        return False


def read_gauges(store: Store) -> Gauges | None:
    """Read the values of the gauges; None while the store cannot be used, so that the counters are still shown."""
    try:
        with store.reading() as reading:
            return _gauges(reading)
    except StoreError as error:
        if _failures.is_due(str(error)):
            _log.warning("cannot read the gauges: %s", error)
        return None


def _gauges(reading: Reading) -> Gauges:
    configuration = reading.configuration()
    resources = reading.count_resources()
    active = reading.active_runs()
    stacks: list[StackGauge] = []
    after: str | None = None
    while page := reading.list_stacks(StackFilter(in_git=True), after, _PAGE):
        stacks += [_stack_gauge(stack, resources.get(stack.id)) for stack in page]
        after = str(page[-1].id)
        if len(page) < _PAGE:
            break
    return Gauges(
        branch=configuration.branch,
        revision=configuration.admitted_revision,
        documents=configuration.documents,
        diagnostics=Counter(str(diagnostic.get("severity")) for diagnostic in configuration.diagnostics),
        halted=configuration.halted is not None,
        held=Counter((str(held.ref.space), str(held.ref.kind)) for held in reading.held_changes()),
        stacks=tuple(stacks),
        runs_active=Counter((str(run.kind), str(run.status)) for run in active),
        queue_depth={_POOL: sum(run.status is RunStatus.QUEUED for run in active)},
    )


def _stack_gauge(stack: StackState, resources: int | None) -> StackGauge:
    ready = stack.conditions.get(ConditionType.READY)
    return StackGauge(
        space=stack.id.space,
        stack=stack.id.name,
        tool=stack.desired.tool if stack.desired else "",
        sync=stack.sync,
        ready=ready.status if ready else ConditionStatus.UNKNOWN,
        resources=resources if resources is not None or stack.applied is None else 0,
        drifted=stack.observed.drifted if stack.observed is not None else None,
        applied_at=stack.applied.at if stack.applied else None,
    )
