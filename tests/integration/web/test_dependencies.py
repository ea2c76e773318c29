"""What the API shows of dependencies, and of which it says nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from reconciler.core.conditions import assess
from reconciler.core.results import Action, OutputChange, Planned
from reconciler.core.runs import RunStatus
from reconciler.core.state import Need, Waits
from reconciler.store.sql import SqlStore
from tests.factories import NOW, a_desired, a_run, a_stack, a_stack_id
from tests.integration.web.client import Client
from tests.integration.web.test_access import access, as_user, tree

__all__ = ["access", "as_user", "tree"]

BASE, NETWORK, APP = a_stack_id("secret/base"), a_stack_id("production/network"), a_stack_id("production/app")
HIDDEN = a_stack_id("secret/app")
V1 = "/api/v1"


@pytest.fixture
def graph(store: SqlStore) -> str:
    """Put secret/base above production/network, which is above production/app and secret/app; give a run of network."""
    needs = {
        NETWORK: (Need(BASE, {"id": "BASE"}),),
        APP: (Need(NETWORK, {"vpc": "VPC", "zone": "ZONE"}),),
        HIDDEN: (Need(NETWORK, {"vpc": "TF_VAR_vpc"}),),
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
        transaction.record_plan(run.id, Planned(True, outputs=changed))
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
