"""Worker pools: how full they are, and letting one start nothing for a while."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from fastapi import APIRouter

from reconciler.engine.roster import WorkerSeen
from reconciler.refusals import OperationRefused, Refusal
from reconciler.runs.audit import Asked, Audited, about_request
from reconciler.store.pools import Drained, PoolRuns
from reconciler.store.protocol import Transaction
from reconciler.store.queries import Reading
from reconciler.web.api.auth import Caller, CallerIn, PortsIn, Right
from reconciler.web.api.errors import not_found
from reconciler.web.api.schemas.pools import DrainedJson, PoolJson, WorkerJson
from reconciler.web.api.schemas.shapes import Page
from reconciler.web.api.stacks import LabelsIn, labels_of
from reconciler.web.ports import Ports
from spaces.effective.pools import pool_name
from spaces.model.pool import DEFAULT_POOL, EngineName, WorkerPoolSpec
from spaces.names import ROOT, Kind, SpaceName

router = APIRouter(prefix="/pools", tags=["pools"])


class _Pool(NamedTuple):
    """A pool in force."""

    id: str
    space: SpaceName
    name: str
    spec: WorkerPoolSpec
    labels: Mapping[str, str]


@router.get("")
def list_pools(ports: PortsIn, caller: CallerIn, *, label: LabelsIn = None) -> Page[PoolJson]:
    """List the worker pools, and how many runs each has.

    `default`, in the space `root`, is the service's own machine.
    """
    readable, labels = caller.spaces(Right.POOL_READ), labels_of(label or []).items()
    found = [
        each
        for each in _pools(ports).values()
        if (readable is None or each.space in readable) and labels <= each.labels.items()
    ]
    with ports.store.reading() as reading:
        return Page[PoolJson](items=_shown(ports, reading, found), next=None)


@router.get("/{space}/{name}")
def get_pool(ports: PortsIn, caller: CallerIn, space: str, name: str) -> PoolJson:
    """Return a worker pool with its workers."""
    pool = _wanted(ports, caller, Right.POOL_READ, space, name)
    with ports.store.reading() as reading:
        return _shown(ports, reading, [pool])[0]


@router.post("/{space}/{name}/drain")
def drain_pool(ports: PortsIn, caller: CallerIn, space: str, name: str) -> PoolJson:
    """Stop a pool from starting runs. Active runs continue, and others wait in the queue."""
    pool, asked, now = _wanted(ports, caller, Right.POOL_DRAIN, space, name), _asked(caller, space), ports.now()
    with ports.store.writing() as transaction:
        if not transaction.drain_pool(pool.id, Drained(asked.person, now)):
            raise OperationRefused(Refusal.DRAINED, f"the pool {pool.id} is drained already")
        _audit(transaction, Audited.POOL_DRAINED, pool, asked, now)
        return _shown(ports, transaction, [pool])[0]


@router.post("/{space}/{name}/resume")
def resume_pool(ports: PortsIn, caller: CallerIn, space: str, name: str) -> PoolJson:
    """Let a drained pool start runs again."""
    pool, asked, now = _wanted(ports, caller, Right.POOL_DRAIN, space, name), _asked(caller, space), ports.now()
    with ports.store.writing() as transaction:
        if not transaction.resume_pool(pool.id):
            raise OperationRefused(Refusal.NOT_DRAINED, f"the pool {pool.id} is not drained")
        _audit(transaction, Audited.POOL_RESUMED, pool, asked, now)
        shown = _shown(ports, transaction, [pool])[0]
    ports.wake()
    return shown


def _pools(ports: Ports) -> Mapping[str, _Pool]:
    built_in = _Pool(DEFAULT_POOL, ROOT, DEFAULT_POOL, WorkerPoolSpec(engine=EngineName.LOCAL), {})
    found = {DEFAULT_POOL: built_in}
    for placed in ports.documents().of_kind(Kind.WORKER_POOL):
        ref, spec = placed.ref, placed.resource.spec
        if isinstance(spec, WorkerPoolSpec):
            id_ = pool_name(ref)
            found[id_] = _Pool(id_, ref.space, ref.name, spec, placed.resource.metadata.labels)
    return dict(sorted(found.items(), key=lambda each: (each[0] != DEFAULT_POOL, each[0])))


def _wanted(ports: Ports, caller: Caller, right: Right, space: str, name: str) -> _Pool:
    words = f"pool {space}/{name}"
    caller.require(right, SpaceName(space), words)
    found = _pools(ports).get(DEFAULT_POOL if (space, name) == (ROOT, DEFAULT_POOL) else f"{space}/{name}")
    if found is None:
        raise not_found(words)
    return found


def _asked(caller: Caller, space: str) -> Asked:
    return Asked(caller.person, caller.basis(Right.POOL_DRAIN.action, SpaceName(space)))


def _audit(transaction: Transaction, event: Audited, pool: _Pool, asked: Asked, now: datetime) -> None:
    transaction.append_audit([about_request(event, asked, now, pool=pool.id)])


def _shown(ports: Ports, reading: Reading, found: list[_Pool]) -> list[PoolJson]:
    drained, counts = reading.drained_pools(), reading.count_by_pool()
    seen = {} if ports.runner is None else ports.runner.engine.workers()
    return [_json(each, counts.get(each.id, PoolRuns()), drained.get(each.id), seen.get(each.id, [])) for each in found]


def _json(pool: _Pool, runs: PoolRuns, drained: Drained | None, workers: Sequence[WorkerSeen]) -> PoolJson:
    return PoolJson(
        id=pool.id,
        space=pool.space,
        name=pool.name,
        labels=dict(pool.labels),
        engine=pool.spec.engine,
        tools=None if pool.spec.tools is None else [str(tool) for tool in pool.spec.tools],
        max_parallel=pool.spec.max_parallel,
        drift_parallel=pool.spec.drift_parallel,
        queued=runs.queued,
        active=runs.at_work,
        checks=runs.checks,
        drained=None if drained is None else DrainedJson(person=drained.person, at=drained.at),
        workers=[_worker(worker) for worker in workers],
    )


def _worker(seen: WorkerSeen) -> WorkerJson:
    tools = None if seen.said.tools is None else {name: list(found) for name, found in seen.said.tools.items()}
    return WorkerJson(
        name=seen.name,
        active=seen.active,
        places=max(seen.said.places, seen.active),
        idle=seen.idle,
        gone=seen.gone,
        version=seen.said.version,
        tools=tools,
        heard_at=seen.heard,
    )
