from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from reconciler.core.results import Output, Resource
from reconciler.core.runs import RunStatus
from reconciler.core.state import (
    Component,
    Condition,
    ConditionStatus,
    ConditionType,
    SourceCommit,
    StackState,
    Sync,
    Why,
)
from reconciler.store.sql import SqlStore
from reconciler.web.ports import Ports
from spaces.effective.stack import EffectiveStack, effective
from spaces.names import StackId
from spaces.validate import examine_files
from tests.factories import (
    NOW,
    OTHER_REVISION,
    REVISION,
    a_desired,
    a_run,
    a_stack,
    a_stack_id,
    an_applied,
    record_results,
)
from tests.integration.web.client import Client, ids
from tests.integration.web.warm import WarmApp

NETWORK = a_stack_id("production/network")
STACKS = "/api/v1/stacks"
PATH = f"{STACKS}/production/network"


def put(store: SqlStore, *stacks: StackState) -> None:
    with store.writing() as transaction:
        transaction.put_stacks(stacks)


def test_a_stack_has_the_shape_that_programs_rely_on(client: Client, store: SqlStore) -> None:
    ready = Condition(ConditionStatus.FALSE, "Changed", "what is desired differs", NOW)
    stack = a_stack(
        NETWORK,
        desired=a_desired(tool="terraform", labels={"tier": "base"}, revision=OTHER_REVISION),
        applied=an_applied(revision=REVISION, source=SourceCommit("production/infra", REVISION, "user:bob")),
        sync=Sync.OUT_OF_SYNC,
        reason="Changed",
        why=(Why(Component.SOURCE, "2 files under modules/vpc"),),
        conditions={ConditionType.READY: ready},
    )
    run = a_run(NETWORK, revision=OTHER_REVISION, status=RunStatus.FAILED)
    put(store, stack)
    with store.writing() as transaction:
        transaction.add_runs([run])
    assert client.get(PATH).json() == {
        "id": "production/network",
        "space": "production",
        "name": "network",
        "tool": "terraform",
        "labels": {"tier": "base"},
        "sync": "OutOfSync",
        "reason": "Changed",
        "why": [{"component": "source", "summary": "2 files under modules/vpc"}],
        "conditions": {
            "Ready": {
                "status": "False",
                "reason": "Changed",
                "message": "what is desired differs",
                "since": "2026-03-01T12:00:00Z",
            }
        },
        "desiredRevision": OTHER_REVISION,
        "attemptedRevision": OTHER_REVISION,
        "appliedRevision": REVISION,
        "appliedAt": "2026-03-01T12:00:00Z",
        "source": None,
        "appliedSource": {"repository": "production/infra", "revision": REVISION, "author": "user:bob"},
        "lastRun": {"id": run.id, "kind": "tracked", "status": "failed"},
        "autodeploy": True,
        "suspended": False,
        "lock": None,
        "pin": None,
        "pool": "default",
        "retained": False,
        "dependencies": [],
        "dependents": [],
        "next": [],
        "frozen": None,
        "interrupted": None,
        "waits": None,
    }
    shown = client.get(PATH).json()
    del shown["dependencies"], shown["dependents"], shown["next"], shown["frozen"], shown["interrupted"], shown["waits"]
    assert client.get(STACKS).json() == {"items": [shown], "next": None}


def test_a_retained_stack_says_so(client: Client, store: SqlStore) -> None:
    put(store, a_stack(NETWORK, desired=None, applied=an_applied()))
    shown = client.get(PATH).json()
    assert (shown["retained"], shown["tool"], shown["appliedRevision"]) == (True, None, REVISION)


@pytest.mark.parametrize(
    ("params", "found"),
    [
        pytest.param({}, ["platform/base", "production/db", "production/network"], id="all"),
        pytest.param({"space": "platform"}, ["platform/base"], id="one space"),
        pytest.param(
            {"space": "platform", "subtree": True},
            ["platform/base", "production/db", "production/network"],
            id="a subtree",
        ),
        pytest.param({"label": "tier=base"}, ["platform/base", "production/network"], id="a label"),
        pytest.param({"label": ["tier=base", "team=a"]}, ["production/network"], id="two labels"),
        pytest.param({"label": "tier="}, [], id="a label that is empty"),
        pytest.param({"sync": "Synced"}, ["production/db"], id="sync"),
        pytest.param({"tool": "terraform"}, ["production/network"], id="tool"),
        pytest.param({"q": "on/net"}, ["production/network"], id="text"),
        pytest.param({"q": "%"}, [], id="text that is no pattern"),
        pytest.param({"sync": "Synced", "tool": "terraform"}, [], id="all of them must fit"),
    ],
)
def test_filters(client: Client, store: SqlStore, params: dict[str, Any], found: list[str]) -> None:
    put(
        store,
        a_stack("platform/base", desired=a_desired(labels={"tier": "base"})),
        a_stack("production/db", sync=Sync.SYNCED),
        a_stack(NETWORK, desired=a_desired(labels={"tier": "base", "team": "a"}, tool="terraform")),
    )
    assert ids(client.get(STACKS, **params).json()) == found


