"""Clouds read the issuer's documents: without a token, under whatever name they came by."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

import pytest

from reconciler.issuer.issuer import Issuer
from reconciler.store.sql import SqlStore
from reconciler.web.ports import Ports
from tests.integration.web.client import Client
from tests.integration.web.warm import WarmApp


@pytest.fixture
def cloud(ports: Ports, store: SqlStore) -> Iterator[Client]:
    issuer = Issuer(store, "https://station.example.com/keys")
    with Client(WarmApp(replace(ports, issuer=issuer)), token=None, host="station.example.com") as client:
        yield client


def test_anybody_reads_both_documents(cloud: Client) -> None:
    discovery = cloud.get("/.well-known/openid-configuration")
    assert discovery.status_code == 200
    assert discovery.headers["content-type"] == "application/json"
    assert discovery.headers["cache-control"] == "public, max-age=300"
    assert discovery.json()["issuer"] == "https://station.example.com/keys"
    assert discovery.json()["jwks_uri"] == "https://station.example.com/keys/.well-known/jwks"
    for _ in range(2):
        (key,) = cloud.get("/.well-known/jwks").json()["keys"]
        assert (key["kty"], key["alg"], key["use"]) == ("RSA", "RS256", "sig")
    # The name opens nothing else.
    assert cloud.get("/api/v1/stacks").status_code == 421


def test_the_operator_replaces_the_keys_at_once(ports: Ports, store: SqlStore) -> None:
    issuer = Issuer(store, "https://station.example.com")
    old = issuer.sign({"sub": "a"}, ports.now())
    with Client(WarmApp(replace(ports, issuer=issuer))) as operator:
        key = operator.post("/api/v1/issuer/rotate").json()["key"]
        assert [each["kid"] for each in operator.get("/.well-known/jwks").json()["keys"]] == [key]
    assert issuer.read(old, ports.now()) is None
    assert issuer.read(issuer.sign({"sub": "a"}, ports.now()), ports.now()) is not None
    with store.reading() as reading:
        (row,) = reading.audit(0, 10)
    assert (row.event.event, row.event.person, row.event.details) == ("issuer-rotated", "operator", {"key": key})


def test_without_an_issuer_there_is_nothing(client: Client) -> None:
    answer = client.get("/.well-known/jwks")
    assert client.post("/api/v1/issuer/rotate").status_code == 404
    assert (answer.status_code, json.loads(answer.text)["reason"]) == (404, "NotFound")
