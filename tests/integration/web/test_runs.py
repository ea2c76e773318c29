from __future__ import annotations

from dataclasses import replace

import pytest

from reconciler.core.phases import Phase
from reconciler.core.results import Action, ChangeCounts, Planned, ResourceChange
from reconciler.core.runs import Run, RunId, RunKind, RunStatus
from reconciler.core.state import Component, SourceCommit, Why
from reconciler.metrics import Metrics
from reconciler.store.sql import SqlStore
from reconciler.web.ports import Ports
from tests.factories import OTHER_REVISION, REVISION, a_run, a_run_id, a_stack, a_stack_id
from tests.integration.web.client import Client, ids
from tests.integration.web.warm import WarmApp

NETWORK = a_stack_id("production/network")
RUNS = "/api/v1/runs"


def put(store: SqlStore, *runs: Run) -> None:
    with store.writing() as transaction:
        transaction.put_stacks([a_stack(stack) for stack in {run.stack for run in runs}])
        assert transaction.add_runs(runs) == [run.id for run in runs]


def test_a_run_has_the_shape_that_programs_rely_on(client: Client, store: SqlStore) -> None:
    run = a_run(
        NETWORK,
        status=RunStatus.UNCONFIRMED,
        phase=Phase.PLAN,
        reason="WaitsForConfirmation",
        message="2 changes",
        why=(Why(Component.SPEC, "env LOG_LEVEL"),),
        person="alice",
        source=SourceCommit("production/infra", OTHER_REVISION, "user:bob"),
        changes=ChangeCounts(1, 0, 0, 1),
        needs_confirmation=True,
        attempt=1,
        phase_seconds={Phase.INIT: 0.5, Phase.PLAN: 1.25},
    )
    put(store, run)
    assert client.get(f"{RUNS}/{run.id}").json() == {
        "id": run.id,
        "stack": "production/network",
        "kind": "tracked",
        "status": "unconfirmed",
        "phase": "plan",
        "reason": "WaitsForConfirmation",
        "message": "2 changes",
        "revision": REVISION,
        "person": "alice",
        "source": {"repository": "production/infra", "revision": OTHER_REVISION, "author": "user:bob"},
        "why": [{"component": "spec", "summary": "env LOG_LEVEL"}],
        "changes": {
            "create": 1,
            "update": 0,
            "delete": 0,
            "replace": 1,
            "forget": 0,
            "import": 0,
            "move": 0,
            "outputs": 0,
        },
        "needsConfirmation": True,
        "confirmedBy": None,
        "frozen": False,
        "through": None,
        "targets": [],
        "proposes": None,
        "prioritized": False,
        "refreshes": False,
        "cancelRequested": False,
        "attempt": 1,
        "retry": 0,
        "pool": "default",
        "phaseSeconds": {"init": 0.5, "plan": 1.25},
        "createdAt": "2026-03-01T12:00:00Z",
        "startedAt": None,
        "finishedAt": None,
        "awaitsApproval": False,
        "follows": [],
        "policies": [],
        "reviews": [],
    }


def test_listing_filters_and_pages(client: Client, store: SqlStore) -> None:
    old = a_run(NETWORK, status=RunStatus.FAILED)
    new = a_run(NETWORK, status=RunStatus.PLANNING)
    other = a_run("platform/base", status=RunStatus.FINISHED, kind=RunKind.DRIFT)
    put(store, old, new, other)
    assert ids(client.get(RUNS).json()) == [other.id, new.id, old.id]
    assert ids(client.get(RUNS, status=["failed", "finished"]).json()) == [other.id, old.id]
    assert ids(client.get(RUNS, kind="drift").json()) == [other.id]
    assert ids(client.get(RUNS, space="platform").json()) == [other.id]
    assert ids(client.get(RUNS, space="platform", subtree=True).json()) == [other.id, new.id, old.id]
    first = client.get(RUNS, limit=2).json()
    assert (ids(first), ids(client.get(RUNS, cursor=first["next"]).json())) == ([other.id, new.id], [old.id])


@pytest.mark.parametrize(
    ("params", "status"),
    [
        pytest.param({"status": "sleeping"}, 422, id="unknown status"),
        pytest.param({"cursor": "nonsense"}, 422, id="no cursor"),
        pytest.param({"kind": "walk"}, 422, id="unknown kind"),
        pytest.param({"prefix": "../x"}, 422, id="a prefix that no id has"),
        pytest.param({"space": "nowhere"}, 404, id="unknown space"),
    ],
)
def test_wrong_filters_are_refused(client: Client, params: dict[str, str], status: int) -> None:
    assert client.get(RUNS, **params).status_code == status


