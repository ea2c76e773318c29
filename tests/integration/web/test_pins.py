"""Stacks are pinned and unpinned by those who may, with a clear word about a revision that will not do."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest

from reconciler.core.runs import Run
from reconciler.store.sql import SqlStore
from reconciler.web.ports import Ports
from spaces.names import StackId
from tests.factories import a_run, a_stack
from tests.integration.web.client import Client
from tests.integration.web.test_access import access, as_user, tree  # noqa: F401 - fixtures

NETWORK = "/api/v1/stacks/production/network"
RUN = a_run("production/network")
BODY = {"at": "abcdef0", "note": "it is slow"}


def earlier(_stack: StackId, at: str) -> Run | str:
    return RUN if at == "abcdef0" else f"there is no revision {at}"


@pytest.fixture
def ports(ports: Ports) -> Ports:
    return dataclasses.replace(ports, earlier=earlier)


@pytest.fixture(autouse=True)
def network(store: SqlStore) -> None:
    with store.writing() as transaction:
        transaction.put_stacks([a_stack("production/network"), a_stack("production/gone", desired=None)])


def test_operators_pin_and_unpin(as_user: Callable[..., Client]) -> None:  # noqa: F811
    rita, otto = as_user("rita"), as_user("otto")
    assert rita.post(f"{NETWORK}/pin", json=BODY).status_code == 404
    assert otto.post(f"{NETWORK}/pin", json=BODY | {"for": "2h"}).json()["pin"] == {
        "revision": RUN.revision,
        "source": None,
        "person": "user:otto",
        "note": "it is slow",
        "since": "2026-03-01T12:00:00Z",
        "until": "2026-03-01T14:00:00Z",
        "inForce": False,
    }
    pins = {each: as_user(each).get("/api/v1/status").json()["pins"] for each in ("rita", "sam")}
    assert [pin["stack"] for pin in pins["rita"]] == ["production/network"]
    assert pins["sam"] == []
    assert otto.post(f"{NETWORK}/unpin").status_code == 200
    again = otto.post(f"{NETWORK}/unpin")
    assert (again.status_code, again.json()["reason"]) == (409, "NotPinned")


@pytest.mark.parametrize(
    ("path", "body", "status", "said"),
    [
        (NETWORK, BODY | {"at": "1234567"}, 409, "there is no revision 1234567"),
        (NETWORK.replace("network", "gone"), BODY, 409, "no longer in Git"),
        (NETWORK, {"note": "it is slow"}, 422, "at"),
        (NETWORK, BODY | {"note": ""}, 422, "say why"),
        (NETWORK, BODY | {"for": "soon"}, 422, "for"),
    ],
)
def test_a_pin_without_sense_is_refused(
    client: Client, path: str, body: dict[str, str], status: int, said: str
) -> None:
    answer = client.post(f"{path}/pin", json=body)
    assert (answer.status_code, said in answer.text) == (status, True)
