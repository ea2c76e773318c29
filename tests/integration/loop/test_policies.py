"""Policies over real runs: what they stop, what waits for whom, and what a changed one means."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from reconciler import locks, operations
from reconciler.core.runs import Run, RunStatus
from reconciler.core.verdicts import Result, Review, Ruling
from reconciler.loop.service import utc_now
from reconciler.refusals import OperationRefused, Refusal
from spaces.names import StackId
from tests.e2e.station import Repo, a_script, a_terraform, document, lines
from tests.integration.loop.machine import Machine
from tests.needs import needs

NO_MONDAYS = 'package stationkeeper\ndeny contains "not on a Monday" if input.stack.name == "a"\n'
ALLOWS = 'package stationkeeper\ndeny contains "never" if input.stack.name == "nobody"\n'
WARNS = 'package stationkeeper\nwarn contains "mind the gap"\n'
TWO = "package stationkeeper\napprove if count([r | some r in input.reviews; r.approve]) >= 2\nreject if { some r in input.reviews; not r.approve }\n"


def a_policy(name: str, rego: str, kind: str = "plan", **spec: Any) -> str:
    metadata = {key: spec.pop(key) for key in ("space", "labels") if key in spec}
    return document("Policy", name, {"type": kind, "rego": rego, **spec}, **metadata)


def a_space(name: str, **spec: Any) -> str:
    metadata = {key: spec.pop(key) for key in ("labels",) if key in spec}
    return document("Space", name, spec, **metadata)


def _review(machine: Machine, stack: str, person: str, *, approves: bool = True) -> Run:
    run = machine.run_of(stack, RunStatus.UNCONFIRMED)
    return operations.review(machine.service.store, run.id, Review(person, approves, "", utc_now()))


def _verdicts(machine: Machine, run: Run) -> dict[str, Result]:
    with machine.service.store.reading() as reading:
        judgement = reading.judgement(run.id)
    return {verdict.policy: verdict.result for verdict in judgement.verdicts} if judgement else {}


def test_a_denial_stops_the_run_before_anything_is_applied(repo: Repo, machine: Machine, ran: Path) -> None:
    repo.commit(
        {
            "p.yaml": a_policy("mondays", NO_MONDAYS),
            "a.yaml": a_script("a", f"echo a >> {ran}"),
            "b.yaml": a_script("b", f"echo b >> {ran}"),
        }
    )
    look = machine.reconcile()
    assert (look.ran, lines(ran)) == ({"root/a": "failed", "root/b": "finished"}, ["b"])
    denied = next(run for run in look.runs if run.status is RunStatus.FAILED)
    assert (denied.reason, denied.message) == (
        "PolicyDenied",
        "policy root/mondays denies it: not on a Monday",
    )
    assert look.stuck("root/a") == "PolicyDenied"
    assert _verdicts(machine, denied) == {"root/mondays": Result.DENY}
    assert machine.reconcile().runs == []


ASKS = "package stationkeeper\nconfirm contains input.params.words if input.stack.name in input.params.stacks\n"


def test_a_policy_wants_a_person_though_the_stack_applies_by_itself(repo: Repo, machine: Machine, ran: Path) -> None:
    params = {"stacks": ["a", "b"], "words": "deletions need a look"}
    repo.commit(
        {
            "p.yaml": a_policy("asks", ASKS, params=params),
            "a.yaml": a_script("a", f"echo a >> {ran}"),
            "c.yaml": a_script("c", f"echo c >> {ran}"),
        }
    )
    machine.reconcile()
    run = machine.run_of("root/a", RunStatus.UNCONFIRMED)
    assert (run.reason, run.message, run.needs_confirmation) == (
        "WaitsForConfirmation",
        "policy root/asks wants a person to confirm it: deletions need a look",
        True,
    )
    assert lines(ran) == ["c"]
    machine.confirm("root/a")
    assert machine.reconcile().ran == {"root/a": "finished"}
    assert lines(ran) == ["c", "a"]
    # Other parameters are another policy: what it covers is planned anew.
    repo.commit({"p.yaml": a_policy("asks", ASKS, params=params | {"stacks": []})})
    assert machine.reconcile().ran == {"root/a": "finished", "root/c": "finished"}


def test_a_better_policy_lets_it_through(repo: Repo, machine: Machine, ran: Path) -> None:
    repo.commit({"p.yaml": a_policy("mondays", NO_MONDAYS), "a.yaml": a_script("a", f"echo a >> {ran}")})
    machine.reconcile()
    repo.commit({"p.yaml": a_policy("mondays", ALLOWS)})
    look = machine.reconcile()
    assert (look.ran, look.sync, lines(ran)) == ({"root/a": "finished"}, {"root/a": "Synced"}, ["a"])


def test_a_changed_policy_is_a_reason_to_look_again(repo: Repo, machine: Machine, ran: Path) -> None:
    plain = a_script("a", f"echo a >> {ran}", plan=f"test -e {ran} && exit 0; exit 2")
    repo.commit({"p.yaml": a_policy("mondays", ALLOWS), "a.yaml": plain})
    machine.reconcile()
    repo.commit({"p.yaml": a_policy("mondays", NO_MONDAYS)})
    look = machine.reconcile()
    # A plan without changes is not judged: there is nothing to stop.
    assert (look.ran, look.sync, lines(ran)) == ({"root/a": "finished"}, {"root/a": "Synced"}, ["a"])
    assert look.why("root/a") == ["policies: policy root/mondays changed"]


@pytest.mark.parametrize(
    ("spec", "result"),
    [
        pytest.param({"rego": NO_MONDAYS, "enforcement": "advisory"}, Result.DENY, id="advisory-denial"),
        pytest.param({"rego": WARNS}, Result.WARN, id="warning"),
    ],
)
def test_what_does_not_stop_is_recorded(
    repo: Repo, machine: Machine, ran: Path, spec: dict[str, Any], result: Result
) -> None:
    repo.commit({"p.yaml": a_policy("p", **spec), "a.yaml": a_script("a", f"echo a >> {ran}")})
    look = machine.reconcile()
    assert (look.ran, lines(ran)) == ({"root/a": "finished"}, ["a"])
    assert _verdicts(machine, look.runs[0]) == {"root/p": result}
    registry = machine.service.ports.metrics.registry
    labels = {"type": "plan", "result": str(result)}
    assert registry.get_sample_value("stationkeeper_policy_decisions_total", labels) == 1


def test_a_policy_that_cannot_be_evaluated_denies_and_hides_no_other(repo: Repo, machine: Machine, ran: Path) -> None:
    crash = "package stationkeeper\ndeny contains x if { input.stack.name; x := numbers.range(1, 400000000)[_] }\n"
    wrong = "package stationkeeper\ndeny contains 1\n"
    repo.commit(
        {
            "p.yaml": "---\n".join(
                [a_policy("a-crash", crash), a_policy("b-shape", wrong), a_policy("c-warns", WARNS)]
            ),
            "a.yaml": a_script("a", f"echo a >> {ran}"),
        }
    )
    look = machine.reconcile()
    assert (look.ran, lines(ran)) == ({"root/a": "failed"}, [])
    assert _verdicts(machine, look.runs[0]) == {
        "root/a-crash": Result.DENY,
        "root/b-shape": Result.DENY,
        "root/c-warns": Result.WARN,
    }
    assert "policy root/a-crash denies it: it could not be evaluated: the engine crashed on it" in look.runs[0].message
    assert "deny must be a set of sentences" in look.runs[0].message


def test_nothing_below_sheds_a_policy(repo: Repo, machine: Machine, ran: Path) -> None:
    repo.commit(
        {
            "p.yaml": a_policy("mondays", NO_MONDAYS),
            "team/space.yaml": a_space("team", inherit=False),
            "team/deep/space.yaml": a_space("deep", inherit=False),
            "team/deep/p.yaml": a_policy("mondays", ALLOWS),
            "team/deep/a.yaml": a_script("a", f"echo a >> {ran}"),
        }
    )
    look = machine.reconcile()
    assert (look.ran, lines(ran)) == ({"deep/a": "failed"}, [])
    assert _verdicts(machine, look.runs[0]) == {"root/mondays": Result.DENY, "deep/mondays": Result.ALLOW}


def test_it_is_for_the_spaces_with_its_labels(repo: Repo, machine: Machine, ran: Path) -> None:
    policy = a_policy("mondays", NO_MONDAYS, attach={"matchLabels": {"env": "prod"}})
    # A stack's own labels do not matter, neither to get in nor to get out.
    live = a_script("a", f"echo live >> {ran}", labels={"env": "dev"}, space="eu")
    test = a_script("a", f"echo test >> {ran}", labels={"env": "prod"}, space="lab")
    repo.commit(
        {
            "p.yaml": policy,
            "spaces.yaml": "---\n".join(
                [a_space("live", labels={"env": "prod"}), a_space("eu", parent="live"), a_space("lab")]
            ),
            "stacks.yaml": f"{live}---\n{test}",
        }
    )
    look = machine.reconcile()
    assert (look.ran, lines(ran)) == ({"eu/a": "failed", "lab/a": "finished"}, ["test"])
    repo.commit({"spaces.yaml": "---\n".join([a_space("live"), a_space("eu", parent="live"), a_space("lab")])})
    look = machine.reconcile()
    assert (look.ran, lines(ran)) == ({"eu/a": "finished"}, ["test", "live"])


def test_a_policy_of_another_tool_is_not_asked(repo: Repo, machine: Machine, ran: Path) -> None:
    policy = a_policy("mondays", NO_MONDAYS, attach={"tools": ["terraform"]})
    repo.commit({"p.yaml": policy, "a.yaml": a_script("a", f"echo a >> {ran}")})
    assert machine.reconcile().ran == {"root/a": "finished"}


@needs("terraform")
def test_a_policy_sees_what_terraform_plans(repo: Repo, machine: Machine) -> None:
    rego = """
        package stationkeeper
        deny contains msg if {
            some change in input.plan.changes
            change.action == "create"
            not change.after.input.owner
            msg := sprintf("%s (%s) has no owner", [change.address, change.type])
        }
        warn contains sprintf("%s", [output.name]) if some output in input.plan.outputs
    """
    code = 'resource "terraform_data" "%s" {\n  input = { name = "x"%s }\n}\noutput "id" {\n  value = 1\n}\n'
    repo.commit(
        {
            "p/owners.rego": rego,
            "p/p.yaml": document("Policy", "owners", {"type": "plan", "regoFile": "owners.rego"}),
            "a/main.tf": code % ("one", ""),
            "a.yaml": a_terraform("a", "a"),
        }
    )
    look = machine.reconcile()
    assert look.ran == {"root/a": "failed"}, look.problems
    assert look.runs[0].message == ("policy root/owners denies it: terraform_data.one (terraform_data) has no owner")
    repo.commit({"a/main.tf": code % ("one", ', owner = "ada"')})
    look = machine.reconcile()
    assert look.ran == {"root/a": "finished"}
    assert _verdicts(machine, look.runs[0]) == {"root/owners": Result.WARN}


def test_a_broken_rule_leaves_the_last_good_one_in_force(repo: Repo, machine: Machine, ran: Path) -> None:
    repo.commit({"p.yaml": a_policy("mondays", NO_MONDAYS)})
    machine.reconcile()
    repo.commit(
        {
            "p.yaml": a_policy("mondays", "package stationkeeper\ndeny contains {\n"),
            "a.yaml": a_script("a", f"echo a >> {ran}"),
        }
    )
    look = machine.reconcile()
    assert look.problems == ["p.yaml: error: rego-syntax"]
    assert (look.ran, look.stuck("root/a"), lines(ran)) == ({"root/a": "failed"}, "PolicyDenied", [])
    machine.restart()
    assert machine.reconcile().runs == []


def test_two_approvals_let_it_go_on(repo: Repo, machine: Machine, ran: Path) -> None:
    repo.commit({"p.yaml": a_policy("two", TWO, "approval"), "a.yaml": a_script("a", f"echo a >> {ran}")})
    look = machine.reconcile()
    assert (look.ran, look.runs[0].reason) == ({"root/a": "unconfirmed"}, "WaitsForApproval")
    with pytest.raises(OperationRefused) as refused:
        machine.confirm("root/a")
    assert refused.value.reason is Refusal.NOT_APPROVED
    # Who caused the change does not count, and nobody counts twice.
    for person in ("ada@example.org", "user:bob", "user:bob"):
        _review(machine, "root/a", person)
        assert machine.reconcile().ran == {"root/a": "unconfirmed"}
    machine.restart()
    _review(machine, "root/a", "user:eve")
    look = machine.reconcile()
    assert (look.ran, look.sync, lines(ran)) == ({"root/a": "finished"}, {"root/a": "Synced"}, ["a"])


def test_the_author_counts_where_the_policy_says_so(repo: Repo, machine: Machine, ran: Path) -> None:
    policy = a_policy("two", TWO, "approval", authorCounts=True)
    repo.commit({"p.yaml": policy, "a.yaml": a_script("a", f"echo a >> {ran}")})
    machine.reconcile()
    _review(machine, "root/a", "ada@example.org")
    _review(machine, "root/a", "user:bob")
    assert (machine.reconcile().ran, lines(ran)) == ({"root/a": "finished"}, ["a"])


def test_approved_it_still_waits_for_confirmation_without_autodeploy(repo: Repo, machine: Machine, ran: Path) -> None:
    stack = a_script("a", f"echo a >> {ran}", autodeploy=False)
    repo.commit({"p.yaml": a_policy("two", TWO, "approval"), "a.yaml": stack})
    machine.reconcile()
    for person in ("user:bob", "user:eve"):
        _review(machine, "root/a", person)
    look = machine.reconcile()
    assert (look.ran, look.runs[0].reason) == ({"root/a": "unconfirmed"}, "WaitsForConfirmation")
    machine.confirm("root/a")
    assert (machine.reconcile().ran, lines(ran)) == ({"root/a": "finished"}, ["a"])


def test_a_rejection_ends_the_run(repo: Repo, machine: Machine, ran: Path) -> None:
    repo.commit({"p.yaml": a_policy("two", TWO, "approval"), "a.yaml": a_script("a", f"echo a >> {ran}")})
    machine.reconcile()
    _review(machine, "root/a", "user:bob", approves=False)
    look = machine.reconcile()
    assert (look.ran, look.runs[0].reason, lines(ran)) == ({"root/a": "discarded"}, "RejectedByPolicy", [])
    assert machine.reconcile().runs == []


def test_a_policy_that_changes_while_a_plan_waits_judges_a_new_one(repo: Repo, machine: Machine, ran: Path) -> None:
    repo.commit({"p.yaml": a_policy("mondays", ALLOWS), "a.yaml": a_script("a", f"echo a >> {ran}", autodeploy=False)})
    waiting = machine.reconcile().runs[0]
    repo.commit({"p.yaml": a_policy("mondays", NO_MONDAYS)})
    machine.service.loop.look()
    with pytest.raises(OperationRefused) as refused:
        operations.confirm(machine.service.store, waiting.id, "bob", utc_now())
    assert refused.value.reason is Refusal.OUTDATED
    look = machine.reconcile()
    assert [str(run.status) for run in look.runs] == ["superseded", "failed"]
    assert (look.stuck("root/a"), lines(ran)) == ("PolicyDenied", [])


def test_a_plan_is_judged_again_when_it_is_confirmed(repo: Repo, machine: Machine, ran: Path) -> None:
    """What was fine when it was planned may not be by the time that somebody says yes."""
    rego = 'package stationkeeper\ndeny contains "not any more" if input.run.confirmedBy != null\n'
    repo.commit({"p.yaml": a_policy("freeze", rego), "a.yaml": a_script("a", f"echo a >> {ran}", autodeploy=False)})
    assert machine.reconcile().ran == {"root/a": "unconfirmed"}
    machine.confirm("root/a")
    look = machine.reconcile()
    assert (look.ran, look.runs[0].reason, lines(ran)) == ({"root/a": "discarded"}, "PolicyDenied", [])


def test_the_store_keeps_which_plan_was_judged(repo: Repo, machine: Machine, ran: Path) -> None:
    repo.commit({"p.yaml": a_policy("p", WARNS), "a.yaml": a_script("a", f"echo a >> {ran}", autodeploy=False)})
    run = machine.reconcile().runs[0]
    with machine.service.store.reading() as reading:
        judgement = reading.judgement(run.id)
        audit = [row.event for row in reading.audit(0, 1000) if row.event.event == "policy-decided"]
    assert (judgement.digest, judgement.plan_digest, judgement.attempt) == (run.digest, run.plan_digest, run.attempt)
    assert judgement.ruling is Ruling.PASSES
    assert [(event.details["policy"], event.details["result"]) for event in audit] == [("root/p", "warn")]


def test_a_suspended_stack_is_not_applied_by_an_approval(repo: Repo, machine: Machine, ran: Path) -> None:
    repo.commit({"p.yaml": a_policy("two", TWO, "approval"), "a.yaml": a_script("a", f"echo a >> {ran}")})
    machine.reconcile()
    locks.suspend(machine.service.store, StackId.parse("root/a"), "ada", utc_now())
    for person in ("user:bob", "user:eve"):
        _review(machine, "root/a", person)
    assert (machine.reconcile().ran, lines(ran)) == ({"root/a": "unconfirmed"}, [])
    locks.resume(machine.service.store, StackId.parse("root/a"), "ada", utc_now())
    machine.confirm("root/a")
    assert (machine.reconcile().ran, lines(ran)) == ({"root/a": "finished"}, ["a"])


def test_only_a_run_that_waits_can_be_reviewed(repo: Repo, machine: Machine, ran: Path) -> None:
    repo.commit({"a.yaml": a_script("a", f"echo a >> {ran}")})
    run = machine.reconcile().runs[0]
    with pytest.raises(OperationRefused) as refused:
        operations.review(machine.service.store, run.id, Review("user:bob", approves=True, note="", at=utc_now()))
    assert refused.value.reason is Refusal.NOT_WAITING