def test_pages_follow_each_other_without_a_gap(client: Client, store: SqlStore) -> None:
    put(store, *(a_stack(f"production/s{number}") for number in range(5)))
    pages, cursor = [], None
    while True:
        page = client.get(STACKS, limit=2, **({"cursor": cursor} if cursor else {})).json()
        pages.append(ids(page))
        cursor = page["next"]
        if cursor is None:
            break
    assert pages == [["production/s0", "production/s1"], ["production/s2", "production/s3"], ["production/s4"]]


@pytest.mark.parametrize(
    ("params", "field"),
    [
        pytest.param({"limit": 0}, "limit", id="limit 0"),
        pytest.param({"limit": 1001}, "limit", id="limit above 1000"),
        pytest.param({"limit": "many"}, "limit", id="limit that is no number"),
        pytest.param({"sync": "Sunk"}, "sync", id="unknown sync"),
        pytest.param({"tool": "bogus"}, "tool", id="unknown tool"),
        pytest.param({"cursor": "nonsense"}, "cursor", id="no cursor"),
        pytest.param({"label": "tier"}, "label", id="label without ="),
        pytest.param({"subtree": "maybe"}, "subtree", id="subtree that is no flag"),
    ],
)
def test_a_wrong_parameter_is_named(client: Client, params: dict[str, Any], field: str) -> None:
    answer = client.get(STACKS, **params)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert (problem["status"], problem["reason"]) == (422, "Invalid")
    assert [error["field"] for error in problem["errors"]] == [field]


@pytest.mark.parametrize("rest", ["", "/runs", "/resources", "/outputs", "/effective"])
def test_what_is_not_there_is_not_found(client: Client, rest: str) -> None:
    for stack in ("production/none", "nowhere/network", "Production/Net_work", "production/%0a"):
        answer = client.get(f"{STACKS}/{stack}{rest}")
        assert (answer.status_code, answer.json()["reason"]) == (404, "NotFound"), stack


def test_a_space_that_is_not_there_is_not_found(client: Client) -> None:
    assert client.get(STACKS, space="nowhere").status_code == 404


def test_runs_come_newest_first_in_pages(client: Client, store: SqlStore) -> None:
    put(store, a_stack(NETWORK), a_stack("production/db"))
    runs = [a_run(NETWORK, status=RunStatus.FINISHED) for _ in range(3)]
    with store.writing() as transaction:
        transaction.add_runs([*runs, a_run("production/db")])
    first = client.get(f"{PATH}/runs", limit=2).json()
    assert ids(first) == [runs[2].id, runs[1].id]
    assert ids(client.get(f"{PATH}/runs", limit=2, cursor=first["next"]).json()) == [runs[0].id]


def test_resources_and_outputs_come_in_pages(client: Client, store: SqlStore) -> None:
    put(store, a_stack(NETWORK))
    resources = [Resource(f"data.{number}", "data", "p", {"n": number}) for number in range(3)]
    outputs = [Output("b", {"deep": [1]}), Output("a", "x")]
    with store.writing() as transaction:
        record_results(transaction, NETWORK, resources, outputs)
    first = client.get(f"{PATH}/resources", limit=2).json()
    assert [item["address"] for item in first["items"]] == ["data.0", "data.1"]
    assert first["items"][0] == {"address": "data.0", "type": "data", "provider": "p", "attributes": {"n": 0}}
    second = client.get(f"{PATH}/resources", limit=2, cursor=first["next"]).json()
    assert ([item["address"] for item in second["items"]], second["next"]) == (["data.2"], None)
    assert client.get(f"{PATH}/outputs").json()["items"] == [
        {"name": "a", "value": "x", "sensitive": False},
        {"name": "b", "value": {"deep": [1]}, "sensitive": False},
    ]


