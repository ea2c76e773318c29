"""Stacks that depend on others: what runs, in which order, on which values, and what waits."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reconciler import operations
from reconciler.core.runs import RunStatus
from reconciler.core.state import ConditionType
from reconciler.loop.service import utc_now
from reconciler.refusals import OperationRefused
from reconciler.store.stored import RunFilter
from spaces.names import StackId
from tests.e2e.station import Repo, a_script, a_terraform, document, lines
from tests.integration.loop.machine import Look, Machine
from tests.needs import needs


def gives(name: str, apply: str = "true", **spec: Any) -> str:
    """Write a stack whose outputs are what `apply` writes to $STATION_OUTPUTS."""
    return a_script(name, apply, **spec)


def outputs(**values: Any) -> str:
    return f"printf %s '{json.dumps(values)}' > $STATION_OUTPUTS"


def takes(name: str, ran: Path, *needs: str, words: str = "", **spec: Any) -> str:
    """Write a stack that notes its name and values; a need is `stack`, or `stack output VARIABLE`."""
    dependencies: list[Any] = []
    variables = []
    for need in needs:
        stack, *used = need.split(" ")
        dependencies.append({"stack": stack, "outputs": {used[0]: used[1]}} if used else stack)
        variables += used[1:]
    shown = " ".join(f"${each}" for each in variables)
    return a_script(name, f'echo "{name} {shown}{words}" >> {ran}', dependsOn=dependencies, **spec)


def waits(look: Look, stack: str) -> str:
    ready = look.stacks[stack].conditions[ConditionType.READY]
    assert ready.reason == "WaitsForDependency", ready
    assert look.stacks[stack].due_at is None
    return ready.message


def test_a_changed_output_runs_what_uses_it_and_an_unchanged_one_nothing(
    repo: Repo, machine: Machine, ran: Path
) -> None:
    files = {
        "net.yaml": gives("net", outputs(vpc="v1", zone="z1")),
        "app.yaml": takes("app", ran, "net vpc VPC"),
        "web.yaml": takes("web", ran, "net zone ZONE", "app"),
        "log.yaml": takes("log", ran, "net"),
    }
    repo.commit(files)
    look = machine.reconcile()
    assert look.ran == dict.fromkeys(("root/net", "root/app", "root/web", "root/log"), "finished")
    assert set(lines(ran)) == {"app v1", "web z1", "log"}
    assert lines(ran).index("app v1") < lines(ran).index("web z1")
    assert machine.reconcile().runs == []

    ran.unlink()
    repo.commit({"net.yaml": gives("net", outputs(vpc="v1", zone="z1") + "; true")})
    assert machine.reconcile().ran == {"root/net": "finished"}

    repo.commit({"net.yaml": gives("net", outputs(vpc="v2", zone="z1"))})
    look = machine.reconcile()
    assert look.ran == {"root/net": "finished", "root/app": "finished"}
    assert look.why("root/app") == ["dependencies: dependency root/net: output vpc"]
    assert lines(ran) == ["app v2"]
    machine.restart()
    assert machine.reconcile().runs == []


@needs("terraform")
def test_a_chain_over_spaces_and_tools(repo: Repo, machine: Machine, ran: Path) -> None:
    code = 'variable "vpc" {}\nresource "terraform_data" "a" { input = var.vpc }\noutput "subnet" { value = [var.vpc, 1] }\n'
    repo.commit(
        {
            "s.yaml": document("Space", "platform", {"inherit": True}),
            "t.yaml": document("Space", "team", {"parent": "platform", "inherit": True}),
            "base.yaml": gives("base", outputs(vpc="v1"), space="platform"),
            "net.yaml": a_terraform(
                "net", "./code", space="team", dependsOn=[{"stack": "base", "outputs": {"vpc": "TF_VAR_vpc"}}]
            ),
            "code/main.tf": code,
            "app.yaml": takes("app", ran, "net subnet SUBNET", space="team"),
        }
    )
    look = machine.reconcile()
    assert [str(run.stack) for run in look.runs] == ["platform/base", "team/net", "team/app"]
    assert set(look.sync.values()) == {"Synced"}
    assert lines(ran) == ['app ["v1",1]']
    repo.commit({"base.yaml": gives("base", outputs(vpc="v2"), space="platform")})
    look = machine.reconcile()
    assert [str(run.stack) for run in look.runs] == ["platform/base", "team/net", "team/app"]
    assert lines(ran) == ['app ["v1",1]', 'app ["v2",1]']


@needs("terraform")
def test_what_was_made_before_the_service_came_has_outputs_too(
    repo: Repo, machine: Machine, ran: Path, tmp_path: Path
) -> None:
    code = (
        f'terraform {{\n  backend "local" {{\n    path = "{tmp_path}/made.tfstate"\n  }}\n}}\n'
        'output "vpc" { value = "v1" }\noutput "pin" {\n  value = "hunter22"\n  sensitive = true\n}\n'
    )
    repo.commit({"code/main.tf": code})
    for command in (["init"], ["apply", "-auto-approve"]):
        subprocess.run(["terraform", *command], cwd=repo.path / "code", check=True, capture_output=True)
    shutil.rmtree(repo.path / "code" / ".terraform")
    repo.commit(
        {
            "net.yaml": a_terraform("net", "./code"),
            "app.yaml": takes("app", ran, "net vpc VPC"),
            "pin.yaml": a_script(
                "pin", 'test "$PIN" = hunter22 && echo "$PIN"', dependsOn=[{"stack": "net", "outputs": {"pin": "PIN"}}]
            ),
        }
    )
    look = machine.reconcile()
    assert [run.reason for run in look.runs if str(run.stack) == "root/net"] == ["NothingToDo"]
    assert set(look.sync.values()) == {"Synced"}
    assert lines(ran) == ["app v1"]
    assert all("hunter22" not in machine.log(run) for run in look.runs)


def test_nothing_runs_on_the_values_of_one_that_failed_at_any_distance(
    repo: Repo, machine: Machine, ran: Path, tmp_path: Path
) -> None:
    flag = tmp_path / "flag"
    base = f"test -e {flag} && {outputs(x=1)}"
    repo.commit(
        {
            "base.yaml": gives("base", base),
            "mid.yaml": takes("mid", ran, "base x X"),
            "app.yaml": takes("app", ran, "mid"),
            "other.yaml": takes("other", ran),
        }
    )
    look = machine.reconcile()
    assert look.ran == {"root/base": "failed", "root/other": "finished"}
    assert waits(look, "root/mid") == waits(look, "root/app") == "root/base failed: ToolFailed"
    assert look.stacks["root/mid"].reason == "WaitsForDependency"
    with pytest.raises(OperationRefused, match="waits for root/base, which failed"):
        operations.request_run(machine.service.store, StackId.parse("root/mid"), "ada", utc_now())
    assert machine.reconcile().runs == []

    flag.touch()
    machine.retry("root/base", RunStatus.FAILED)
    assert machine.reconcile().ran == dict.fromkeys(("root/base", "root/mid", "root/app"), "finished")
    assert lines(ran) == ["other", "mid 1", "app"]

    # Applied before, and changed now: a grandparent that fails keeps the last of the line waiting.
    flag.unlink()
    repo.commit({"base.yaml": gives("base", base + " ; false"), "app.yaml": takes("app", ran, "mid", words="2")})
    look = machine.reconcile()
    assert look.ran == {"root/base": "failed"}
    assert look.sync == {
        "root/base": "OutOfSync",
        "root/mid": "Synced",
        "root/app": "OutOfSync",
        "root/other": "Synced",
    }
    assert waits(look, "root/app") == "root/base failed: ToolFailed"

    # A newer revision that ends the trouble, or the dependency, ends the waiting.
    repo.commit({"app.yaml": takes("app", ran, words="3")})
    assert machine.reconcile().ran == {"root/app": "finished"}


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        pytest.param({"autodeploy": False}, "waits for confirmation", id="unconfirmed"),
        pytest.param({"suspended": True}, "is suspended while out of sync", id="suspended"),
        pytest.param(
            {"source": {"path": "./nowhere"}}, "has a problem: SourceNotFound", id="a problem"
        ),
    ],
)  # fmt: skip
def test_what_it_waits_for_is_named(repo: Repo, machine: Machine, ran: Path, spec: dict[str, Any], words: str) -> None:
    repo.commit({"base.yaml": gives("base", **spec), "app.yaml": takes("app", ran, "base")})
    assert waits(machine.reconcile(), "root/app") == f"root/base {words}"
    assert lines(ran) == []


def test_a_confirmed_run_of_a_parent_lets_the_child_go_on(repo: Repo, machine: Machine, ran: Path) -> None:
    repo.commit(
        {"base.yaml": gives("base", outputs(x="1"), autodeploy=False), "app.yaml": takes("app", ran, "base x X")}
    )
    machine.reconcile()
    machine.confirm("root/base")
    assert set(machine.reconcile().sync.values()) == {"Synced"}
    repo.commit({"base.yaml": gives("base", outputs(x="2"), autodeploy=False)})
    machine.reconcile()
    machine.discard("root/base")
    repo.commit({"app.yaml": takes("app", ran, "base x X", words="!")})
    look = machine.reconcile()
    assert waits(look, "root/app") == "root/base is out of sync, and its run was discarded"
    assert lines(ran) == ["app 1"]


def test_a_confirmed_plan_waits_for_a_parent_and_then_goes_on(repo: Repo, machine: Machine, ran: Path) -> None:
    app = takes("app", ran, "base x X", autodeploy=False)
    repo.commit({"base.yaml": gives("base", outputs(x="1")), "app.yaml": app})
    machine.reconcile()
    repo.commit({"base.yaml": gives("base", outputs(x="1") + "; true", suspended=True)})
    machine.reconcile()
    machine.confirm("root/app")
    look = machine.reconcile()
    assert look.stacks["root/app"].due_at is None
    assert lines(ran) == []
    repo.commit({"base.yaml": gives("base", outputs(x="1") + "; true")})
    assert set(machine.reconcile().sync.values()) == {"Synced"}
    assert lines(ran) == ["app 1"]
    with machine.service.store.reading() as reading:
        assert len(reading.list_runs(RunFilter(StackId.parse("root/app")), None, 10)) == 1


def test_a_diamond_runs_each_stack_once_and_both_sides_at_once(
    repo: Repo, new_machine: Callable[..., Machine], ran: Path, tmp_path: Path
) -> None:
    machine = new_machine(repo.url, parallelism=4)
    # Each side waits for the other to have begun: one after the other they would fail.
    left, right = tmp_path / "left", tmp_path / "right"

    def side(name: str, here: Path, there: Path) -> str:
        apply = (
            f"touch {here}; for i in $(seq 100); do test -e {there} && break; sleep 0.1; done; test -e {there} && "
            """printf '{"y": "%s"}' "$X" > $STATION_OUTPUTS"""
        )
        return a_script(name, apply, dependsOn=[{"stack": "top", "outputs": {"x": "X"}}])

    repo.commit(
        {
            "top.yaml": gives("top", outputs(x="1")),
            "left.yaml": side("left", left, right),
            "right.yaml": side("right", right, left),
            "end.yaml": takes("end", ran, "left y L", "right y R", "top x T"),
        }
    )
    for value in ("1", "2"):
        repo.commit({"top.yaml": gives("top", outputs(x=value))})
        for each in (left, right):
            each.unlink(missing_ok=True)
        look = machine.reconcile()
        assert [str(run.status) for run in look.runs] == ["finished"] * 4
        assert set(look.sync.values()) == {"Synced"}
    assert lines(ran) == ["end 1 1 1", "end 2 2 2"]


def test_a_sensitive_output_is_masked_wherever_it_is_used(repo: Repo, machine: Machine, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    secret = {"value": {"user": "ann", "password": "hunter22-hunter22"}, "sensitive": True}
    app = f'echo "got $CREDENTIALS"; printf %s "$CREDENTIALS" > {seen}; echo "p=hunter22-hunter22"'
    repo.commit(
        {
            "base.yaml": gives("base", outputs(login=secret)),
            "app.yaml": a_script("app", app, dependsOn=[{"stack": "base", "outputs": {"login": "CREDENTIALS"}}]),
        }
    )
    look = machine.reconcile()
    assert set(look.sync.values()) == {"Synced"}
    assert json.loads(seen.read_text()) == secret["value"]
    log = machine.log(next(run for run in look.runs if str(run.stack) == "root/app"))
    assert "got" in log
    assert "hunter22" not in log
    database = b"".join(path.read_bytes() for path in machine.settings.data_dir.glob("*.db*"))
    assert database
    assert b"hunter22" not in database


def test_a_missing_output_names_both_ends_and_comes_right(repo: Repo, machine: Machine, ran: Path) -> None:
    repo.commit({"base.yaml": gives("base", outputs(vpc="v1")), "app.yaml": takes("app", ran, "base vpc_id VPC")})
    look = machine.reconcile()
    assert look.ran == {"root/base": "finished"}
    assert (look.sync["root/app"], look.stacks["root/app"].reason) == ("Unknown", "OutputMissing")
    message = look.stacks["root/app"].conditions[ConditionType.READY].message
    assert message == "root/base has no output vpc_id, which root/app uses as VPC"
    machine.restart()
    assert machine.reconcile().runs == []
    repo.commit({"base.yaml": gives("base", outputs(vpc="v1", vpc_id="v2"))})
    assert machine.reconcile().ran == {"root/base": "finished", "root/app": "finished"}
    repo.commit({"base.yaml": gives("base", outputs(vpc="v1"))})
    assert machine.reconcile().stacks["root/app"].reason == "OutputMissing"
    repo.commit({"app.yaml": takes("app", ran, "base vpc VPC")})
    assert machine.reconcile().ran == {"root/app": "finished"}
    assert lines(ran) == ["app v2", "app v1"]


def test_a_circle_keeps_what_was_there(repo: Repo, machine: Machine, ran: Path) -> None:
    repo.commit({"a.yaml": takes("a", ran), "b.yaml": takes("b", ran, "a")})
    machine.reconcile()
    repo.commit({"a.yaml": takes("a", ran, "b")})
    look = machine.reconcile()
    assert (look.runs, look.problems) == ([], ["a.yaml: error: dependency-cycle"])
    assert set(look.sync.values()) == {"Synced"}


def test_sharing_and_no_longer_sharing(repo: Repo, machine: Machine, ran: Path) -> None:
    spaces = {f"{name}.yaml": document("Space", name, {}) for name in ("one", "two")}
    base = gives("base", outputs(x="1"), space="one")
    repo.commit({**spaces, "base.yaml": base, "app.yaml": takes("app", ran, "one/base x X", space="two")})
    look = machine.reconcile()
    assert (look.ran, look.problems) == ({"one/base": "finished"}, ["app.yaml: error: unknown-stack"])
    repo.commit({"base.yaml": gives("base", outputs(x="1"), space="one", shareOutputs=["two"])})
    assert machine.reconcile().ran == {"two/app": "finished"}
    repo.commit({"base.yaml": base})
    look = machine.reconcile()
    assert (look.runs, look.problems) == ([], ["app.yaml: error: still-in-use"])
    repo.commit({"app.yaml": takes("app", ran, space="two")})
    look = machine.reconcile()
    assert (look.ran, look.problems) == ({"two/app": "finished"}, [])
    assert lines(ran) == ["app 1", "app"]


def test_a_parent_that_moves_takes_its_children_along(repo: Repo, machine: Machine, ran: Path) -> None:
    repo.commit({"base.yaml": gives("base", outputs(x="1")), "app.yaml": takes("app", ran, "base x X")})
    machine.reconcile()
    moved = gives("core", outputs(x="1"), movedFrom="root/base")
    repo.commit({"base.yaml": moved, "app.yaml": takes("app", ran, "core x X")})
    look = machine.reconcile()
    assert (look.runs, look.problems) == ([], [])
    assert look.sync == {"root/core": "Synced", "root/app": "Synced"}
    repo.commit({"base.yaml": gives("core", outputs(x="2"), movedFrom="root/base")})
    assert machine.reconcile().ran == {"root/core": "finished", "root/app": "finished"}
    assert lines(ran) == ["app 1", "app 2"]


def test_a_parent_cannot_leave_while_it_is_needed(repo: Repo, machine: Machine, ran: Path) -> None:
    repo.commit({"base.yaml": gives("base"), "app.yaml": takes("app", ran, "base"), "z.yaml": gives("z")})
    machine.reconcile()
    repo.commit({"base.yaml": None})
    look = machine.reconcile()
    assert (look.problems, look.sync) == (
        ["app.yaml: error: still-in-use"],
        {"root/base": "Synced", "root/app": "Synced", "root/z": "Synced"},
    )
    repo.commit({"app.yaml": None})
    assert machine.reconcile().sync == {"root/z": "Synced"}


def test_nothing_is_lost_between_the_end_of_a_parent_and_its_child(repo: Repo, machine: Machine, ran: Path) -> None:
    repo.commit({"base.yaml": gives("base", outputs(x="1")), "app.yaml": takes("app", ran, "base x X")})
    machine.reconcile()
    repo.commit({"base.yaml": gives("base", outputs(x="2"))})
    loop = machine.service.loop
    loop.look()
    # As if the service were killed right after it recorded the parent's end.
    while (look := machine.look()).stacks["root/app"].sync != "OutOfSync":
        loop.step(0.05)
    assert {str(run.stack) for run in look.runs} == {"root/base"}
    machine.restart()
    assert machine.reconcile().sync == {"root/base": "Synced", "root/app": "Synced"}
    assert lines(ran) == ["app 1", "app 2"]


def test_a_confirmed_plan_is_not_applied_when_an_output_changed_since(repo: Repo, machine: Machine, ran: Path) -> None:
    app = takes("app", ran, "base x X", autodeploy=False)
    repo.commit({"base.yaml": gives("base", outputs(x="1")), "app.yaml": app})
    machine.reconcile()
    planned = machine.run_of("root/app", RunStatus.UNCONFIRMED)
    repo.commit({"base.yaml": gives("base", outputs(x="2"))})
    machine.service.loop.look()
    operations.confirm(machine.service.store, planned.id, "ada", utc_now())
    machine.reconcile()
    with machine.service.store.reading() as reading:
        assert reading.run(planned.id).status is RunStatus.SUPERSEDED  # type: ignore[union-attr]
    assert lines(ran) == []
    machine.confirm("root/app")
    machine.reconcile()
    assert lines(ran) == ["app 2"]


def test_two_services_on_one_database_know_of_each_other_s_outputs(
    repo: Repo, new_machine: Callable[..., Machine], ran: Path, tmp_path: Path, postgres_url: str
) -> None:
    shared = {"database_url": postgres_url, "encryption_key_file": tmp_path / "key"}
    one, two = (new_machine(repo.url, name, **shared) for name in ("one", "two"))
    repo.commit({"base.yaml": gives("base", outputs(x="1")), "app.yaml": takes("app", ran, "base x X")})
    assert set(one.reconcile().sync.values()) == {"Synced"}
    two.reconcile()
    repo.commit({"base.yaml": gives("base", outputs(x="2"))})
    one.service.loop.look()
    two.service.loop.look()
    while one.look().stacks["root/app"].sync != "OutOfSync":
        one.service.loop.step(0.05)
    # The other one has seen nothing but the database.
    assert two.reconcile().sync == {"root/base": "Synced", "root/app": "Synced"}
    assert two.run_of("root/app", RunStatus.FINISHED).holder == two.service.loop.holder
    assert lines(ran) == ["app 1", "app 2"]
    one.look()
    assert (one.reconcile().runs, two.reconcile().runs) == ([], [])


CODE_LIKE = {"url": "https://x/${1 + 1}", "names": ["$${x}", "${aws:username}"]}


@needs("terraform")
def test_values_pass_from_terraform_to_terraform_as_they_were(repo: Repo, machine: Machine, ran: Path) -> None:
    variables = 'variable "typed" {\n  type = any\n}\nvariable "bare" {}\nvariable "size" {\n  default = 7\n}\nvariable "my-var" {}\n'
    given = json.dumps(CODE_LIKE).replace("${", "$${").replace("$$$${", "$$$$${")
    repo.commit(
        {
            "a/main.tf": f'output "odd" {{\n  value = jsondecode({json.dumps(given)})\n}}\n'
            'output "none" {\n  value = null\n}\n',
            "b/main.tf": variables
            + "".join(
                f'output "{name}" {{\n  value = var.{name}\n}}\n' for name in ("typed", "bare", "size", "my-var")
            ),
            "a.yaml": a_terraform("a", "./a"),
            "b.yaml": a_terraform(
                "b",
                "./b",
                dependsOn=[{"stack": "a", "outputs": {"odd": "TF_VAR_typed", "none": "TF_VAR_size"}}, "c"],
                env={"TF_VAR_bare": "${not} %{evaluated}", "TF_VAR_my-var": "x"},
            ),
            "c.yaml": gives("c", outputs(none=None)),
            "d.yaml": a_script(
                "d",
                f'echo "${{NONE-unset}} $ODD" >> {ran}',
                dependsOn=[{"stack": "c", "outputs": {"none": "NONE"}}, {"stack": "b", "outputs": {"typed": "ODD"}}],
            ),
        }
    )
    look = machine.reconcile()
    assert set(look.ran.values()) == {"finished"}, look.ran
    with machine.service.store.reading() as reading:
        found = {each.name: each.value for each in reading.outputs(StackId.parse("root/b"))}
    assert (found["size"], found["my-var"]) == (7, "x")
    assert found["bare"] == "${not} %{evaluated}"
    with machine.service.store.reading() as reading:
        (odd, none) = (
            next(each.value for each in reading.outputs(StackId.parse("root/a")) if each.name == name)
            for name in ("odd", "none")
        )
    assert (found["typed"], none) == (odd, None)
    assert "${1 + 1}" in odd["url"]
    assert lines(ran) == [f"unset {json.dumps(odd, separators=(',', ':'))}"]
    assert machine.reconcile().runs == []


def test_outputs_in_files_stand_ins_for_plans_and_a_run_after_each_apply(
    repo: Repo, machine: Machine, ran: Path, tmp_path: Path
) -> None:
    flag = tmp_path / "flag"
    secret = {"value": {"token": "hunter22"}, "sensitive": True}
    base = f"test -e {flag} && {outputs(hosts=['a', 'b'], key=secret)}"
    uses = {
        "hosts": {"file": "in/hosts.json", "env": "HOSTS", "previewAs": ["none yet"]},
        "key": {"file": "key.json", "previewAs": "unknown"},
    }
    shows = 'echo "$HOSTS $(tr -d " \\n" < in/hosts.json) $(cat key.json | tr -d " \\n")"'
    app = a_script("app", f"{shows} >> {ran}", plan=f"{shows}; exit 2", dependsOn=[{"stack": "base", "outputs": uses}])
    log = a_script("log", f"echo log >> {ran}", dependsOn=[{"stack": "base", "always": True}])
    repo.commit({"base.yaml": gives("base", base), "app.yaml": app, "log.yaml": log})
    assert machine.reconcile().ran == {"root/base": "failed"}

    # What is only looked at need not wait. What applies does, and gets nothing that stands in.
    planned = operations.request_plan(machine.service.store, StackId.parse("root/app"), "user:alice", utc_now())
    look = machine.reconcile()
    assert look.runs[0].message.endswith("previewAs stood in for hosts of root/base, key of root/base")
    assert '["none yet"] ["noneyet"] "unknown"' in machine.log(planned)
    assert waits(look, "root/app")

    flag.touch()
    operations.request_run(machine.service.store, StackId.parse("root/base"), "user:alice", utc_now())
    look = machine.reconcile()
    assert set(look.sync.values()) == {"Synced"}
    assert sorted(lines(ran)) == ['["a","b"] ["a","b"] {"token":"hunter22"}', "log"]
    assert "hunter22" not in machine.log(machine.run_of("root/app", RunStatus.FINISHED))
    assert not list(machine.settings.data_dir.rglob("key.json"))

    # Another apply with the same outputs: only what runs after each apply runs.
    repo.commit({"base.yaml": gives("base", f"{base}; true")})
    look = machine.reconcile()
    assert look.ran == {"root/base": "finished", "root/log": "finished"}
    assert look.why("root/log") == ["dependencies: dependency root/base: an apply"]
    assert machine.reconcile().runs == []
