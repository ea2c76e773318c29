"""Who may review a run, and what is asked of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reconciler.core.runs import RunId, RunStatus
from reconciler.core.verdicts import Review, ReviewEffect
from reconciler.store.sql import SqlStore
from reconciler.web.ports import Ports
from tests.factories import NOW, a_run, a_stack, a_stack_id
from tests.integration.web.client import Client
from tests.integration.web.warm import WarmApp

NETWORK = a_stack_id("production/network")
RUNS = "/api/v1/runs"


def put(store: SqlStore, status: RunStatus = RunStatus.UNCONFIRMED) -> str:
    run = a_run(NETWORK, status=status)
    with store.writing() as transaction:
        transaction.put_stacks([a_stack(NETWORK)])
        transaction.add_runs([run])
    return run.id


def test_a_review_is_stored_and_audited(client: Client, store: SqlStore, woken: list[bool]) -> None:
    run = put(store)
    answer = client.post(f"{RUNS}/{run}/reviews", json={"approve": False, "note": "not yet"})
    assert answer.status_code == 201
    with store.reading() as reading:
        assert reading.reviews(run) == [Review("operator", approves=False, note="not yet", at=NOW)]
        (row,) = [row for row in reading.audit(0, 100) if row.event.event == "run-reviewed"]
    assert (row.event.person, row.event.details["review"], row.event.details["note"]) == (
        "operator",
        "reject",
        "not yet",
    )
    assert woken


@pytest.mark.parametrize(
    ("body", "status"),
    [
        pytest.param({}, 422, id="nothing said"),
        pytest.param({"approve": "perhaps"}, 422, id="neither"),
        pytest.param({"approve": True, "note": "x" * 2001}, 422, id="a long note"),
        pytest.param({"approve": True, "reviewer": "eve"}, 422, id="for somebody else"),
    ],
)
def test_a_review_that_is_none(client: Client, store: SqlStore, body: dict[str, object], status: int) -> None:
    run = put(store)
    assert client.post(f"{RUNS}/{run}/reviews", json=body).status_code == status
    with store.reading() as reading:
        assert reading.reviews(run) == []


def test_a_run_that_has_ended_is_not_reviewed(client: Client, store: SqlStore) -> None:
    answer = client.post(f"{RUNS}/{put(store, RunStatus.FINISHED)}/reviews", json={"approve": True})
    assert (answer.status_code, answer.json()["reason"]) == (409, "NotWaiting")


@pytest.mark.parametrize("effect", [None, ReviewEffect(counts=False, because="it is your own change")])
def test_the_answer_says_what_a_review_does(ports: Ports, store: SqlStore, effect: ReviewEffect | None) -> None:
    run = put(store)
    asked = []

    def tell(found: RunId, person: str) -> ReviewEffect | None:
        asked.append((found, person))
        return effect

    with Client(WarmApp(replace(ports, review_effect=tell))) as client:
        answer = client.post(f"{RUNS}/{run}/reviews", json={"approve": True}).json()
    assert (answer["id"], asked) == (run, [(run, "operator")])
    assert answer["review"] == (effect and {"counts": False, "because": "it is your own change"})


def test_what_policies_are_asked_is_shown(ports: Ports, store: SqlStore) -> None:
    run = put(store)
    space = {"name": "production", "labels": {}, "path": ["root", "production"]}
    asked = replace(ports, policy_input=lambda found: {"run": {"id": found}, "space": space})
    with Client(WarmApp(asked)) as client:
        assert client.get(f"{RUNS}/{run}/policy-input").json() == {"input": {"run": {"id": run}, "space": space}}
        assert client.get(f"{RUNS}/{'0' * 26}/policy-input").status_code == 404
