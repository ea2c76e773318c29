from __future__ import annotations

import base64
import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from reconciler.core.runs import ProposedRef, Run, RunStatus
from reconciler.store.sql import SqlStore
from reconciler.store.stored import TfstateLock
from reconciler.tokens import mint_tokens
from reconciler.web.api.tfstate import tfstate_path
from reconciler.web.server import HttpServer
from tests.factories import NOW, a_run, a_stack, a_stack_id
from tests.integration.web.client import OPERATOR_TOKEN, Client
from tests.needs import needs

NETWORK = a_stack_id("production/network")
PATH = "/api/v1/tfstate/production/network"
TFSTATE = {"version": 4, "serial": 1, "lineage": "l", "resources": []}


def lock_info(lock_id: str) -> dict[str, str]:
    return {"ID": lock_id, "Operation": "OperationTypeApply", "Who": "somebody@somewhere"}


@dataclass
class Opened:
    run: Run
    token: str
    client: Client

    def lock(self, lock_id: str) -> httpx.Response:
        return self.client.request("LOCK", PATH, json=lock_info(lock_id))

    def unlock(self, lock_id: str) -> httpx.Response:
        return self.client.request("UNLOCK", PATH, json=lock_info(lock_id))

    def write(self, serial: int, lock_id: str | None = None) -> httpx.Response:
        params = {"ID": lock_id} if lock_id is not None else {}
        return self.client.request("POST", PATH, params=params, json=TFSTATE | {"serial": serial})


def open_run(store: SqlStore, app: FastAPI, status: RunStatus = RunStatus.PLANNING) -> Opened:
    run = a_run(NETWORK, status=status)
    with store.writing() as transaction:
        transaction.put_stacks([a_stack(NETWORK)])
        transaction.add_runs([run])
        token = mint_tokens(transaction, [run])[run.id]
    return Opened(run, token, Client(app, token))


def end_run(store: SqlStore, run: Run) -> None:
    with store.writing() as transaction:
        transaction.put_run(run.evolve(status=RunStatus.FAILED, finished_at=NOW))


@pytest.fixture
def opened(store: SqlStore, app: FastAPI) -> Iterator[Opened]:
    opened = open_run(store, app)
    with opened.client:
        yield opened


def test_nothing_stored_yet_is_no_content(opened: Opened) -> None:
    assert opened.client.get(PATH).status_code == 204


def test_what_is_written_is_read_back_and_every_version_is_kept(opened: Opened, store: SqlStore) -> None:
    assert opened.lock("one").status_code == 200
    assert opened.write(1, "one").status_code == 200
    assert opened.write(2, "one").status_code == 200
    assert opened.unlock("one").status_code == 200
    read = opened.client.get(PATH)
    assert (read.status_code, read.json()) == (200, TFSTATE | {"serial": 2})
    of_unit = {"unit": "net/eu & us"}
    assert opened.client.get(PATH, **of_unit).status_code == 204
    assert opened.client.request("LOCK", PATH, json=lock_info("two"), params=of_unit).status_code == 200
    assert (
        opened.client.request("POST", PATH, json=TFSTATE | {"serial": 7}, params={**of_unit, "ID": "two"}).status_code
        == 200
    )
    assert opened.client.get(PATH, **of_unit).json()["serial"] == 7
    assert opened.client.request("UNLOCK", PATH, json=lock_info("two"), params=of_unit).status_code == 200
    assert opened.client.get(PATH).json()["serial"] == 2
    assert opened.client.get(PATH, unit="x" * 1001).status_code == 400
    with store.reading() as reading:
        versions = [reading.tfstate(NETWORK, version) for version in (1, 2)]
        assert reading.tfstate_locks(NETWORK) == []
    assert [(each.serial, each.run) for each in versions if each] == [(1, opened.run.id), (2, opened.run.id)]


def test_a_token_works_as_the_password_of_basic(opened: Opened, app: FastAPI) -> None:
    with Client(app, token=None) as client:
        answer = client.request("GET", PATH, auth=httpx.BasicAuth("station", opened.token))
    assert answer.status_code == 204


