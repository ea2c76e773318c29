"""Worker pools over the API: who sees which, and who may drain them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from reconciler.engine.pull import PullEngine
from reconciler.engine.roster import Presence
from reconciler.store.sql import SqlStore
from reconciler.web.ports import Ports, RunnerDoor
from spaces.documents.documents import PlacedDocuments
from tests.factories import a_run, a_stack
from tests.integration.web.client import Client
from tests.integration.web.test_access import access, as_user, tree  # noqa: F401 - fixtures
from tests.integration.web.test_runner import fill, order
from tests.unit.spaces.builders import begin, doc, space

POOLS = "/api/v1/pools"
LOCAL = {"engine": "local", "maxParallel": 2}


@pytest.fixture
def ports(ports: Ports, tmp_path: Path) -> Ports:
    files = {
        "platform.yaml": space("platform"),
        "production.yaml": space("production", "platform"),
        "p.yaml": doc("WorkerPool", "big", LOCAL, space="production"),
        "q.yaml": doc("WorkerPool", "far", LOCAL, space="root"),
        "r.yaml": doc("WorkerPool", "near", {"engine": "pull"}, space="platform", labels={"zone": "a"}),
    }
    documents: PlacedDocuments = begin(files).documents
    engine = PullEngine(tmp_path / "data", lambda: None)
    return replace(ports, documents=lambda: documents, runner=RunnerDoor(engine, 4096))


def test_who_may_drain_a_pool_and_what_everybody_sees(
    as_user: Callable[..., Client],  # noqa: F811
    store: SqlStore,
    woken: list[bool],
) -> None:
    rita, wanda, adele, root = map(as_user, ("rita", "wanda", "adele", "root-admin"))
    with store.writing() as transaction:
        transaction.add_runs([a_run("production/a", pool="production/big"), a_run("production/b")])
    (big,) = rita.get(POOLS).json()["items"]
    assert (big["id"], big["engine"], big["maxParallel"], big["queued"], big["active"], big["drained"]) == (
        *("production/big", "local", 2, 1, 0, None),
    )
    assert [it["id"] for it in root.get(POOLS).json()["items"]] == [
        "default",
        "platform/near",
        "production/big",
        "root/far",
    ]
    for who, path in ((wanda, "production/big"), (adele, "root/far"), (adele, "root/default"), (adele, "production/x")):
        assert who.post(f"{POOLS}/{path}/drain").status_code == 404
    drained = adele.post(f"{POOLS}/production/big/drain").json()
    assert (drained["drained"]["person"], drained["queued"]) == ("user:adele", 1)
    assert adele.post(f"{POOLS}/production/big/drain").json()["reason"] == "Drained"
    assert root.post(f"{POOLS}/root/default/drain").json()["id"] == "default"
    assert woken == []
    assert adele.post(f"{POOLS}/production/big/resume").json()["drained"] is None
    assert adele.post(f"{POOLS}/production/big/resume").json()["reason"] == "NotDrained"
    assert woken == [True]
    with store.reading() as reading:
        events = [(row.event.event, row.event.details["pool"]) for row in reading.audit(0, 100)]
    pools = [event for event in events if event[0].startswith("pool-")]
    assert pools == [
        ("pool-drained", "production/big"),
        ("pool-drained", "default"),
        ("pool-resumed", "production/big"),
    ]


NEAR = "platform/near"
EQUIPPED = Presence("0.1", 2, {"script": [], "terraform": ["1.9.8", "1.5.7"]})


@pytest.fixture
def engine(ports: Ports) -> PullEngine:
    assert ports.runner is not None
    return ports.runner.engine


def test_workers_are_shown_with_what_they_said_and_when(client: Client, engine: PullEngine) -> None:
    assert client.get(f"{POOLS}/{NEAR}").json()["workers"] == []
    number = engine.ask(NEAR, "w1", EQUIPPED)
    engine.ask(NEAR, "w2")
    first, second = client.get(f"{POOLS}/{NEAR}").json()["workers"]
    assert first.pop("heardAt")
    assert first == {
        "name": "w1",
        "active": 0,
        "places": 2,
        "idle": True,
        "gone": False,
        "version": "0.1",
        "tools": {"script": [], "terraform": ["1.9.8", "1.5.7"]},
    }
    assert (second["name"], second["version"], second["tools"]) == ("w2", "", None)
    engine.hang_up(NEAR, number)
    engine.roster._entries[NEAR, "w1"].heard -= 60
    assert [it["gone"] for it in client.get(f"{POOLS}/{NEAR}").json()["workers"]] == [True, False]
    engine.roster._entries[NEAR, "w1"].heard -= 3600
    assert [it["name"] for it in client.get(f"{POOLS}/{NEAR}").json()["workers"]] == ["w2"]
    labelled = client.get(POOLS, label="zone=a").json()["items"]
    assert [(it["id"], it["labels"]) for it in labelled] == [(NEAR, {"zone": "a"})]
    assert client.get(f"{POOLS}/platform/nowhere").status_code == 404


def test_a_leg_goes_to_a_worker_with_its_tool_and_its_run_says_where_there_is_none(engine: PullEngine) -> None:
    engine.ask(NEAR, "equipped", EQUIPPED)
    engine.ask(NEAR, "bare", Presence("0.1", 1, {"script": []}))
    run = a_run("production/a", attempt=2, pool=NEAR)
    for tool, wanted in (("ansible", None), ("terraform", ">=2")):
        engine.offer(NEAR, replace(order(run), tool=tool, tool_range=wanted), None, fill)
    assert [(it.reason, it.message) for it in engine.reports()] == [
        ("ToolMissing", "no worker of its pool platform/near has ansible"),
        (
            "ToolVersionMismatch",
            "the workers of its pool platform/near have terraform 1.5.7, 1.9.8, but the stack requires >=2",
        ),
    ]
    engine.offer(NEAR, replace(order(run), tool="terraform", tool_range="~> 1.5.0"), None, fill)
    assert engine.answer(NEAR, "bare") is None
    assert engine.answer(NEAR, "equipped") is not None


def test_a_stack_says_that_its_pool_has_no_worker(client: Client, store: SqlStore, engine: PullEngine) -> None:
    stack, run = a_stack("production/a"), a_run("production/a", pool=NEAR)
    with store.writing() as transaction:
        transaction.put_stacks([stack])
        transaction.add_runs([run])
    path = "/api/v1/stacks/production/a"
    assert client.get(path).json()["waits"] == f"its worker pool {NEAR} has no worker"
    assert client.get("/api/v1/queue").json()["items"][0]["waits"] == f"its worker pool {NEAR} has no worker"
    engine.ask(NEAR, "w1")
    assert client.get(path).json()["waits"] == "it waits for a free place"
