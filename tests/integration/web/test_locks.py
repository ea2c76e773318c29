"""Stacks are locked and unlocked by those who may."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from reconciler.core.state import Sync
from reconciler.store.sql import SqlStore
from tests.factories import a_stack
from tests.integration.web.client import Client
from tests.integration.web.test_access import access, as_user, tree  # noqa: F401 - fixtures

NETWORK = "/api/v1/stacks/production/network"
NOTE = {"note": "moving the database"}


@pytest.fixture(autouse=True)
def network(store: SqlStore) -> None:
    with store.writing() as transaction:
        transaction.put_stacks([a_stack("production/network", sync=Sync.SYNCED)])


def test_operators_lock_and_unlock_and_admins_break(as_user: Callable[..., Client]) -> None:  # noqa: F811
    rita, otto, wanda, adele = map(as_user, ("rita", "otto", "wanda", "adele"))
    assert rita.post(f"{NETWORK}/lock", json=NOTE).status_code == 404
    locked = otto.post(f"{NETWORK}/lock", json=NOTE | {"for": "2h"}).json()
    assert locked["lock"] == {
        "person": "user:otto",
        "note": "moving the database",
        "since": "2026-03-01T12:00:00Z",
        "until": "2026-03-01T14:00:00Z",
    }
    assert rita.get(NETWORK).json()["lock"] == locked["lock"]
    second = wanda.post(f"{NETWORK}/lock", json=NOTE)
    assert (second.status_code, second.json()["reason"]) == (409, "Locked")
    assert "locked by user:otto" in second.json()["detail"]
    assert wanda.post(f"{NETWORK}/unlock").status_code == 409
    assert wanda.post(f"{NETWORK}/runs").status_code == 409
    assert adele.post(f"{NETWORK}/unlock").json()["lock"] is None
    assert wanda.post(f"{NETWORK}/lock", json=NOTE).json()["lock"]["until"] is None


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "note"),
        ({"note": " "}, "note"),
        ({"note": "a\nb"}, "note"),
        (NOTE | {"for": "soon"}, "for"),
        (NOTE | {"for": "-1h"}, "for"),
        (NOTE | {"for": "999999d"}, "for"),
        (NOTE | {"till": "1h"}, "till"),
    ],
)
def test_a_lock_without_sense_is_refused_by_its_field(client: Client, body: dict[str, str], field: str) -> None:
    answer = client.post(f"{NETWORK}/lock", json=body)
    assert answer.status_code == 422
    assert field in answer.text
    assert client.get(NETWORK).json()["lock"] is None
