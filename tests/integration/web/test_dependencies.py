"""What the API shows of dependencies, and of which it says nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from rbac.access.subjects import Subject
from reconciler.core.conditions import assess
from reconciler.core.results import Action, OutputChange, Planned
from reconciler.core.runs import RunStatus
from reconciler.core.state import Component, Need, Waits, Why
from reconciler.core.verdicts import Judgement, Result, ReviewEffect, Verdict
from reconciler.metrics import Metrics
from reconciler.store.sql import SqlStore
from reconciler.web.api_tokens import make_token
from reconciler.web.ports import Ports
from spaces.model.dependency import OutputUse
from tests.factories import NOW, a_desired, a_run, a_stack, a_stack_id, later
from tests.integration.web.client import Client
from tests.integration.web.test_access import access, as_user, tree
from tests.integration.web.warm import WarmApp

__all__ = ["access", "as_user", "tree"]

BASE, NETWORK, APP = a_stack_id("secret/base"), a_stack_id("production/network"), a_stack_id("production/app")
HIDDEN = a_stack_id("secret/app")
V1 = "/api/v1"


@pytest.fixture
def graph(store: SqlStore) -> str:
    """Put secret/base above production/network, which is above production/app and secret/app; give a run of network."""
    needs = {
        NETWORK: (Need(BASE, {"id": OutputUse(env="BASE")}),),
        APP: (Need(NETWORK, {"vpc": OutputUse(env="VPC"), "zone": OutputUse(env="ZONE")}),),
        HIDDEN: (Need(NETWORK, {"vpc": OutputUse(env="TF_VAR_vpc")}),),
    }
    run = a_run(NETWORK, status=RunStatus.UNCONFIRMED)
    changed = (OutputChange("vpc", Action.UPDATE, "a", "b"), OutputChange("other", Action.CREATE, None, 1))
    with store.writing() as transaction:
        transaction.put_stacks([a_stack(BASE)])
        for stack, needed in needs.items():
            waits = Waits(BASE, "failed: ToolFailed")
            transaction.put_stacks([assess(a_stack(stack, desired=a_desired(needs=needed)), None, (), NOW, waits)])
        transaction.put_dependencies({stack: {need.parent for need in needed} for stack, needed in needs.items()})
        transaction.add_runs([run])
        transaction.record_plans({run.id: Planned(True, outputs=changed)})
    return run.id


def ends(links: list[dict[str, Any]]) -> dict[str, dict[str, str]]:
    return {link["stack"]: link["outputs"] for link in links}


VPC, ZONE = {"vpc": "VPC", "zone": "ZONE"}, {"vpc": "TF_VAR_vpc"}


def test_both_ends_are_shown_to_whoever_may_read_them(client: Client, graph: str) -> None:
    shown = client.get(f"{V1}/stacks/production/network").json()
    assert ends(shown["dependencies"]) == {"secret/base": {"id": "BASE"}}
    assert ends(shown["dependents"]) == {"production/app": VPC, "secret/app": ZONE}
    assert shown["conditions"]["Ready"]["message"] == "secret/base failed: ToolFailed"
    assert client.get(f"{V1}/runs/{graph}").json()["follows"] == [
        {"output": "vpc", "action": "update", "stack": "production/app"},
        {"output": "vpc", "action": "update", "stack": "secret/app"},
    ]


def test_a_plan_shows_the_outputs_that_it_changes(client: Client, graph: str) -> None:
    shown = client.get(f"{V1}/runs/{graph}/plan").json()["outputs"]
    assert shown[0] == {"name": "vpc", "action": "update", "before": "a", "after": "b", "sensitive": False}


def test_what_one_may_not_read_is_not_shown_at_all(as_user: Callable[..., Client], graph: str) -> None:
    client = as_user("rita")
    shown = client.get(f"{V1}/stacks/production/network").json()
    assert (shown["dependencies"], ends(shown["dependents"])) == ([], {"production/app": VPC})
    assert [each["stack"] for each in client.get(f"{V1}/runs/{graph}").json()["follows"]] == ["production/app"]
    for path in ("stacks", "stacks/production/network", "stacks/production/app", f"runs/{graph}"):
        assert "secret" not in client.get(f"{V1}/{path}").text
    assert shown["conditions"]["Ready"]["message"] == "a stack that it depends on is not in sync"


def test_a_refusal_names_no_stack_that_one_may_not_read(as_user: Callable[..., Client], graph: str) -> None:
    refused = as_user("adele").post(f"{V1}/stacks/production/network/runs")
    assert refused.status_code == 409
    assert refused.json()["detail"] == "production/network waits for another stack, which is out of sync"


FOREIGN = [
    ("PlanOutdated", "it waits for secret/base", "it waits for another stack"),
    (
        "OutputMissing",
        "secret/base has no output x, which production/network uses as X",
        "another stack has no output x",
    ),
    (
        "PolicyDenied",
        "policy secret/tags denies it: not in modules/vpc",
        "policy of a space above denies it: not in modules/vpc",
    ),
    ("ToolFailed", "cannot read secret/base", "cannot read secret/base"),
]


@pytest.mark.parametrize(("reason", "message", "told"), FOREIGN)
def test_a_runs_message_names_nothing_from_spaces_that_one_does_not_see(  # noqa: PLR0917
    as_user: Callable[..., Client], graph: str, store: SqlStore, reason: str, message: str, told: str
) -> None:
    why = (
        Why(Component.DEPENDENCIES, "dependency secret/base: output id"),
        Why(Component.POLICIES, "policy secret/tags"),
    )
    run = a_run(NETWORK, status=RunStatus.FAILED, reason=reason, message=message, why=why)
    verdict = Verdict("secret/tags", "plan", mandatory=True, result=Result.DENY, messages=("no",))
    with store.writing() as transaction:
        transaction.add_runs([run])
        transaction.record_judgement(run.id, Judgement(run.digest, None, 1, NOW, (verdict,)))
    rita = as_user("rita")
    shown = rita.get(f"{V1}/runs/{run.id}").json()
    listed = next(it for it in rita.get(f"{V1}/runs").json()["items"] if it["id"] == run.id)
    assert told in shown["message"]
    assert shown["message"] == listed["message"]
    assert [each["summary"] for each in shown["why"]] == [
        "dependency another stack: output id",
        "a policy of a space above",
    ]
    assert [each["policy"] for each in shown["policies"]] == ["a policy of a space above"]
    assert as_user("all").get(f"{V1}/runs/{run.id}").json()["message"] == message


@pytest.mark.parametrize(
    ("name", "told"), [("otto", "a policy of a space above"), ("root-admin", "policy secret/tags")]
)
def test_what_a_review_does_names_no_policy_that_one_does_not_see(
    as_user: Callable[..., Client], graph: str, name: str, told: str
) -> None:
    effect = ReviewEffect(counts=False, because="policy secret/tags does not count it")
    somebody = as_user(name, review_effect=lambda _run, _person: effect)
    answer = somebody.post(f"{V1}/runs/{graph}/reviews", json={"approve": True}).json()
    assert answer["review"] == {"counts": False, "because": f"{told} does not count it"}


def test_the_input_of_policies_names_no_space_that_one_does_not_see(ports: Ports, store: SqlStore, graph: str) -> None:
    path = ["root", "secret", "production"]
    asked = replace(ports, metrics=Metrics(), policy_input=lambda _: {"space": {"name": "production", "path": path}})
    with store.writing() as transaction:
        text, _ = make_token(transaction, Subject.parse("rita"), "operator", NOW, later(60))
    with Client(WarmApp(asked), text) as rita:
        shown = rita.get(f"{V1}/runs/{graph}/policy-input").json()["input"]["space"]
    assert shown["path"] == ["root", "another space", "production"]
