"""What the answer to a review says of it: whether it counts, and why not."""

from __future__ import annotations

import pytest

from reconciler import operations
from reconciler.core.runs import RunStatus
from reconciler.core.verdicts import Review
from reconciler.loop.service import utc_now
from tests.e2e.station import Repo, a_script, document
from tests.integration.loop.machine import Machine
from tests.integration.loop.test_policies import TWO, a_policy

ONE = "package stationkeeper\napprove if { some r in input.reviews; r.approve }\n"
CAROLS = 'package stationkeeper\napprove if { some r in input.reviews; r.approve; r.person == "user:carol" }\n'
OPERATORS = (
    "package stationkeeper\napprove if { some r in input.reviews; r.approve; input.params.group in r.groups; "
    'r.roles == ["operator"] }\n'
)
PEOPLE = (
    document("User", "bob", {"emails": ["bob@example.org"]}),
    document("Group", "platform", {"members": ["bob"]}),
    document("RoleBinding", "platform", {"role": "operator", "subjects": [{"group": "platform"}]}),
)
AUTHOR = "the author"


@pytest.mark.parametrize(
    ("policy", "person", "counts", "because"),
    [
        pytest.param(a_policy("p", ONE, "approval"), "user:bob", True, "policy root/p approves the run", id="it approves"),
        pytest.param(
            a_policy("p", ONE, "approval"), AUTHOR, False,
            "policy root/p does not count it: {person} caused the run, or changed what it applies", id="one's own change",
        ),
        pytest.param(
            a_policy("p", ONE, "approval", authorCounts=True), AUTHOR, True, "policy root/p approves the run",
            id="one's own change, where that counts",
        ),
        pytest.param(
            a_policy("p", CAROLS, "approval"), "user:bob", True,
            "policy root/p does not approve the run yet, neither with nor without it: it needs more reviews, or those of "
            "others", id="the policy wants somebody else",
        ),
        pytest.param(
            "---\n".join([a_policy("p", OPERATORS, "approval", params={"group": "platform"}), *PEOPLE]), "user:bob", True,
            "policy root/p approves the run", id="by group and role",
        ),
        pytest.param(
            "---\n".join([a_policy("p", ONE, "approval"), a_policy("q", TWO, "approval", authorCounts=True)]), AUTHOR, True,
            "policy root/p does not count it: {person} caused the run, or changed what it applies; policy root/q does not "
            "approve the run yet, neither with nor without it: it needs more reviews, or those of others", id="one of two",
        ),
        pytest.param(
            None, "user:bob", False, "no approval policy covers the stack: the run waits only for its confirmation",
            id="no policy asks",
        ),
    ],
)  # fmt: skip
def test_the_answer_says_whether_a_review_counts(
    *, repo: Repo, machine: Machine, policy: str | None, person: str, counts: bool, because: str
) -> None:
    files = {"a.yaml": a_script("a", "true", autodeploy=False)}
    repo.commit(files | ({"p.yaml": policy} if policy is not None else {}))
    machine.reconcile()
    run = machine.run_of("root/a", RunStatus.UNCONFIRMED)
    reviewer = run.person if person == AUTHOR else person
    assert reviewer is not None
    operations.review(machine.service.store, run.id, Review(reviewer, approves=True, note="", at=utc_now()))
    effect = machine.service.ports.review_effect(run.id, reviewer)
    assert effect is not None
    assert (effect.counts, effect.because) == (counts, because.format(person=reviewer))
