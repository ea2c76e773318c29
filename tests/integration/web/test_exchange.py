"""What every request of the API has: marks of its content, and a pace."""

from __future__ import annotations

from dataclasses import replace

import httpx
from sqlalchemy import select

from rbac.access.access import Access
from rbac.access.grants import AccessDocuments
from rbac.access.subjects import Subject
from reconciler.metrics import Metrics
from reconciler.store import tables
from reconciler.store.sql import SqlStore
from reconciler.store.stored import StoreError
from reconciler.web.api_tokens import make_token
from reconciler.web.pace import Pace
from reconciler.web.ports import Ports
from spaces.documents.tree import SpaceTree
from spaces.model.people import UserSpec
from tests.factories import NOW, a_stack, later
from tests.integration.web.client import Client
from tests.integration.web.warm import WarmApp


def test_a_client_is_not_sent_what_it_has(client: Client, store: SqlStore) -> None:
    def ask(mark: str) -> tuple[int, bytes]:
        answer = client.request("GET", "/api/v1/stacks", headers={"If-None-Match": mark})
        return answer.status_code, answer.content

    first = client.get("/api/v1/stacks")
    mark = first.headers["etag"]
    assert ask(mark) == ask(f'"other", W/{mark}') == ask("*") == (304, b"")
    assert "x-request-id" in client.request("GET", "/api/v1/stacks", headers={"If-None-Match": mark}).headers
    with store.writing() as transaction:
        transaction.put_stacks([a_stack("production/web")])
    status, body = ask(mark)
    assert (status, b"production/web" in body) == (200, True)
    # What goes wrong, or changes something, has no mark.
    assert "etag" not in client.get("/api/v1/runs/01").headers
    assert "etag" not in client.post("/api/v1/fetch").headers


def test_each_token_has_its_pace(ports: Ports, tree: SpaceTree, store: SqlStore) -> None:
    clock = [0.0]
    access = Access.compile(AccessDocuments(users={"ada": UserSpec(), "bob": UserSpec()}), tree, (), NOW)
    app = WarmApp(replace(ports, access=lambda: access, pace=Pace(2, lambda: clock[0]), metrics=Metrics()))
    with store.writing() as transaction:
        tokens = [
            make_token(transaction, Subject.parse(f"user:{name}"), "operator", NOW, later(60))[0]
            for name in ("ada", "bob")
        ]
    with Client(app, tokens[0]) as ada, Client(app, tokens[1]) as bob, Client(app) as operator:
        assert [ada.get("/api/v1/me").status_code for _ in range(20)] == [200] * 20
        early = ada.get("/api/v1/me")
        assert (early.status_code, early.headers["retry-after"], early.json()["reason"]) == (
            429,
            "1",
            "TooManyRequests",
        )
        assert bob.get("/api/v1/me").status_code == 200
        assert {operator.get("/api/v1/me").status_code for _ in range(25)} == {200}
        clock[0] += 1
        assert [ada.get("/api/v1/me").status_code for _ in range(3)] == [200, 200, 429]
        key = {"Idempotency-Key": "one"}
        assert ada.post("/api/v1/fetch", headers=key).status_code == 429
        clock[0] += 1
        answers = [ada.post("/api/v1/fetch", headers=key) for _ in range(3)]
        assert [it.status_code for it in answers] == [202, 202, 429], "an answer that is given again counts, too"
        assert [it.headers.get("idempotency-replayed") for it in answers] == [None, "true", None]


def test_full_buckets_are_forgotten_first() -> None:
    clock = [0.0]
    pace = Pace(1, lambda: clock[0])
    for number in range(10_000):
        assert pace.wait(str(number)) == 0
    clock[0] += 1
    assert {pace.wait("busy") for _ in range(10)} == {0}
    assert pace.wait("busy") == 1
    assert pace.wait("new") == 0


def test_a_request_with_a_key_is_done_once(ports: Ports, store: SqlStore, tree: SpaceTree) -> None:
    access = Access.compile(AccessDocuments(users={"ada": UserSpec()}), tree, (), NOW)
    ports = replace(ports, access=lambda: access)
    with Client(WarmApp(ports)) as client:
        _once(client, store)
    # It failed, so it was not done, and may be sent again.
    broken = [True]

    def wake() -> None:
        if broken:
            raise StoreError("gone", "gone")

    with Client(WarmApp(replace(ports, wake=wake, metrics=Metrics()))) as unlucky:
        headers = {"Idempotency-Key": "fetch"}
        assert unlucky.post("/api/v1/fetch", headers=headers).status_code == 503
        broken.clear()
        assert unlucky.post("/api/v1/fetch", headers=headers).status_code == 202


def _once(client: Client, store: SqlStore) -> None:
    def make(key: str, name: str = "laptop", **more: str) -> httpx.Response:
        body = {"subject": "user:ada", "name": name, "seconds": 60}
        return client.post("/api/v1/tokens", json=body, headers={"Idempotency-Key": key, **more})

    def made() -> int:
        return len(client.get("/api/v1/tokens").json()["items"])

    first, again = make("one"), make("one")
    assert (first.status_code, made()) == (201, 1), first.text
    assert (again.status_code, again.json(), again.headers["idempotency-replayed"]) == (201, first.json(), "true")
    assert make("two").json() != first.json()
    other = make("one", "server")
    assert (other.status_code, other.json()["reason"], made()) == (409, "KeyReused", 2)
    for wrong in ("x" * 101, "a b"):
        assert make(wrong).status_code == 422
    # A refusal is an answer, too; a token that is not valid gets none.
    assert [make("three", "").status_code for _ in range(2)] == [422, 422]
    assert make("one", Authorization="Bearer nobody").status_code == 401
    key = first.json()["token"].encode()
    with store.reading() as reading:
        rows = reading._connection.execute(select(tables.answers.c.sealed)).scalars().all()  # type: ignore[attr-defined]
    assert rows
    assert not [row for row in rows if key in row]


def test_a_request_is_not_done_where_things_are_not_as_they_were_seen(client: Client, store: SqlStore) -> None:
    with store.writing() as transaction:
        transaction.put_stacks([a_stack("production/web")])
    path = "/api/v1/stacks/production/web"
    seen = client.get(path).headers["etag"]

    def suspend(mark: str) -> int:
        return client.request("POST", f"{path}/suspend", headers={"If-Match": mark}).status_code

    assert [suspend('"other"'), suspend(f'"other", {seen}')] == [412, 200]
    # By now it is suspended, and reads otherwise.
    refused = client.request("POST", f"{path}/resume", headers={"If-Match": seen})
    assert (refused.status_code, refused.json()["reason"]) == (412, "Changed")
    assert client.request("POST", f"{path}/resume", headers={"If-Match": "*"}).status_code == 200
    gone = client.request("POST", "/api/v1/stacks/production/none/suspend", headers={"If-Match": seen})
    assert gone.status_code == 404
    # A path that streams what is read of it does not keep the request.
    assert client.request("POST", "/api/v1/events", headers={"If-Match": seen}).status_code in {405, 412}