def test_who_holds_the_lock_is_told_to_the_next(opened: Opened) -> None:
    assert opened.lock("one").status_code == 200
    second = opened.lock("two")
    assert (second.status_code, second.json()) == (423, lock_info("one"))


def test_the_tfstate_comes_with_the_lock_for_those_who_prefer_that(opened: Opened) -> None:
    def lock(lock_id: str) -> httpx.Response:
        prefer = {"Prefer": "return=representation"}
        return opened.client.request("LOCK", PATH, json=lock_info(lock_id), headers=prefer)

    first = lock("one")
    assert (first.status_code, first.headers["Preference-Applied"]) == (204, "return=representation")
    opened.write(1, "one")
    again = lock("one")
    assert (again.status_code, again.json()["serial"]) == (200, 1)
    other = lock("two")
    assert (other.status_code, other.json()["ID"]) == (423, "one")
    assert "Preference-Applied" not in other.headers
    assert opened.lock("one").content == b""


@pytest.mark.parametrize(
    ("held", "sent", "status"),
    [
        pytest.param("one", "one", 200, id="the lock that is held"),
        pytest.param("one", "two", 423, id="another lock than the one held"),
        pytest.param("one", None, 423, id="no lock, while one is held"),
        pytest.param(None, "one", 409, id="a lock that was released or taken over: run the command again"),
        pytest.param(None, None, 200, id="no lock, and none is held"),
    ],
)
def test_a_write_needs_the_lock_that_is_held(
    opened: Opened, store: SqlStore, held: str | None, sent: str | None, status: int
) -> None:
    if held is not None:
        opened.lock(held)
    assert opened.write(1, sent).status_code == status
    with store.reading() as reading:
        assert (reading.tfstate(NETWORK) is not None) == (status == 200)


def test_a_plan_of_what_nobody_has_merged_writes_none(opened: Opened, store: SqlStore) -> None:
    with store.writing() as transaction:
        transaction.put_run(opened.run.evolve(proposes=ProposedRef("feature", opened.run.revision)))
    opened.lock("one")
    assert (opened.client.get(PATH).status_code, opened.write(1, "one").status_code) == (204, 403)
    assert opened.unlock("one").status_code == 200
    with store.writing() as transaction:
        transaction.lock_tfstate(TfstateLock(NETWORK, "theirs", lock_info("theirs"), None, NOW))
    assert (opened.lock("one").status_code, opened.unlock("theirs").status_code) == (423, 409)


def test_unlock_by_another_id_is_refused_and_names_the_holder(opened: Opened) -> None:
    opened.lock("one")
    refused = opened.unlock("two")
    assert (refused.status_code, refused.json()) == (409, lock_info("one"))
    assert opened.unlock("one").status_code == 200
    assert opened.lock("two").status_code == 200


def test_a_lock_that_a_dead_run_left_over_is_taken(opened: Opened, store: SqlStore, app: FastAPI) -> None:
    opened.lock("one")
    end_run(store, opened.run)
    later = open_run(store, app)
    with later.client:
        assert later.lock("two").status_code == 200
        assert later.write(1, "two").status_code == 200


@pytest.mark.parametrize("method", ["GET", "POST", "LOCK", "UNLOCK", "DELETE"])
@pytest.mark.parametrize(
    ("token", "status"),
    [
        pytest.param(None, 401, id="no token"),
        pytest.param("wrong", 401, id="wrong token"),
        pytest.param(OPERATOR_TOKEN, 401, id="the operator's token"),
    ],
)
def test_only_a_runs_token_opens_a_tfstate(
    opened: Opened, app: FastAPI, method: str, token: str | None, status: int
) -> None:
    with Client(app, token) as client:
        answer = client.request(method, PATH, json=lock_info("one"))
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("method", ["GET", "POST", "LOCK", "UNLOCK", "DELETE"])
def test_a_token_opens_its_own_stack_only(opened: Opened, method: str) -> None:
    for path in ("production/other", "platform/network", "nowhere/at-all", "Bad/Name"):
        answer = opened.client.request(method, f"/api/v1/tfstate/{path}", json=lock_info("one"))
        assert answer.status_code == 403, path


