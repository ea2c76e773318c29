"""What an open page is told: that something has changed, and nothing to those who may not know of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import httpx
import pytest

from reconciler.core.runs import RunStatus
from reconciler.metrics import Metrics
from reconciler.store.sql import SqlStore
from reconciler.store.stored import AuditEvent
from reconciler.web.app import create_app
from reconciler.web.ports import Ports
from reconciler.web.server import HttpServer
from tests.factories import NOW, a_run, a_stack

LOG = bytearray()


@pytest.fixture
def server(ports: Ports) -> Iterator[HttpServer]:
    LOG.clear()
    live_log = replace(ports, live_log=lambda run, at, limit: bytes(LOG[at : at + limit]), metrics=Metrics())
    with HttpServer(create_app(live_log)) as server:
        yield server


def test_a_page_is_told_of_what_its_person_may_see(
    server: HttpServer, store: SqlStore, token_of: Callable[[str], str]
) -> None:
    hidden, seen = (a_run(stack, status=RunStatus.PLANNING, attempt=1) for stack in ("root/secret", "production/web"))
    with store.writing() as transaction:
        transaction.put_stacks([a_stack("root/secret"), a_stack("production/web")])
        transaction.add_runs([hidden, seen])
    with httpx.Client(base_url=server.url, timeout=10) as rita:
        assert rita.get("/live").status_code == 303
        rita.post("/sign-in", data={"token": token_of("rita")})
        assert rita.get(f"/live?run={hidden.id}").status_code == 404
        with rita.stream("GET", f"/live?run={seen.id}&offset={2**40}") as answer:
            events = (line.removeprefix("event: ") for line in answer.iter_lines() if line.startswith("event: "))
            with store.writing() as transaction:
                transaction.put_run(hidden.evolve(status=RunStatus.UNCONFIRMED))
                transaction.append_audit([AuditEvent("stack-locked", NOW, "user:x", {"stack": "root/secret"})])
            LOG.extend(b"line\n")
            assert next(events) == "log"
            # What somebody did with a stack changes its page, too, without any run.
            with store.writing() as transaction:
                transaction.append_audit([AuditEvent("stack-locked", NOW, "user:x", {"stack": "production/web"})])
            assert next(events) == "changed"
            with store.writing() as transaction:
                transaction.put_run(seen.evolve(status=RunStatus.UNCONFIRMED))
            assert next(events) == "changed"
