"""The tfstates that the service keeps, through the doors for people."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from sqlalchemy import update

from reconciler.core.results import ChangeCounts
from reconciler.core.runs import RunStatus
from reconciler.store.sql import SqlStore
from reconciler.store.stored import TfstateLock
from reconciler.store.tables import tfstates
from tests.factories import NOW, a_run, a_stack, a_stack_id
from tests.integration.web.client import Client

STACK = a_stack_id("production/network")
PATH = "/api/v1/tfstates/production/network"


def body(serial: int, lineage: str = "l1", **more: Any) -> bytes:
    return json.dumps({"version": 4, "serial": serial, "lineage": lineage, **more}).encode()


@pytest.fixture
def kept(store: SqlStore) -> SqlStore:
    """A stack with two versions of its tfstate."""
    with store.writing() as transaction:
        transaction.put_stacks([a_stack(STACK)])
        transaction.add_tfstate(STACK, body(1, outputs={"password": "hunter2"}), "run-1", NOW)
        transaction.add_tfstate(STACK, body(2), "run-2", NOW)
    return store


def push(client: Client, content: bytes, **params: Any) -> httpx.Response:
    return client.post(f"{PATH}/versions", content=content, params=params)


def versions(client: Client) -> list[tuple[int, int | None, str | None]]:
    found = client.get(f"{PATH}/versions").json()["items"]
    return [(it["version"], it["serial"], it["run"] or it["person"]) for it in found]


def events(store: SqlStore) -> list[str]:
    with store.reading() as reading:
        return [row.event.event for row in reading.audit(0, 100)]


def test_versions_are_listed_without_their_content_and_read_with_it(client: Client, kept: SqlStore) -> None:
    assert versions(client) == [(2, 2, "run-2"), (1, 1, "run-1")]
    first = client.get(f"{PATH}/versions", limit=1).json()
    assert [it["version"] for it in client.get(f"{PATH}/versions", cursor=first["next"]).json()["items"]] == [1]
    assert "hunter2" not in client.get(f"{PATH}/versions").text
    assert events(kept) == []
    assert client.get(f"{PATH}/versions/1").json()["outputs"] == {"password": "hunter2"}
    assert events(kept) == ["tfstate-read"]
    assert client.get(f"{PATH}/versions/9").json()["detail"] == (
        "there is no version 9 of the tfstate of production/network here"
    )


def test_what_is_pushed_follows_the_newest_version(client: Client, kept: SqlStore) -> None:
    made = push(client, body(3), note="moved by hand")
    assert (made.status_code, made.json()["version"], made.json()["note"]) == (201, 3, "moved by hand")
    assert versions(client)[0] == (3, 3, "operator")
    assert events(kept) == ["tfstate-written"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (body(2), "the serial 2, which is not above 2"),
        (body(9, "other"), "the lineage 'other', and version 2 has 'l1'"),
        (b"[]", "not a JSON object"),
        (b"\xff", "not a JSON object"),
        (body(3, gone=float("nan")), "not a JSON object"),
        (body(2**63), "its serial is not between 0 and 9223372036854775807"),
    ],
)
def test_what_does_not_follow_is_refused(client: Client, kept: SqlStore, content: bytes, words: str) -> None:
    refused = push(client, content)
    assert (refused.status_code, refused.json()["reason"]) == (409, "TfstateUnfit")
    assert words in refused.json()["detail"]
    assert len(versions(client)) == 2


def test_a_copy_from_elsewhere_replaces_what_no_key_opens(client: Client, kept: SqlStore) -> None:
    with kept.writing() as transaction:
        transaction._connection.execute(update(tfstates).values(sealed=b"lost"))
    assert client.get(f"{PATH}/versions/2").json()["reason"] == "CannotUnseal"
    assert [push(client, body(2)).status_code, push(client, body(3)).status_code] == [409, 201]


def test_it_can_be_forced_but_never_beside_a_run_or_a_lock(client: Client, kept: SqlStore) -> None:
    assert push(client, body(1, "other"), force=True).status_code == 201
    lock = TfstateLock(STACK, "l", {"Who": "ada@laptop"}, None, NOW)
    with kept.writing() as transaction:
        transaction.lock_tfstate(lock)
    assert "locked by ada@laptop" in push(client, body(9, "other")).json()["detail"]
    assert client.request("DELETE", f"{PATH}/lock").json()["who"] == "ada@laptop"
    assert client.request("DELETE", f"{PATH}/lock").status_code == 404
    with kept.writing() as transaction:
        transaction.add_runs([a_run(STACK, status=RunStatus.APPLYING)])
    assert push(client, body(9, "other")).json()["reason"] == "AlreadyRunning"


def test_a_lock_of_an_active_run_stays(client: Client, kept: SqlStore) -> None:
    run = a_run(STACK, status=RunStatus.APPLYING)
    with kept.writing() as transaction:
        transaction.add_runs([run])
        transaction.lock_tfstate(TfstateLock(STACK, "l", {}, run.id, NOW))
    assert client.request("DELETE", f"{PATH}/lock").json()["reason"] == "StillActive"
    assert client.get(PATH).json()["lock"]["run"] == run.id


def test_rolling_back_makes_a_new_version_above_all_others(client: Client, kept: SqlStore) -> None:
    made = client.post(f"{PATH}/versions/1/rollback")
    assert (made.status_code, made.json()["serial"], made.json()["note"]) == (201, 3, "back to version 1")
    assert client.get(f"{PATH}/versions/3").json()["outputs"] == {"password": "hunter2"}


def test_what_is_known_of_an_interrupted_apply_is_said(client: Client, kept: SqlStore) -> None:
    run = a_run(STACK, status=RunStatus.INTERRUPTED, changes=ChangeCounts(create=2, delete=1), finished_at=NOW)
    with kept.writing() as transaction:
        transaction.put_stacks([a_stack(STACK, interrupted=True)])
        transaction.add_runs([run])
        transaction.lock_tfstate(TfstateLock(STACK, "l", {}, run.id, NOW))
    found = client.get("/api/v1/stacks/production/network").json()["interrupted"]
    assert (found["run"], found["tfstate"]["newest"]["serial"], found["planned"]["create"]) == (run.id, 2, 2)
    assert found["said"] == [
        "it was to apply a plan with 2 to create, 1 to delete",
        "it wrote no tfstate: the newest is version 2, from before it",
        "it still holds the lock of the tfstate, since 2026-03-01 12:00 UTC; station tfstate unlock ends it",
    ]
    with kept.writing() as transaction:
        transaction.add_tfstate(STACK, body(3), run.id, NOW)
        transaction.unlock_tfstate(STACK, None)
    found = client.get("/api/v1/stacks/production/network").json()["interrupted"]
    assert found["said"][1:] == [
        "it still wrote version 3 of the tfstate (serial 3)",
        "nobody holds the lock of the tfstate",
    ]
