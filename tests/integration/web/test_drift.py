from __future__ import annotations

import pytest

from reconciler.core.results import Action, Planned, ResourceChange
from reconciler.core.runs import Run, RunKind, RunStatus
from reconciler.core.state import Observed, Sync
from reconciler.store.sql import SqlStore
from spaces.model.drift import Drift
from tests.factories import NOW, a_desired, a_run, a_stack, an_applied
from tests.integration.web.client import Client

DRIFT = "/api/v1/drift"
CHECK = "/api/v1/stacks/production/network/drift"


def a_checked_stack(store: SqlStore, stack: str, planned: Planned, **changes: object) -> Run:
    """Store a stack with a drift check, and what it found."""
    run = a_run(stack, kind=RunKind.DRIFT, status=RunStatus.FINISHED)
    desired = a_desired(drift=Drift(schedules=("0 * * * *",), **changes))
    observed = Observed(run.id, NOW, run.digest, int(planned.has_changes))
    with store.writing() as transaction:
        transaction.put_stacks(
            [a_stack(stack, desired=desired, applied=an_applied(), observed=observed, sync=Sync.SYNCED)]
        )
        transaction.add_runs([run])
        transaction.record_plans({run.id: planned})
    return run


def changed(address: str, **before: object) -> ResourceChange:
    return ResourceChange(address, "box", "acme", Action.UPDATE, before, {"size": 3, "tag": "a"})


def test_each_resource_that_differs_is_listed_with_what_was_and_what_is(client: Client, store: SqlStore) -> None:
    planned = Planned(True, (changed("box.a", size=5, tag="a"), changed("box.b", size=3, tag="b")))
    run = a_checked_stack(store, "production/network", planned, ignore=({"address": "box.b"},))
    a_checked_stack(store, "production/quiet", Planned(has_changes=False))
    a_checked_stack(store, "root/script", Planned(has_changes=True))
    found = client.get(DRIFT).json()
    assert found["next"] is None
    assert found["items"][0] == {
        "stack": "production/network",
        "address": "box.a",
        "type": "box",
        "provider": "acme",
        "difference": "changed",
        "attributes": [{"name": "size", "was": 3, "is": 5}],
        "run": run.id,
        "at": NOW.isoformat().replace("+00:00", "Z"),
    }
    assert [(it["stack"], it["address"]) for it in found["items"][1:]] == [("root/script", None)]
    assert [it["stack"] for it in client.get(DRIFT, space="platform", subtree=True).json()["items"]] == [
        "production/network"
    ]
    first = client.get(DRIFT, limit=1).json()
    assert [it["stack"] for it in client.get(DRIFT, limit=1, cursor=first["next"]).json()["items"]] == ["root/script"]
    assert [it["id"] for it in client.get("/api/v1/stacks", drifted=True).json()["items"]] == [
        "production/network",
        "root/script",
    ]


def test_what_is_ignored_since_the_check_is_not_listed(client: Client, store: SqlStore) -> None:
    planned = Planned(True, (changed("box.a", size=5, tag="a"),))
    a_checked_stack(store, "production/network", planned, ignore=({"address": "box.*"},))
    assert client.get(DRIFT).json()["items"] == []


def test_a_check_is_queued_once(client: Client, store: SqlStore, woken: list[bool]) -> None:
    a_checked_stack(store, "production/network", Planned(has_changes=False))
    response = client.post(CHECK)
    assert (response.status_code, response.json()["kind"], woken) == (201, "drift", [True])
    again = client.post(CHECK)
    assert (again.status_code, again.json()["reason"]) == (409, "NotCheckable")
    assert "already has run" in again.json()["detail"]


@pytest.mark.parametrize("path", ["/api/v1/stacks/production/none/drift", "/api/v1/stacks/x!/y/drift"])
def test_what_does_not_exist_cannot_be_checked(client: Client, path: str) -> None:
    assert client.post(path).status_code == 404
