"""Destroying what a stack made, by a person's request: planned, confirmed, and never what others stand on."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler import locks, operations
from reconciler.core.runs import RunStatus
from reconciler.loop.service import utc_now
from reconciler.refusals import OperationRefused, Refusal
from spaces.names import StackId
from tests.e2e.station import Repo, a_script, a_terraform, lines
from tests.integration.loop.machine import Machine
from tests.needs import needs

OUTPUTS = """printf '{"vpc": "v1"}' > $STATION_OUTPUTS"""


def ask(machine: Machine, stack: str) -> None:
    found = machine.service.ports.effective(StackId.parse(stack))
    lacks = found.spec.lacks_destruction if found is not None else None
    operations.request_destroy(machine.service.store, StackId.parse(stack), "ada", utc_now(), lacks=lacks)


def test_it_waits_for_a_person_and_leaves_the_stack_suspended_until_somebody_resumes_it(
    repo: Repo, machine: Machine, ran: Path
) -> None:
    repo.commit({"a.yaml": a_script("a", f"echo made >> {ran}; {OUTPUTS}", destroy=f"echo gone >> {ran}")})
    machine.reconcile()
    ask(machine, "root/a")
    assert machine.reconcile().ran == {"root/a": "unconfirmed"}
    assert lines(ran) == ["made"]
    machine.confirm("root/a")
    look = machine.reconcile()
    assert (look.ran, lines(ran)) == ({"root/a": "finished"}, ["made", "gone"])
    stack = look.stacks["root/a"]
    assert (stack.applied, stack.paused, look.sync) == (None, True, {"root/a": "OutOfSync"})
    with machine.service.store.reading() as reading:
        assert list(reading.outputs(stack.id)) == []
    assert machine.reconcile().runs == []
    locks.resume(machine.service.store, stack.id, "ada", utc_now())
    assert (machine.reconcile().sync, lines(ran)) == ({"root/a": "Synced"}, ["made", "gone", "made"])


def test_a_destruction_that_fails_leaves_the_stack_to_be_looked_at(repo: Repo, machine: Machine, ran: Path) -> None:
    repo.commit({"a.yaml": a_script("a", f"echo made >> {ran}", destroy="exit 7")})
    machine.reconcile()
    ask(machine, "root/a")
    machine.reconcile()
    machine.confirm("root/a")
    look = machine.reconcile()
    assert (look.ran, look.stacks["root/a"].paused) == ({"root/a": "failed"}, False)
    assert look.stacks["root/a"].conditions["Ready"].reason == "ToolFailed"
    assert lines(ran) == ["made"], "it is not made anew behind the back of whoever destroys it"


def test_a_commit_that_comes_in_between_takes_the_destruction_back(repo: Repo, machine: Machine, ran: Path) -> None:
    repo.commit({"a.yaml": a_script("a", f"echo one >> {ran}", destroy=f"echo gone >> {ran}")})
    machine.reconcile()
    ask(machine, "root/a")
    machine.reconcile()
    machine.confirm("root/a")
    repo.commit({"a.yaml": a_script("a", f"echo two >> {ran}", destroy=f"echo gone >> {ran}")})
    look = machine.reconcile()
    assert [run.status for run in look.runs] == [RunStatus.SUPERSEDED, RunStatus.FINISHED]
    assert lines(ran) == ["one", "two"]


def test_a_suspended_stack_can_be_destroyed(repo: Repo, machine: Machine, ran: Path) -> None:
    repo.commit({"a.yaml": a_script("a", f"echo made >> {ran}", destroy=f"echo gone >> {ran}")})
    machine.reconcile()
    locks.suspend(machine.service.store, StackId.parse("root/a"), "ada", utc_now())
    ask(machine, "root/a")
    machine.reconcile()
    machine.confirm("root/a")
    assert (machine.reconcile().ran, lines(ran)) == ({"root/a": "finished"}, ["made", "gone"])


@pytest.mark.parametrize(
    ("stack", "reason", "words"),
    [
        pytest.param("root/kept", Refusal.PROTECTED, "protected by its document", id="protected"),
        pytest.param("root/net", Refusal.HAS_DEPENDENTS, "a stack that depends on it is still applied", id="parent"),
        pytest.param("root/none", Refusal.NOT_FOUND, "there is no stack", id="unknown"),
        pytest.param("root/app", Refusal.TOOL_CANNOT_DESTROY, "spec.script.destroy", id="no command"),
    ],
)
def test_what_is_protected_or_carries_others_is_not_destroyed(
    repo: Repo, machine: Machine, stack: str, reason: Refusal, words: str
) -> None:
    repo.commit(
        {
            "kept.yaml": a_script("kept", "true", destroy="true", protected=True),
            "net.yaml": a_script("net", OUTPUTS, destroy="true"),
            "app.yaml": a_script("app", "true", dependsOn=[{"stack": "net", "outputs": {"vpc": "VPC"}}]),
        }
    )
    machine.reconcile()
    with pytest.raises(OperationRefused, match=words) as refused:
        ask(machine, stack)
    assert refused.value.reason is reason


def test_protection_counts_from_the_commit_that_writes_it(repo: Repo, machine: Machine) -> None:
    repo.commit({"a.yaml": a_script("a", "true", destroy="true")})
    machine.reconcile()
    repo.commit({"a.yaml": a_script("a", "true", destroy="true", protected=True)})
    machine.reconcile()
    with pytest.raises(OperationRefused, match="protected"):
        ask(machine, "root/a")


@needs("terraform")
def test_terraform_plans_what_it_destroys(repo: Repo, machine: Machine) -> None:
    code = 'resource "terraform_data" "a" {\n  input = "x"\n}\noutput "x" {\n  value = terraform_data.a.output\n}\n'
    repo.commit({"a/main.tf": code, "a.yaml": a_terraform("a", "./a")})
    machine.reconcile()
    ask(machine, "root/a")
    (run,) = machine.reconcile().runs
    assert (run.changes.delete, run.changes.create) == (1, 0)
    machine.confirm("root/a")
    look = machine.reconcile()
    assert look.ran == {"root/a": "finished"}
    with machine.service.store.reading() as reading:
        assert list(reading.resources(StackId.parse("root/a"))) == []
