"""Confirmation, failures, retries, suspension, missing tools: what each stack's runs do, and that others go on."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from reconciler import locks, operations
from reconciler.core.phases import Phase
from reconciler.core.results import Planned
from reconciler.core.runs import Run, RunStatus
from reconciler.core.state import ConditionStatus, ConditionType
from reconciler.loop.runs.dispatch import Dispatcher
from reconciler.loop.service import utc_now
from reconciler.policies import checking
from spaces.names import StackId
from tests.e2e.station import Repo, a_script, a_terraform, lines
from tests.integration.loop.machine import Machine


def test_without_autodeploy_nothing_is_applied_before_somebody_says_yes(
    repo: Repo, machine: Machine, ran: Path
) -> None:
    repo.commit({"a.yaml": a_script("a", f"echo one >> {ran}", autodeploy=False)})
    waiting = machine.reconcile()
    assert (waiting.ran, waiting.sync, lines(ran)) == ({"root/a": "unconfirmed"}, {"root/a": "OutOfSync"}, [])
    assert machine.reconcile().ran == {"root/a": "unconfirmed"}
    machine.restart()
    assert machine.reconcile().ran == {"root/a": "unconfirmed"}
    machine.confirm("root/a")
    done = machine.reconcile()
    assert (done.ran, done.sync, lines(ran)) == ({"root/a": "finished"}, {"root/a": "Synced"}, ["one"])
    assert done.runs[0].confirmed_by == "ada"
    assert machine.reconcile().runs == []


def test_a_plan_without_changes_needs_nobody(repo: Repo, machine: Machine, ran: Path) -> None:
    repo.commit({"a.yaml": a_script("a", f"echo one >> {ran}", plan="exit 0", autodeploy=False)})
    look = machine.reconcile()
    assert (look.ran, look.sync, lines(ran)) == ({"root/a": "finished"}, {"root/a": "Synced"}, [])


def test_what_was_discarded_stays_so_until_something_else_is_desired(repo: Repo, machine: Machine, ran: Path) -> None:
    repo.commit({"a.yaml": a_script("a", f"echo one >> {ran}", autodeploy=False)})
    machine.reconcile()
    machine.discard("root/a")
    look = machine.reconcile()
    assert (look.ran, look.sync, look.stuck("root/a")) == (
        {"root/a": "discarded"},
        {"root/a": "OutOfSync"},
        "Discarded",
    )
    assert machine.reconcile().runs == []
    repo.commit({"a.yaml": a_script("a", f"echo two >> {ran}", autodeploy=False)})
    assert machine.reconcile().ran == {"root/a": "unconfirmed"}
    machine.confirm("root/a")
    machine.reconcile()
    assert lines(ran) == ["two"]


def test_a_newer_commit_supersedes_a_run_that_waits_and_its_confirmation_counts_for_nothing(
    repo: Repo, machine: Machine, ran: Path
) -> None:
    repo.commit({"a.yaml": a_script("a", f"echo one >> {ran}", autodeploy=False)})
    machine.reconcile()
    machine.confirm("root/a")
    repo.commit({"a.yaml": a_script("a", f"echo two >> {ran}", autodeploy=False)})
    look = machine.reconcile()
    assert [run.status for run in look.runs] == [RunStatus.SUPERSEDED, RunStatus.UNCONFIRMED]
    assert lines(ran) == []


def test_a_commit_that_takes_a_change_back_leaves_nothing_to_confirm(repo: Repo, machine: Machine, ran: Path) -> None:
    original = {"a.yaml": a_script("a", f"echo one >> {ran}", autodeploy=False)}
    repo.commit(original)
    machine.reconcile()
    machine.confirm("root/a")
    machine.reconcile()
    repo.commit({"a.yaml": a_script("a", f"echo two >> {ran}", autodeploy=False)})
    machine.reconcile()
    repo.commit(original)
    look = machine.reconcile()
    assert (look.ran, look.sync) == ({"root/a": "superseded"}, {"root/a": "Synced"})


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        pytest.param({"plan": "exit 1"}, "ToolFailed", id="plan"),
        pytest.param({"plan": "kill -9 $$"}, "ToolKilled", id="plan killed"),
        pytest.param({"plan": "exit 2", "apply": "exit 7"}, "ToolFailed", id="apply"),
        pytest.param({"apply": "true", "hooks": {"before": {"plan": ["false"]}}}, "HookFailed", id="hook"),
    ],
)
def test_a_failure_stays_with_its_stack_until_somebody_retries(
    repo: Repo, machine: Machine, ran: Path, spec: dict[str, object], reason: str
) -> None:
    spec = dict(spec)
    broken = a_script("broken", str(spec.pop("apply", f"echo oops >> {ran}")), **spec)
    repo.commit({"a.yaml": a_script("a", f"echo a >> {ran}"), "broken.yaml": broken})
    look = machine.reconcile()
    assert look.ran == {"root/a": "finished", "root/broken": "failed"}
    assert (look.sync["root/broken"], look.stuck("root/broken"), lines(ran)) == ("OutOfSync", reason, ["a"])
    conditions = look.stacks["root/broken"].conditions
    assert conditions[ConditionType.STALLED].status is ConditionStatus.TRUE
    assert conditions[ConditionType.READY].reason == reason
    assert machine.reconcile().runs == [], "a failure is not repeated by itself"
    machine.retry("root/broken", RunStatus.FAILED)
    assert machine.reconcile().ran == {"root/broken": "failed"}
    repo.commit({"broken.yaml": a_script("broken", f"echo mended >> {ran}")})
    mended = machine.reconcile()
    assert (mended.sync["root/broken"], lines(ran)) == ("Synced", ["a", "mended"])


def test_after_an_apply_that_died_half_way_the_next_one_waits_for_a_person(
    repo: Repo, machine: Machine, ran: Path
) -> None:
    repo.commit({"a.yaml": a_script("a", "kill -SEGV $$"), "b.yaml": a_script("b", "true")})
    look = machine.reconcile()
    assert look.ran == {"root/a": "interrupted", "root/b": "finished"}
    assert look.stacks["root/a"].conditions[ConditionType.STALLED].reason == "Interrupted"
    assert machine.reconcile().runs == []
    repo.commit({"a.yaml": a_script("a", f"echo mended >> {ran}")})
    look = machine.reconcile()
    assert (look.ran, lines(ran)) == ({"root/a": "unconfirmed"}, [])
    machine.confirm("root/a")
    look = machine.reconcile()
    assert (look.sync["root/a"], lines(ran)) == ("Synced", ["mended"])
    assert look.stacks["root/a"].conditions[ConditionType.STALLED].status is ConditionStatus.FALSE
    repo.commit({"a.yaml": a_script("a", f"echo once more >> {ran}")})
    assert machine.reconcile().ran == {"root/a": "finished"}, "and then all is as before"


def test_a_revert_puts_right_what_a_failed_apply_left(repo: Repo, machine: Machine, tmp_path: Path) -> None:
    world = tmp_path / "world"
    good = a_script("a", f"echo good > {world}")
    repo.commit({"a.yaml": good})
    machine.reconcile()
    repo.commit({"a.yaml": a_script("a", f"echo half > {world}; exit 7")})
    assert machine.reconcile().ran == {"root/a": "failed"}
    repo.commit({"a.yaml": good})
    look = machine.reconcile()
    assert (look.ran, look.sync, world.read_text()) == ({"root/a": "finished"}, {"root/a": "Synced"}, "good\n")
    assert machine.reconcile().runs == []


def test_a_revert_of_what_only_failed_to_plan_runs_nothing(repo: Repo, machine: Machine) -> None:
    good = a_script("a", "true")
    repo.commit({"a.yaml": good})
    machine.reconcile()
    repo.commit({"a.yaml": a_script("a", "true", script={"plan": "exit 1", "apply": "true"})})
    assert machine.reconcile().ran == {"root/a": "failed"}
    repo.commit({"a.yaml": good})
    look = machine.reconcile()
    assert (look.runs, look.sync) == ([], {"root/a": "Synced"})


@pytest.mark.parametrize("where", ["document", "operator"])
def test_a_suspended_stack_waits_and_catches_up_later(repo: Repo, machine: Machine, ran: Path, where: str) -> None:
    repo.commit({"a.yaml": a_script("a", "true"), "b.yaml": a_script("b", "true")})
    machine.reconcile()
    stack = StackId.parse("root/a")
    if where == "operator":
        locks.suspend(machine.service.store, stack, "ada", utc_now())
    suspended = {"suspended": True} if where == "document" else {}
    repo.commit({"a.yaml": a_script("a", f"echo new >> {ran}", **suspended), "b.yaml": a_script("b", "echo b")})
    look = machine.reconcile()
    assert (look.ran, look.sync["root/a"], lines(ran)) == ({"root/b": "finished"}, "OutOfSync", [])
    assert look.stacks["root/a"].conditions[ConditionType.READY].reason == "Suspended"
    if where == "operator":
        locks.resume(machine.service.store, stack, "ada", utc_now())
    else:
        repo.commit({"a.yaml": a_script("a", f"echo new >> {ran}")})
    assert machine.reconcile().ran == {"root/a": "finished"}
    assert lines(ran) == ["new"]


def test_a_tool_that_is_missing_or_of_another_version_is_that_stack_s_own_trouble(
    repo: Repo, new_machine: Callable[..., Machine], tmp_path: Path, ran: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    fake = tools / "terraform"
    fake.write_text("#!/bin/sh\necho Terraform v1.2.3\n")
    fake.chmod(0o755)
    for needed in ("sh", "echo", "true", "bwrap", "git"):
        if found := shutil.which(needed):
            (tools / needed).symlink_to(found)
    # Whether or not this machine has OpenTofu, the service finds none.
    monkeypatch.setenv("PATH", str(tools))
    machine = new_machine(repo.url)
    empty = 'resource "terraform_data" "a" {}\n'
    repo.commit(
        {
            "old.yaml": a_terraform("old", "./code", toolVersion=">=1.8,<2"),
            "tofu.yaml": a_terraform("tofu", "./code").replace('"terraform"', '"opentofu"'),
            "code/main.tf": empty,
            "a.yaml": a_script("a", f"echo a >> {ran}"),
        }
    )
    look = machine.reconcile()
    assert look.sync == {"root/a": "Synced", "root/old": "OutOfSync", "root/tofu": "OutOfSync"}
    assert (look.stuck("root/old"), look.stuck("root/tofu")) == ("ToolVersionMismatch", "ToolMissing")
    messages = {str(run.stack): run.message for run in look.runs}
    assert "1.2.3" in messages["root/old"]
    assert ">=1.8" in messages["root/old"] or "<2" in messages["root/old"]
    assert "tofu" in messages["root/tofu"]
    logs = {str(run.stack): machine.log(run) for run in look.runs}
    assert logs["root/old"] == f"ToolVersionMismatch: {messages['root/old']}\n"
    assert logs["root/tofu"] == f"ToolMissing: {messages['root/tofu']}\n"


@pytest.mark.parametrize(
    ("source", "reason", "words"),
    [
        pytest.param({"path": "./nowhere"}, "SourceNotFound", "source path nowhere does not exist", id="not there"),
        pytest.param({"path": "./a.yaml"}, "SourceNotFound", "source path a.yaml is not a directory", id="a file"),
        pytest.param(
            {"path": "./link"}, "SourceRefused", "'link' is a symbolic link to an", id="a link out of the tree"
        ),
        pytest.param({"path": "./link/x"}, "SourceRefused", "'link' is a symbolic link to an", id="beyond a link"),
    ],
)
def test_a_source_that_cannot_be_used_is_said_and_starts_nothing(
    repo: Repo, machine: Machine, source: dict[str, str], reason: str, words: str
) -> None:
    (repo.path / "link").symlink_to("/etc")
    repo.commit({"a.yaml": a_script("a", "true"), "b.yaml": a_script("b", "true", source=source)})
    look = machine.reconcile()
    assert (look.sync, look.ran) == ({"root/a": "Synced", "root/b": "Unknown"}, {"root/a": "finished"})
    problem = look.stacks["root/b"].desired.problem  # type: ignore[union-attr]
    assert problem is not None
    assert problem.reason == reason
    assert words in problem.message


def test_a_link_in_a_source_that_leads_outside_is_refused_before_any_run(repo: Repo, machine: Machine) -> None:
    repo.commit({"code/main.sh": "true\n", "b.yaml": a_script("b", "true", source={"path": "./code"})})
    (repo.path / "code/out").symlink_to("/etc")
    repo.commit({})
    look = machine.reconcile()
    assert look.runs == []
    problem = look.stacks["root/b"].desired.problem  # type: ignore[union-attr]
    assert problem is not None
    assert (problem.reason, problem.message) == (
        "SourceRefused",
        "'code/out' is a symbolic link to an absolute path",
    )


A_POLICY = """\
apiVersion: stationkeeper/v1
kind: Policy
metadata: {name: everything-goes}
spec:
  type: plan
  rego: |
    package stationkeeper
    import rego.v1
    deny contains "never" if false