def test_a_sensitive_output_is_never_shown(client: Client, store: SqlStore) -> None:
    put(store, a_stack(NETWORK))
    with store.writing() as transaction:
        record_results(transaction, NETWORK, [], [Output("password", "hunter2", sensitive=True)])
    answer = client.get(f"{PATH}/outputs")
    assert answer.json()["items"] == [{"name": "password", "value": None, "sensitive": True}]
    assert "hunter2" not in answer.text


CONFIGURATION = b"""
apiVersion: stationkeeper/v1
kind: Context
metadata: {name: common}
spec:
  env: {LEVEL: info, REGION: eu}
  hooks: {before: {plan: ["echo common"]}}
---
apiVersion: stationkeeper/v1
kind: Stack
metadata: {name: web}
spec:
  tool: script
  script: {apply: "true"}
  contexts: [common]
  env: {LEVEL: debug}
  files: {~/a.txt: {text: hello, executable: true}}
  hooks: {before: {plan: ["echo own"]}}
"""


def test_every_effective_value_says_where_it_comes_from(ports: Ports) -> None:
    files = {"a.yaml": CONFIGURATION}
    documents = examine_files(files).documents

    def find(stack: StackId) -> EffectiveStack | None:
        return effective(documents, stack) if stack in documents.stacks() else None

    with Client(WarmApp(replace(ports, effective=find))) as client:
        shown = client.get(f"{STACKS}/root/web/effective").json()
        assert client.get(f"{STACKS}/root/other/effective").status_code == 404
    written = {"version": None, "instance": None}
    own = {"kind": "Stack", "space": "root", "name": "web"} | written
    common = {"kind": "Context", "space": "root", "name": "common"} | written
    inline = {"source": None}
    assert shown["env"] == [
        {"name": "LEVEL", "value": "debug", "size": 5, "origin": own, "overrides": [common]} | inline,
        {"name": "REGION", "value": "eu", "size": 2, "origin": common, "overrides": []} | inline,
    ]
    file = {"name": "~/a.txt", "value": "hello", "size": 5, "executable": True}
    assert shown["files"] == [file | {"origin": own, "overrides": []} | inline]
    assert [(hook["command"], hook["origin"]) for hook in shown["hooks"]] == [
        ("echo common", common),
        ("echo own", own),
    ]
    assert (shown["stack"], shown["tool"], shown["source"], shown["contexts"]) == (
        "root/web",
        "script",
        None,
        ["root/common"],
    )
    how = {"how": "named, priority 0", "priority": 0, "labels": None}
    assert shown["attached"] == [{"space": "root", "name": "common"} | how]


def test_a_run_is_queued_on_request_and_the_loop_is_woken(client: Client, store: SqlStore, woken: list[bool]) -> None:
    put(store, a_stack(NETWORK))
    answer = client.post(f"{PATH}/runs")
    assert answer.status_code == 201
    run = answer.json()
    assert (run["status"], run["stack"], run["person"]) == ("queued", "production/network", "operator")
    assert woken == [True]
    refused = client.post(f"{PATH}/runs")
    assert (refused.status_code, refused.json()["reason"]) == (409, "AlreadyRunning")
    assert run["id"] in refused.json()["detail"]


def test_suspend_and_resume(client: Client, store: SqlStore, woken: list[bool]) -> None:
    put(store, a_stack(NETWORK))
    assert client.post(f"{PATH}/suspend").json()["suspended"] is True
    assert client.get(PATH).json()["suspended"] is True
    assert client.post(f"{PATH}/runs").json()["reason"] == "Suspended"
    assert client.post(f"{PATH}/resume").json()["suspended"] is False
    assert woken == [True, True]


@pytest.mark.parametrize("verb", ["runs", "suspend", "resume"])
def test_nothing_can_be_asked_of_a_stack_that_is_not_there(client: Client, verb: str, woken: list[bool]) -> None:
    assert client.post(f"{STACKS}/production/none/{verb}").status_code == 404
    assert woken == []


@pytest.mark.parametrize(("count", "status"), [(100, 200), (3000, 422)])
def test_a_filter_has_not_any_number_of_labels(client: Client, count: int, status: int) -> None:
    assert client.get(STACKS, label=[f"l{n}=x" for n in range(count)]).status_code == status