def test_runs_are_found_by_the_beginning_of_their_id(client: Client, store: SqlStore) -> None:
    runs = [a_run(NETWORK, id=RunId(text.ljust(26, "0")), status=RunStatus.FINISHED) for text in ("01aa", "01ab", "02")]
    put(store, *runs)
    assert ids(client.get(RUNS, prefix="01").json()) == [runs[1].id, runs[0].id]
    assert ids(client.get(RUNS, prefix="01aa").json()) == [runs[0].id]
    assert ids(client.get(RUNS, prefix=runs[2].id).json()) == [runs[2].id]
    assert ids(client.get(RUNS, prefix="03").json()) == []
    assert ids(client.get(RUNS, prefix="0" * 26).json()) == []
    assert ids(client.get(RUNS, ending="aa" + "0" * 22).json()) == [runs[0].id]
    assert ids(client.get(RUNS, ending="0").json()) == [runs[2].id, runs[1].id, runs[0].id]


@pytest.mark.parametrize("run", [a_run_id(), "short", "x" * 300, "%2e%2e", "01%0a"])
@pytest.mark.parametrize("rest", ["", "/plan", "/log"])
def test_a_run_that_is_not_there(client: Client, run: str, rest: str) -> None:
    answer = client.get(f"{RUNS}/{run}{rest}")
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")


def test_the_plan(client: Client, store: SqlStore) -> None:
    run = a_run(NETWORK, status=RunStatus.UNCONFIRMED)
    put(store, run)
    assert client.get(f"{RUNS}/{run.id}/plan").status_code == 404
    change = ResourceChange("data.one", "data", "p", Action.UPDATE, {"n": 1}, {"n": 2})
    with store.writing() as transaction:
        transaction.record_plans({run.id: Planned(has_changes=True, changes=(change,), facts={"cost": {"monthly": 3}})})
    assert client.get(f"{RUNS}/{run.id}/plan").json() == {
        "run": run.id,
        "toolVersion": None,
        "hasChanges": True,
        "changes": [
            {
                "address": "data.one",
                "type": "data",
                "provider": "p",
                "action": "update",
                "before": {"n": 1},
                "after": {"n": 2},
                "movedFrom": None,
                "importedId": None,
            }
        ],
        "drifted": [],
        "facts": {"cost": {"monthly": 3}},
        "outputs": [],
    }


def read_all(client: Client, run: Run, limit: int) -> tuple[str, bool]:
    text, offset = "", 0
    for _ in range(1000):
        piece = client.get(f"{RUNS}/{run.id}/log", offset=offset, limit=limit).json()
        text += piece["text"]
        if piece["ended"] or piece["next"] == offset:
            return text, piece["ended"]
        offset = piece["next"]
    raise AssertionError("the log never ends")


LOG = "Grüße 🚀 and more, äöü\n" * 3


def test_a_stored_log_is_read_in_pieces_that_cut_no_character(client: Client, store: SqlStore) -> None:
    run = a_run(NETWORK, status=RunStatus.FINISHED)
    put(store, run)
    with store.writing() as transaction:
        transaction.record_logs({run.id: LOG.encode()})
    for limit in (16, 17, 19, 4096):
        assert read_all(client, run, limit) == (LOG, True)
    whole = client.request("GET", f"/api/v1/runs/{run.id}/log.txt", headers={"X-Request-Id": "deploy-7"})
    assert (whole.text, whole.headers["x-request-id"]) == (LOG, "deploy-7")
    assert whole.headers["content-type"] == "text/plain; charset=utf-8"
    odd = client.request("GET", "/api/v1/runs", headers={"X-Request-Id": "<b>"})
    assert len(odd.headers["x-request-id"]) == 16


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        pytest.param(LOG.encode(), LOG, id="whole"),
        pytest.param(LOG.encode() + "🚀".encode()[:2], LOG, id="half a character waits for the other half"),
        pytest.param(b"", "", id="nothing yet"),
    ],
)
def test_a_log_is_read_while_it_is_written(ports: Ports, store: SqlStore, written: bytes, shown: str) -> None:
    run = a_run(NETWORK, status=RunStatus.APPLYING)
    put(store, run)
    app = WarmApp(replace(ports, live_log=lambda _, offset, limit: written[offset : offset + limit]))
    with Client(app) as client:
        assert read_all(client, run, 16) == (shown, False)


def test_a_log_that_is_no_text_is_shown_all_the_same(client: Client, store: SqlStore) -> None:
    run = a_run(NETWORK, status=RunStatus.FINISHED)
    put(store, run)
    with store.writing() as transaction:
        transaction.record_logs({run.id: b"\xff" * 40 + b"\x80" * 40 + b"end\xe2\x82"})
    text, ended = read_all(client, run, 16)
    assert ended
    assert text.count("\ufffd") >= 80
    assert "end" in text


