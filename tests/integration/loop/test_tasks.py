"""Tasks: a command by a person in a stack's directory and environment, in the same queue as its other runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler import locks, operations
from reconciler.core.runs import Run, RunKind, RunStatus
from reconciler.loop.service import utc_now
from reconciler.refusals import OperationRefused
from spaces.names import StackId
from tests.e2e.station import Repo, a_script, a_terraform, document, lines
from tests.integration.loop.machine import Machine
from tests.needs import needs


def ask(machine: Machine, command: str, stack: str = "root/a") -> Run:
    return operations.request_task(machine.service.store, StackId.parse(stack), command, "user:ada", utc_now())


def test_a_task_runs_in_the_directory_and_environment_and_leaves_what_was_applied(
    repo: Repo, machine: Machine, ran: Path
) -> None:
    stack = a_script("a", f"echo applied >> {ran}", source={"path": "./a"}, env={"WHO": "me"})
    repo.commit({"a.yaml": stack, "a/file.txt": "hello\n"})
    before = machine.reconcile().stacks["root/a"]
    ask(machine, f'cat file.txt >> {ran}; echo "$WHO" >> {ran}')
    look = machine.reconcile()
    (run,) = look.runs
    assert (run.kind, run.status, run.message) == (RunKind.TASK, RunStatus.FINISHED, "the command ended well")
    assert lines(ran) == ["applied", "hello", "me"]
    after = look.stacks["root/a"]
    assert (after.applied, after.last, look.sync) == (before.applied, before.last, {"root/a": "Synced"})


def test_a_task_that_fails_stops_at_the_first_failure_and_blames_no_stack(
    repo: Repo, machine: Machine, ran: Path
) -> None:
    repo.commit({"a.yaml": a_script("a", "true", timeout="1s")})
    machine.reconcile()
    ask(machine, f"false\necho never >> {ran}")
    look = machine.reconcile()
    assert (look.ran, lines(ran)) == ({"root/a": "failed"}, [])
    ask(machine, "sleep 600")
    look = machine.reconcile()
    assert [run.reason for run in look.runs] == ["PhaseTimeout"], "one that never ends is ended"
    assert look.stacks["root/a"].conditions["Ready"].status == "True"


def test_policies_see_the_command(repo: Repo, machine: Machine, ran: Path) -> None:
    rego = 'package stationkeeper\ndeny contains "no rm" if contains(input.run.command, "rm ")\n'
    policy = document("Policy", "no", {"type": "plan", "enforcement": "mandatory", "rego": rego})
    repo.commit({"a.yaml": a_script("a", "true"), "p.yaml": policy})
    machine.reconcile()
    ask(machine, f"rm -r {ran}")
    (denied,) = machine.reconcile().runs
    assert (denied.status, denied.reason) == (RunStatus.FAILED, "PolicyDenied")
    ask(machine, f"echo fine >> {ran}")
    assert (machine.reconcile().ran, lines(ran)) == ({"root/a": "finished"}, ["fine"])


def test_a_task_waits_in_line_and_not_for_a_suspended_stack(repo: Repo, machine: Machine) -> None:
    repo.commit({"a.yaml": a_script("a", "true")})
    machine.reconcile()
    ask(machine, "true")
    with pytest.raises(OperationRefused, match="root/a already has run"):
        ask(machine, "true")
    machine.reconcile()
    locks.suspend(machine.service.store, StackId.parse("root/a"), "ada", utc_now())
    with pytest.raises(OperationRefused, match="root/a is suspended"):
        ask(machine, "true")


@needs("terraform")
def test_a_task_reaches_the_managed_tfstate(repo: Repo, machine: Machine) -> None:
    code = 'resource "terraform_data" "a" {}\nresource "terraform_data" "b" {}\n'
    repo.commit({"a/main.tf": code, "a.yaml": a_terraform("a", "./a")})
    machine.reconcile()
    ask(machine, "terraform state list && terraform state rm terraform_data.b")
    look = machine.reconcile()
    assert look.ran == {"root/a": "finished"}, machine.log(look.runs[0])
    assert "terraform_data.b" in machine.log(look.runs[0])
    with machine.service.store.reading() as reading:
        newest = reading.tfstate(StackId.parse("root/a"))
    assert newest is not None
    assert (b"terraform_data" in newest.body, newest.body.count(b'"name": "b"'), newest.run) == (
        True,
        0,
        look.runs[0].id,
    )