@pytest.mark.parametrize("method", ["GET", "POST", "LOCK", "UNLOCK"])
def test_the_token_of_a_run_that_has_ended_opens_nothing(opened: Opened, store: SqlStore, method: str) -> None:
    end_run(store, opened.run)
    assert opened.client.request(method, PATH, json=lock_info("one")).status_code == 401


def test_nothing_is_deleted(opened: Opened, store: SqlStore) -> None:
    opened.write(1)
    assert opened.client.request("DELETE", PATH).status_code == 405
    with store.reading() as reading:
        assert reading.tfstate(NETWORK) is not None


@pytest.mark.parametrize(
    ("method", "body"),
    [
        pytest.param("POST", b"", id="empty tfstate"),
        pytest.param("POST", b"{", id="half a tfstate"),
        pytest.param("POST", b"[]", id="a tfstate that is a list"),
        pytest.param("POST", b"[" * 100_000, id="a deep tfstate"),
        pytest.param("LOCK", b"", id="empty lock"),
        pytest.param("LOCK", b"{}", id="a lock without id"),
        pytest.param("LOCK", b'{"ID": 5}', id="a lock with a number"),
        pytest.param("UNLOCK", b"", id="empty unlock"),
    ],
)
def test_what_is_not_a_tfstate_or_lock_is_refused(opened: Opened, store: SqlStore, method: str, body: bytes) -> None:
    assert opened.client.request(method, PATH, content=body).status_code == 400
    with store.reading() as reading:
        assert reading.tfstate(NETWORK) is None
        assert reading.tfstate_lock(NETWORK) is None


def test_a_body_that_was_damaged_on_its_way_is_refused(opened: Opened) -> None:
    headers = {"Content-MD5": base64.b64encode(b"0" * 16).decode()}
    answer = opened.client.request("POST", PATH, json=TFSTATE, headers=headers)
    assert (answer.status_code, answer.json()["reason"]) == (400, "Corrupted")


def test_a_lock_of_more_than_its_limit_is_refused(opened: Opened) -> None:
    assert opened.client.request("LOCK", PATH, json={"ID": "x", "Info": "y" * 70_000}).status_code == 413


MAIN = """
terraform {
  backend "http" {}
}
resource "terraform_data" "one" { input = "hello" }
"""


@needs("terraform")
def test_terraform_itself_as_the_client(opened: Opened, server: HttpServer, store: SqlStore, tmp_path: Path) -> None:
    directory = tmp_path / "work"
    directory.mkdir()
    (directory / "main.tf").write_text(MAIN)
    (tmp_path / "rc").write_text("")
    address = server.url + tfstate_path(NETWORK)
    env = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "TF_CLI_CONFIG_FILE": str(tmp_path / "rc"),
        "CHECKPOINT_DISABLE": "1",
        "TF_HTTP_ADDRESS": address,
        "TF_HTTP_LOCK_ADDRESS": address,
        "TF_HTTP_UNLOCK_ADDRESS": address,
        "TF_HTTP_USERNAME": "station",
        "TF_HTTP_PASSWORD": opened.token,
    }

    def terraform(*arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["terraform", *arguments], cwd=directory, env=env | more, capture_output=True, text=True, check=False
        )

    assert terraform("init", "-input=false").returncode == 0
    applied = terraform("apply", "-auto-approve", "-input=false")
    assert applied.returncode == 0, applied.stderr
    assert "1 added" in applied.stdout
    assert terraform("plan", "-detailed-exitcode", "-input=false").returncode == 0
    with store.reading() as reading:
        found = reading.tfstate(NETWORK)
        assert found is not None
        assert json.loads(found.body)["resources"][0]["name"] == "one"
        assert found.run == opened.run.id
        assert reading.tfstate_lock(NETWORK) is None

    with httpx.Client(headers={"Authorization": f"Bearer {opened.token}"}) as client:
        assert client.request("LOCK", address, json=lock_info("somebody")).status_code == 200
    blocked = terraform("plan", "-input=false", "-lock-timeout=0s")
    assert blocked.returncode == 1
    assert "Error acquiring the state lock" in blocked.stderr

    wrong = terraform("plan", "-input=false", "-lock=false", TF_HTTP_PASSWORD="wrong")
    assert wrong.returncode == 1
    assert "1 to add" not in wrong.stdout