def test_a_log_that_lies_elsewhere_is_empty(client: Client, store: SqlStore) -> None:
    run, over = a_run(NETWORK, status=RunStatus.APPLYING), a_run("platform/base", status=RunStatus.FAILED)
    put(store, run, over)
    assert client.get(f"{RUNS}/{run.id}/log").json() == {"text": "", "next": 0, "ended": False}
    assert client.get(f"{RUNS}/{over.id}/log").json() == {"text": "", "next": 0, "ended": True}


@pytest.mark.parametrize(
    ("status", "verb", "code", "after"),
    [
        pytest.param(RunStatus.UNCONFIRMED, "confirm", 200, RunStatus.UNCONFIRMED, id="confirm"),
        pytest.param(RunStatus.UNCONFIRMED, "discard", 200, RunStatus.DISCARDED, id="discard"),
        pytest.param(RunStatus.QUEUED, "cancel", 200, RunStatus.CANCELED, id="cancel a queued one"),
        pytest.param(RunStatus.APPLYING, "cancel", 200, RunStatus.APPLYING, id="cancel one at work"),
        pytest.param(RunStatus.FAILED, "retry", 201, RunStatus.FAILED, id="retry"),
        pytest.param(RunStatus.FINISHED, "confirm", 409, RunStatus.FINISHED, id="confirm a finished one"),
        pytest.param(RunStatus.APPLYING, "discard", 409, RunStatus.APPLYING, id="discard one at work"),
        pytest.param(RunStatus.FINISHED, "cancel", 409, RunStatus.FINISHED, id="cancel a finished one"),
        pytest.param(RunStatus.QUEUED, "retry", 409, RunStatus.QUEUED, id="retry a queued one"),
    ],
)
def test_steering(
    client: Client, store: SqlStore, woken: list[bool], *, status: RunStatus, verb: str, code: int, after: RunStatus
) -> None:
    run = a_run(NETWORK, status=status)
    put(store, run)
    answer = client.post(f"{RUNS}/{run.id}/{verb}")
    assert answer.status_code == code
    assert client.get(f"{RUNS}/{run.id}").json()["status"] == after
    assert woken == ([True] if code < 400 else [])
    if code >= 400:
        assert answer.json()["detail"].startswith(f"run {run.id}")


def test_a_confirmed_run_says_by_whom(client: Client, store: SqlStore) -> None:
    run = a_run(NETWORK, status=RunStatus.UNCONFIRMED)
    put(store, run)
    assert client.post(f"{RUNS}/{run.id}/confirm").json()["confirmedBy"] == "operator"


@pytest.mark.parametrize("verb", ["confirm", "discard", "cancel", "retry"])
def test_steering_a_run_that_is_not_there(client: Client, verb: str) -> None:
    assert client.post(f"{RUNS}/{a_run_id()}/{verb}").status_code == 404


def test_the_queue_says_what_waits_for_what(ports: Ports, store: SqlStore) -> None:
    at_work = a_run(NETWORK, status=RunStatus.APPLYING, attempt=1, holder="here")
    check = a_run(NETWORK, kind=RunKind.DRIFT)
    # That a worker elsewhere is idle is no place for it.
    last, urgent = a_run("production/web"), a_run("production/db", prioritized=True)
    canceled, waits = a_run("production/old", cancel_requested=True), a_run("root/x", status=RunStatus.UNCONFIRMED)
    put(store, at_work, check, last, urgent, canceled, waits)
    places = {("default", "busy"): 1, ("default", "idle"): 0, ("root/far", "busy"): 0, ("root/far", "idle"): 1}

    app = WarmApp(replace(ports, holder="here", workers=lambda: places, metrics=Metrics()))

    def queue(**asked: str) -> list[tuple[str, bool, str | None]]:
        with Client(app) as client:
            page, workers = client.get("/api/v1/queue", **asked).json(), client.get("/api/v1/workers").json()
        idle = places["default", "idle"]
        assert workers["items"][0] == {"pool": "default", "service": "here", "busy": 1, "idle": idle}
        assert {item["service"] for item in page["items"] if item["atWork"]} <= {"here"}
        return [(item["id"], item["atWork"], item["waits"]) for item in page["items"]]

    assert queue() == [
        (at_work.id, True, None),
        (urgent.id, False, "it waits for a free place"),
        (last.id, False, "it waits for a free place"),
        (canceled.id, False, "it is being canceled"),
        (check.id, False, f"run {at_work.id} of the same stack goes first"),
    ]
    places["default", "idle"] = 1
    assert queue(limit="2")[1] == (urgent.id, False, "it starts as soon as the service looks")
    assert queue(space="root") == []
