"""Stacks whose document leaves Git with `onDelete: destroy`: what they made goes, in order, and nothing else."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from reconciler import locks, operations
from reconciler.core.runs import RunKind, RunStatus
from reconciler.loop.service import utc_now
from reconciler.refusals import OperationRefused
from spaces.names import StackId
from tests.e2e.station import Repo, a_script, a_terraform, document, lines
from tests.integration.loop.machine import Look, Machine
from tests.needs import needs

OUTPUTS = """printf '{"vpc": "v1"}' > $STATION_OUTPUTS"""


def made(name: str, ran: Path, more: str = "true", **spec: Any) -> str:
    """Write a stack that notes what it makes and destroys."""
    commands = {"destroy": f"echo -{name} $VPC >> {ran}", "onDelete": "destroy"}
    return a_script(name, f"echo +{name} >> {ran}; {more}", **{**commands, **spec})


def reasons(look: Look) -> dict[str, str]:
    return {name: state.reason for name, state in look.stacks.items()}


def test_what_a_stack_made_goes_with_its_document(repo: Repo, machine: Machine, ran: Path) -> None:
    repo.commit({"a.yaml": made("a", ran), "b.yaml": made("b", ran)})
    machine.reconcile()
    repo.commit({"a.yaml": None})
    look = machine.reconcile()
    assert [(run.kind, run.status) for run in look.runs] == [(RunKind.DESTROY, RunStatus.FINISHED)]
    assert sorted(lines(ran)) == ["+a", "+b", "-a"]
    assert reasons(look) == {"root/a": "Destroyed", "root/b": "UpToDate"}
    assert look.stacks["root/a"].applied is None
    assert machine.reconcile().runs == []


def test_those_below_go_first_with_the_outputs_that_they_use(repo: Repo, machine: Machine, ran: Path) -> None:
    below = [{"stack": "net", "outputs": {"vpc": "VPC"}}]
    repo.commit(
        {
            "keep.yaml": a_script("keep", "true"),
            "all.yaml": "---\n".join(
                [
                    made("net", ran, OUTPUTS),
                    made("app", ran, dependsOn=below),
                    made("edge", ran, dependsOn=["app", *below]),
                ]
            ),
        }
    )
    machine.reconcile()
    ran.unlink()
    repo.commit({"all.yaml": None})
    look = machine.reconcile()
    assert lines(ran) == ["-edge v1", "-app v1", "-net"]
    assert reasons(look) == {
        "root/keep": "UpToDate",
        **dict.fromkeys(["root/net", "root/app", "root/edge"], "Destroyed"),
    }


def test_without_autodeploy_a_person_confirms_it(repo: Repo, machine: Machine, ran: Path) -> None:
    repo.commit({"a.yaml": made("a", ran, autodeploy=False), "b.yaml": a_script("b", "true")})
    machine.reconcile()
    machine.confirm("root/a")
    machine.reconcile()
    repo.commit({"a.yaml": None})
    assert machine.reconcile().ran == {"root/a": "unconfirmed"}
    machine.confirm("root/a")
    assert (machine.reconcile().ran, lines(ran)) == ({"root/a": "finished"}, ["+a", "-a"])


@pytest.mark.parametrize("spec", [{"protected": True}, {"onDelete": "retain"}])
def test_what_is_protected_or_retained_stays(repo: Repo, machine: Machine, ran: Path, spec: dict[str, Any]) -> None:
    repo.commit({"a.yaml": made("a", ran, **spec), "b.yaml": a_script("b", "true")})
    machine.reconcile()
    repo.commit({"a.yaml": None})
    look = machine.reconcile()
    assert (look.runs, lines(ran), reasons(look)["root/a"]) == ([], ["+a"], "Retained")


def test_a_document_that_comes_back_takes_the_destruction_back(repo: Repo, machine: Machine, ran: Path) -> None:
    document = made("a", ran, autodeploy=False)
    repo.commit({"a.yaml": document, "b.yaml": a_script("b", "true")})
    machine.reconcile()
    machine.confirm("root/a")
    machine.reconcile()
    repo.commit({"a.yaml": None})
    machine.reconcile()
    machine.confirm("root/a")
    repo.commit({"a.yaml": document})
    look = machine.reconcile()
    assert [(run.kind, run.status) for run in look.runs] == [(RunKind.DESTROY, RunStatus.SUPERSEDED)]
    assert (lines(ran), look.sync["root/a"]) == (["+a"], "Synced")


def at_work(machine: Machine, repo: Repo, ran: Path) -> None:
    """Let the document of a leave, and its destruction begin."""
    repo.commit({"a.yaml": None})
    machine.service.loop.look()
    while "begun" not in lines(ran):
        machine.service.loop.step(0.1)


def test_a_document_that_comes_back_while_it_is_destroyed_is_made_anew(repo: Repo, machine: Machine, ran: Path) -> None:
    gate = ran.with_name("gate")
    destroy = f"echo begun >> {ran}; until [ -e {gate} ]; do sleep 0.05; done; echo -a >> {ran}"
    document = made("a", ran, destroy=destroy)
    repo.commit({"a.yaml": document, "b.yaml": a_script("b", "true")})
    machine.reconcile()
    at_work(machine, repo, ran)
    repo.commit({"a.yaml": document})
    machine.service.loop.look()
    gate.touch()
    assert machine.reconcile().sync == {"root/a": "Synced", "root/b": "Synced"}
    assert lines(ran) == ["+a", "begun", "-a", "+a"]


def test_whoever_suspends_it_while_it_is_planned_keeps_it_from_being_destroyed(
    repo: Repo, machine: Machine, ran: Path
) -> None:
    gate = ran.with_name("gate")
    slow = f"if [ -e {ran} ]; then echo begun >> {ran}; until [ -e {gate} ]; do sleep 0.05; done; fi"
    hooks = {"before": {"plan": [slow]}}
    repo.commit({"a.yaml": made("a", ran, hooks=hooks), "b.yaml": a_script("b", "true")})
    machine.reconcile()
    at_work(machine, repo, ran)
    stack = StackId.parse("root/a")
    locks.suspend(machine.service.store, stack, "ada", utc_now())
    gate.touch()
    assert (machine.reconcile().ran, lines(ran)) == ({"root/a": "unconfirmed"}, ["+a", "begun"])
    with pytest.raises(OperationRefused, match="root/a is suspended"):
        machine.confirm("root/a")
    locks.resume(machine.service.store, stack, "ada", utc_now())
    machine.confirm("root/a")
    assert (reasons(machine.reconcile())["root/a"], lines(ran)) == ("Destroyed", ["+a", "begun", "-a"])


def test_a_move_destroys_nothing(repo: Repo, machine: Machine, ran: Path) -> None:
    repo.commit({"a.yaml": made("a", ran), "b.yaml": a_script("b", "true")})
    machine.reconcile()
    renamed = made("a", ran).replace('"name": "a"', '"name": "z", "movedFrom": "root/a"')
    assert "movedFrom" in renamed
    repo.commit({"a.yaml": renamed})
    look = machine.reconcile()
    assert (look.runs, lines(ran), look.sync) == ([], ["+a"], {"root/b": "Synced", "root/z": "Synced"})


def test_it_runs_what_was_applied_also_after_a_restart_and_a_lost_mirror(
    repo: Repo, machine: Machine, ran: Path
) -> None:
    script = {"a/destroy.sh": f"echo -applied >> {ran}\n"}
    spec = {"destroy": "sh destroy.sh", "source": {"path": "./a"}}
    repo.commit({"a.yaml": made("a", ran, autodeploy=False, **spec), "b.yaml": a_script("b", "true"), **script})
    machine.reconcile()
    machine.confirm("root/a")
    machine.reconcile()
    # Never applied: it waits for confirmation.
    repo.commit({"a/destroy.sh": f"echo -never-applied >> {ran}\n"})
    machine.reconcile()
    repo.commit({"a.yaml": None, "a/destroy.sh": None})
    machine.reconcile()
    machine.confirm("root/a")
    machine.restart()
    shutil.rmtree(machine.settings.data_dir / "mirrors")
    machine.reconcile()
    look = machine.reconcile()
    assert (reasons(look)["root/a"], lines(ran)) == ("Destroyed", ["+a", "-applied"])


def test_a_destruction_that_fails_is_tried_again_when_somebody_asks(repo: Repo, machine: Machine, ran: Path) -> None:
    flag = ran.with_name("flag")
    destroy = f"[ -e {flag} ] && echo -a >> {ran}"
    repo.commit({"a.yaml": made("a", ran, destroy=destroy), "b.yaml": a_script("b", "true")})
    machine.reconcile()
    repo.commit({"a.yaml": None})
    look = machine.reconcile()
    assert (look.ran, look.stacks["root/a"].conditions["Ready"].reason) == ({"root/a": "failed"}, "ToolFailed")
    assert machine.reconcile().runs == []
    flag.touch()
    with pytest.raises(OperationRefused, match="left Git, and what it made is to be destroyed"):
        operations.request_run(machine.service.store, StackId.parse("root/a"), "ada", utc_now())
    operations.request_destroy(machine.service.store, StackId.parse("root/a"), "ada", utc_now())
    machine.reconcile()
    machine.confirm("root/a")
    assert (reasons(machine.reconcile())["root/a"], lines(ran)) == ("Destroyed", ["+a", "-a"])


def test_the_policies_of_now_are_over_it(repo: Repo, machine: Machine, ran: Path) -> None:
    repo.commit({"a.yaml": made("a", ran), "b.yaml": a_script("b", "true")})
    machine.reconcile()
    rego = 'package stationkeeper\ndeny contains "not today" if input.run.kind == "destroy"\n'
    policy = document("Policy", "no", {"type": "plan", "enforcement": "mandatory", "rego": rego})
    repo.commit({"a.yaml": None, "p.yaml": policy})
    look = machine.reconcile()
    assert [(run.status, run.reason) for run in look.runs if run.kind is RunKind.DESTROY] == [
        (RunStatus.FAILED, "PolicyDenied")
    ]
    assert lines(ran) == ["+a"]


@needs("terraform")
def test_terraform_destroys_from_the_code_that_was_applied(repo: Repo, machine: Machine, ran: Path) -> None:
    code = (
        'resource "terraform_data" "a" {\n  provisioner "local-exec" {\n    when    = destroy\n'
        f'    command = "echo gone >> {ran}"\n  }}\n}}\n'
    )
    repo.commit(
        {"a/main.tf": code, "a.yaml": a_terraform("a", "./a", onDelete="destroy"), "b.yaml": a_script("b", "true")}
    )
    machine.reconcile()
    repo.commit({"a/main.tf": None, "a.yaml": None})
    (run,) = machine.reconcile().runs
    assert (run.kind, run.status, run.changes.delete, lines(ran)) == (
        RunKind.DESTROY,
        RunStatus.FINISHED,
        1,
        ["gone"],
    )


def test_a_retained_stack_can_be_forgotten_and_its_name_gives_nothing_of_what_it_had(
    repo: Repo, machine: Machine, ran: Path
) -> None:
    store, stack = machine.service.store, StackId.parse("root/a")
    repo.commit({"a.yaml": made("a", ran, OUTPUTS, onDelete="retain"), "b.yaml": a_script("b", "true")})
    machine.reconcile()
    with store.writing() as transaction:
        transaction.add_tfstate(stack, b"{}", None, utc_now())
    with pytest.raises(OperationRefused, match="its document is in Git"):
        operations.forget(store, stack, "ada", utc_now())
    repo.commit({"a.yaml": None})
    assert reasons(machine.reconcile())["root/a"] == "Retained"
    operations.forget(store, stack, "ada", utc_now())
    assert "root/a" not in machine.look().stacks
    repo.commit({"a.yaml": made("a", ran, onDelete="retain")})
    look = machine.reconcile()
    assert (look.why("root/a"), lines(ran)) == (["spec: new stack"], ["+a", "+a"])
    with store.reading() as reading:
        assert (reading.tfstate(stack), reading.outputs(stack)) == (None, [])
