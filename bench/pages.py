"""The page and the API's lists, for somebody with 300 of 1,000 spaces.

There are 10,000 stacks with 100,000 runs, 30,000 revisions and 500,000 resources.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import httpx

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
from tests.factories import NOW, a_desired, a_run, a_stack, a_stack_id, an_applied, an_outcome, later

SPACES, MINE, STACKS, RUNS, RESOURCES = 1000, 300, 10, 10, 50
"""How many spaces, how many of them are the person's; stacks in each, runs and resources of each stack."""
ROUNDS = 40


def measure(scratch: Path) -> Iterator[Figure]:
    """Measure each page, and each list of the API, after one request that does not count."""
    store = open_store(f"sqlite:///{scratch / 'station.db'}", Keys.load_or_create(scratch / "key"))
    last = _fill(store)
    ports, token = _ports(store)
    stack = "s0007/stack-3"
    paths = {
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
    }
    for name, seconds in asyncio.run(_ask(ports, token, paths)).items():
        yield Figure(f"page: {name}", seconds * 1e3, "ms", None, "p95", 150, Limit.AT_MOST)
    store.close()


async def _ask(ports: Ports, token: str, paths: dict[str, str]) -> dict[str, float]:
    found: dict[str, float] = {}
    transport = httpx.ASGITransport(create_app(ports))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost", timeout=120) as client:
        assert (await client.post("/sign-in", data={"token": token})).status_code == 303
        for name, path in paths.items():
            headers = {"Authorization": f"Bearer {token}"} if path.startswith("/api/") else {}
            taken = []
            for turn in range(ROUNDS + 1):
                began = time.perf_counter()
                answer = await client.get(path, headers=headers)
                if turn:
                    taken.append(time.perf_counter() - began)
                assert answer.status_code == 200, (path, answer.text)
            found[name] = statistics.quantiles(taken, n=20)[-1]
    return found


def _ports(store: SqlStore) -> tuple[Ports, str]:
    names = [f"s{number:04}" for number in range(SPACES)]
    space = "apiVersion: stationkeeper/v1\nkind: Space\nmetadata: {{name: {}}}\n"
    documents = examine_files({f"{name}/space.yaml": space.format(name).encode() for name in names}).documents
    binding = RoleBindingSpec.model_validate({"role": "operator", "subjects": [{"user": "ada"}]})
    bindings = {ResourceRef(Kind.ROLE_BINDING, SpaceName(name), "ada"): binding for name in names[:MINE]}
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


def _fill(store: SqlStore) -> Run:
    """Fill the store; return the newest run of the person's own stacks."""
    last: Run | None = None
    made = [Resource(f"aws_instance.server-{at}", "aws_instance", "aws", {"id": f"i-{at}"}) for at in range(RESOURCES)]
    for number in range(SPACES):
        states, runs = [], []
        for at in range(STACKS):
            stack = a_stack_id(f"s{number:04}/stack-{at}")
            ended = [_ended(stack, (number * STACKS + at) // 3 * RUNS + turn) for turn in range(RUNS - 1)]
            waits = [a_run(stack, status=RunStatus.QUEUED)] if at == 0 and number % 10 == 0 else []
            runs += [*ended, *waits]
            state = a_stack(stack, desired=a_desired(labels={"tier": "web"}), applied=an_applied(), sync=Sync.SYNCED)
            states.append(assess(state.evolve(last=an_outcome(run=ended[-1].id)), (*waits, None)[0], (), NOW))
            last = ended[-1] if number < MINE else last
        with store.writing() as transaction:
            transaction.put_stacks(states)
            transaction.add_runs(runs)
            for state in states:
                transaction.record_results(state.id, made, [])
            transaction.append_audit(
                AuditEvent("apply-ended", NOW, "user:ada", {"run": run.id, "stack": str(run.stack)}) for run in runs
            )
    assert last is not None
    return last


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
