"""Worker pools over the API: who sees which, and who may drain them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from reconciler.store.sql import SqlStore
from reconciler.web.ports import Ports
from spaces.documents.documents import PlacedDocuments
from tests.factories import a_run
from tests.integration.web.client import Client
from tests.integration.web.test_access import access, as_user, tree  # noqa: F401 - fixtures
from tests.unit.spaces.builders import begin, doc, space

POOLS = "/api/v1/pools"
LOCAL = {"engine": "local", "maxParallel": 2}


@pytest.fixture
def ports(ports: Ports) -> Ports:
    files = {
        "platform.yaml": space("platform"),
        "production.yaml": space("production", "platform"),
        "p.yaml": doc("WorkerPool", "big", LOCAL, space="production"),
        "q.yaml": doc("WorkerPool", "far", LOCAL, space="root"),
    }
    documents: PlacedDocuments = begin(files).documents
    return replace(ports, documents=lambda: documents)


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
    assert [it["id"] for it in root.get(POOLS).json()["items"]] == ["default", "production/big", "root/far"]
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