"""


def test_a_pass_with_nothing_to_do_starts_no_process(
    repo: Repo, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo.commit({f"{n}.yaml": a_script(f"s{n}", "true") for n in range(5)} | {"policy.yaml": A_POLICY})
    machine.reconcile()
    machine.restart()
    monkeypatch.setattr(checking, "_known", {})
    started: list[object] = []
    _watch_processes(started)
    try:
        assert machine.reconcile().runs == []
    finally:
        _WATCHING.clear()
    assert started == []


_WATCHING: list[list[object]] = []
_HOOKED: list[bool] = []
_STARTS = {"subprocess.Popen", "os.fork", "os.posix_spawn", "os.exec", "os.system", "os.spawn"}


def _watch_processes(found: list[object]) -> None:
    import sys

    def hear(event: str, arguments: tuple[object, ...]) -> None:
        if _WATCHING and event in _STARTS:
            _WATCHING[-1].append((event, arguments))

    _WATCHING.append(found)
    if not _HOOKED:
        _HOOKED.append(True)
        sys.addaudithook(hear)


def test_a_run_that_fails_while_its_stack_is_in_sync_leaves_it_not_ready_until_one_succeeds(
    repo: Repo, machine: Machine, tmp_path: Path
) -> None:
    broken = tmp_path / "broken"
    repo.commit({"a.yaml": a_script("a", f"test ! -e {broken} || exit 4")})
    machine.reconcile()
    broken.touch()
    operations.request_run(machine.service.store, StackId.parse("root/a"), "ada", utc_now())
    for ran in ({"root/a": "failed"}, {}):
        look = machine.reconcile()
        assert look.ran == ran, "it is not tried again by itself"
        stack = look.stacks["root/a"]
        assert (stack.sync, stack.reason, look.stuck("root/a")) == ("Synced", "ToolFailed", "ToolFailed")
        assert stack.conditions[ConditionType.READY].status is ConditionStatus.FALSE
    queued = operations.request_run(machine.service.store, StackId.parse("root/a"), "ada", utc_now())
    operations.cancel(machine.service.store, queued.id, "ada", utc_now())
    assert machine.reconcile().stacks["root/a"].reason == "ToolFailed", "a run that came to nothing mends nothing"
    broken.unlink()
    operations.request_run(machine.service.store, StackId.parse("root/a"), "ada", utc_now())
    stack = machine.reconcile().stacks["root/a"]
    assert (stack.reason, stack.conditions[ConditionType.READY].status) == ("UpToDate", ConditionStatus.TRUE)


def test_a_run_that_applies_says_so_and_the_time_of_each_phase_is_kept(
    repo: Repo, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo.commit({"a.yaml": a_script("a", "true")})
    seen: list[tuple[object, str, str]] = []
    apply = Dispatcher.apply

    def applying(dispatcher: Dispatcher, run: Run, planned: Planned) -> None:
        seen.append((run.phase, run.reason, run.message))
        apply(dispatcher, run, planned)

    monkeypatch.setattr(Dispatcher, "apply", applying)
    machine.reconcile()
    assert seen == [(Phase.APPLY, "Applying", "applies the saved plan")]
    read = machine.service.ports.metrics.registry.get_sample_value
    name = "stationkeeper_run_duration_seconds_count"
    assert [read(name, {"kind": "tracked", "phase": phase}) for phase in Phase] == [1, 1, 1, 1]


def test_the_message_of_a_failure_has_the_tool_s_own_line_and_no_command_that_nobody_wrote(
    repo: Repo, machine: Machine
) -> None:
    repo.commit({"a.yaml": a_script("a", "echo begin\necho 'Error: no quota'\nexit 7\n")})
    (run,) = machine.reconcile().runs
    assert run.message == "Error: no quota (sh -e -c 'echo begin…' ended with exit code 7)"
