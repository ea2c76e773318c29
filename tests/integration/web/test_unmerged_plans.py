"""Plans of what nobody has merged are asked for by those who may, and refused in words."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest

from rbac.access.subjects import Subject
from reconciler.core.runs import ProposedRef
from reconciler.proposals import Proposal
from reconciler.store.sql import SqlStore
from reconciler.web.ports import Ports
from spaces.names import StackId
from tests.factories import OTHER_REVISION, a_desired, a_fingerprint, a_stack
from tests.integration.web.client import Client
from tests.integration.web.test_access import access, as_user, tree  # noqa: F401 - fixtures

PLAN = "/api/v1/stacks/production/network/plan"


def proposal(_stack: StackId, ref: str, asker: Subject) -> Proposal | str:
    if ref != "feature":
        return f"the configuration repository has no branch and no commit {ref}"
    assert str(asker) == "user:otto"
    desired = a_desired(a_fingerprint(spec={"env A": "2"}), revision=OTHER_REVISION)
    return Proposal(ProposedRef(ref, OTHER_REVISION), desired, left_out=2)


@pytest.fixture
def ports(ports: Ports) -> Ports:
    return dataclasses.replace(ports, proposal=proposal)


def test_operators_plan_a_branch(as_user: Callable[..., Client], store: SqlStore) -> None:  # noqa: F811
    with store.writing() as transaction:
        transaction.put_stacks([a_stack("production/network")])
    rita, otto = as_user("rita"), as_user("otto")
    assert rita.post(PLAN, json={"ref": "feature"}).status_code == 404
    for wrong in ({"ref": ""}, {"ref": "a b"}, {"ref": 1}, {"branch": "feature"}):
        assert otto.post(PLAN, json=wrong).status_code == 422
    nowhere = otto.post(PLAN, json={"ref": "nowhere"})
    assert (nowhere.status_code, nowhere.json()["reason"]) == (409, "NotProposable")
    queued = otto.post(PLAN, json={"ref": "feature"}).json()
    assert (queued["kind"], queued["proposes"]) == ("proposed", {"ref": "feature", "revision": OTHER_REVISION})
    assert queued["message"] == "plan of feature requested by user:otto; 2 other changes of it would be held"
    new = otto.post(PLAN.replace("network", "new"), json={"ref": "feature"}).json()
    assert otto.get(f"/api/v1/runs/{new['id']}").json()["stack"] == "production/new"
    assert otto.get("/api/v1/stacks/production/new").status_code == 404
    again = otto.post(PLAN, json={"ref": "feature"})
    assert (again.status_code, again.json()["reason"]) == (409, "AlreadyRunning")
