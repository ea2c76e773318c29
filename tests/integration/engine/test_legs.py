"""Whole legs in real processes, with and without a sandbox."""

import os
from pathlib import Path

import pytest

from reconciler.core.phases import Leg, Phase
from reconciler.core.results import Output
from reconciler.engine.base import Ending, Hook, PrepareFailed
from reconciler.engine.local import LocalEngine, SandboxUnavailable


def hooks(**commands):
    return {name.replace("_", "."): (Hook(command, "here"),) for name, command in commands.items()}


def test_a_run_from_plan_to_outputs(driver):
    report = driver.both(
        apply='echo changing things; echo \'{"a": 1, "b": {"value": "x", "sensitive": true}}\' > "$STATION_OUTPUTS"'
    )
    assert (report.ending, report.reason, report.leg) == (Ending.SUCCEEDED, "Applied", Leg.APPLY)
    assert report.applied.outputs == (Output("a", 1), Output("b", "x", sensitive=True))
    assert "changing things\n" in driver.log()
    assert driver.engine.active() == []


def test_nothing_to_change(driver):
    report = driver.plan(plan="exit 0", waits_for_verdict=True)
    assert (report.ending, report.reason, report.waiting) == (Ending.SUCCEEDED, "NoChanges", False)
    assert not report.planned.has_changes
    assert report.phase_seconds.keys() == {Phase.INIT, Phase.PLAN}


@pytest.mark.parametrize(
    ("changes", "reason", "message"),
    [
        pytest.param({"plan": "echo oh no; exit 3"}, "ToolFailed", "exit code 3", id="the tool fails"),
        pytest.param({"plan": "kill -9 $$"}, "ToolKilled", "SIGKILL", id="the tool is killed"),
        pytest.param({"path": "nowhere"}, "SourceMissing", "'nowhere'", id="no such directory"),
        pytest.param({"path": "../home"}, "SourceMissing", "'../home'", id="a directory outside"),
        pytest.param({"path": "/etc"}, "SourceMissing", "'/etc'", id="an absolute directory"),
        pytest.param(
            {"hooks": hooks(before_init="exit 9")}, "HookFailed", "before.init hook exit 9", id="a hook fails"
        ),
        pytest.param({"hooks": hooks(after_plan="false")}, "HookFailed", "after.plan", id="the last hook fails"),
    ],
)
def test_a_plan_that_fails(driver, changes, reason, message):
    report = driver.plan(**changes)
    assert (report.ending, report.reason) == (Ending.FAILED, reason)
    assert message in report.message
    assert "\n" not in report.message


@pytest.mark.parametrize(
    ("changes", "ending", "reason", "message"),
    [
        pytest.param({"apply": "exit 1"}, Ending.FAILED, "ToolFailed", "exit code 1", id="the tool fails"),
        pytest.param({"apply": "kill -9 $$"}, Ending.INTERRUPTED, "ToolKilled", "SIGKILL", id="the tool is killed"),
        pytest.param({"apply": "kill -11 $$"}, Ending.INTERRUPTED, "ToolKilled", "SIGSEGV", id="the tool crashes"),
        pytest.param({"outputs": "echo no JSON"}, Ending.FAILED, "ToolFailed", "not JSON", id="bad outputs"),
        pytest.param(
            {"apply": 'echo "[1]" > $STATION_OUTPUTS'}, Ending.FAILED, "ToolFailed", "object", id="bad outputs file"
        ),
        pytest.param(
            {"apply": "ln -s /etc/passwd $STATION_OUTPUTS"},
            Ending.FAILED,
            "ToolFailed",
            "outputs",
            id="a link as outputs",
        ),
    ],
)
def test_an_apply_that_fails(driver, changes, ending, reason, message):
    report = driver.both(**changes)
    assert (report.ending, report.reason) == (ending, reason)
    assert message in report.message


def test_hooks_run_in_order_and_know_where_they_are(driver):
    names = ["before.init", "after.init", "before.plan", "after.plan", "before.apply", "after.apply", "after.run"]
    all_hooks = {name: (Hook(f"echo +{name} $STATION_PHASE $STATION_RUN $STATION_STACK", "x"),) for name in names}
    assert driver.both(hooks=all_hooks, apply="echo +apply").ending == Ending.SUCCEEDED
    said = [line for line in driver.log().splitlines() if line.startswith("+")]
    phases = ["init", "init", "plan", "plan", "apply", "apply", "apply"]
    expected = [f"+{name} {phase} r1 root/a" for name, phase in zip(names, phases, strict=True)]
    assert said == [*expected[:5], "+apply", *expected[5:]]


@pytest.mark.parametrize(
    "changes",
    [{"plan": "exit 1"}, {"plan": "exit 0"}, {"plan": "kill -9 $$"}, {"hooks": {"before.plan": (Hook("false", "x"),)}}],
    ids=["failed", "no changes", "killed", "hook failed"],
)
def test_hooks_for_the_end_run_whatever_happened(driver, changes):
    changes = {**changes, "hooks": {**changes.get("hooks", {}), **hooks(after_run="echo the end")}}
    driver.plan(**changes)
    assert "\nthe end\n" in driver.log()


def test_a_failing_hook_for_the_end_changes_nothing_but_the_message(driver):
    report = driver.both(hooks=hooks(after_run="exit 4"))
    assert report.ending == Ending.SUCCEEDED
    assert "after.run" in report.message


def test_hooks_for_the_end_run_each_by_itself_and_know_how_it_ended(driver):
    three = tuple(
        Hook(text, f"Context root/{n}") for n, text in enumerate(("echo one; exit 4", "exit 5", "echo three"))
    )
    told = Hook('echo "ended: $STATION_RESULT $STATION_REASON"', "Stack root/a")
    report = driver.plan(plan="exit 1", hooks={"after.run": (*three, told)})
    assert (report.ending, report.reason) == (Ending.FAILED, "ToolFailed")
    assert "after.run hook exit 5 of Context root/1 ended with exit code 5" in report.message
    assert "\nthree\n" in driver.log()
    assert "\nended: failed ToolFailed\n" in driver.log()
    assert "hook after.run of Context root/2: echo three" in driver.log()


def test_an_apply_keeps_its_results_when_a_hook_after_it_fails(driver):
    report = driver.both(hooks=hooks(after_apply="exit 4"), outputs="echo '{\"a\": 1}'")
    assert (report.ending, report.reason) == (Ending.FAILED, "HookFailed")
    assert report.applied.outputs == (Output("a", 1),)


def test_both_legs_in_one_process(driver, a_job):
    job = a_job(waits_for_verdict=True, apply="echo applied by $PPID")
    driver.engine.start(job, lambda directory: (directory / "file").write_text("x"))
    planned = driver.report()
    assert planned.waiting
    assert list(driver.engine.active()) == ["r1"]
    pid = driver.runner_pid()
    apply = a_job(leg=Leg.APPLY, attempt=1, plan_digest=planned.plan_digest, apply="echo applied")
    assert driver.engine.proceed("r1", apply)
    assert driver.report().ending == Ending.SUCCEEDED
    assert not driver.engine.proceed("r1", apply)
    assert int((driver.data_dir / "runs/r1/apply-1.started").read_text().split(":")[1].split(",")[0]) == pid


def test_dismissed_means_not_applied(driver, a_job):
    driver.engine.start(a_job(waits_for_verdict=True), lambda _: None)
    planned = driver.report()
    pid = driver.runner_pid()
    driver.engine.dismiss("r1")
    assert not driver.engine.proceed("r1", a_job(leg=Leg.APPLY, plan_digest=planned.plan_digest))
    assert driver.engine.reports(0.3) == []
    assert not Path(f"/proc/{pid}").exists()
    assert driver.apply(planned).ending == Ending.SUCCEEDED


def test_a_process_that_stopped_waiting_is_replaced(driver, a_job):
    driver.engine.start(a_job(waits_for_verdict=True), lambda _: None)
    planned = driver.report()
    pid = driver.runner_pid()
    os.kill(pid, 9)
    if not driver.engine.proceed("r1", a_job(leg=Leg.APPLY, plan_digest=planned.plan_digest)):
        driver.start_apply(planned)
    assert driver.report().ending == Ending.SUCCEEDED


@pytest.mark.parametrize("digest", [None, "0" * 64], ids=["none recorded", "another one"])
def test_only_the_recorded_plan_is_applied(driver, a_job, digest):
    driver.plan(apply="echo applying")
    driver.engine.start(a_job(leg=Leg.APPLY, plan_digest=digest, apply="echo applying"), None)
    report = driver.report()
    assert (report.ending, report.reason) == (Ending.FAILED, "PlanChanged")
    assert "\napplying" not in driver.log()


def test_a_plan_that_was_tampered_with_is_refused(driver):
    planned = driver.plan()
    found = driver.data_dir / "runs/r1/planned.json"
    found.write_text(found.read_text().replace("true", "false"))
    assert driver.apply(planned).reason == "PlanChanged"


@pytest.mark.parametrize(
    ("error", "reason", "message"),
    [
        (PrepareFailed("submodule not found"), "PrepareFailed", "submodule not found"),
        (PrepareFailed("'a' leads outside", "SourceRefused"), "SourceRefused", "'a' leads outside"),
        (OSError(28, "No space left on device"), "DiskFull", "No space left"),
        (OSError(13, "Permission denied"), "PrepareFailed", "Permission denied"),
    ],
)
def test_a_work_directory_that_cannot_be_made(driver, a_job, error, reason, message):
    def materialise(_directory):
        raise error

    driver.engine.start(a_job(), materialise)
    report = driver.report()
    assert (report.ending, report.reason, report.phase) == (Ending.FAILED, reason, Phase.PREPARE)
    assert message in report.message
    assert driver.engine.active() == []


def test_a_new_attempt_starts_from_nothing(driver):
    driver.plan(lambda directory: (directory / "old").touch(), plan="touch $STATION_OUTPUTS; exit 1")
    report = driver.plan(lambda directory: (directory / "new").touch(), plan="ls; ls ../scratch; exit 0", attempt=2)
    assert report.ending == Ending.SUCCEEDED
    assert driver.log().splitlines()[-4:-1] == ["new", "station-facts", "station-mask"]


def test_a_run_that_is_under_way_is_not_started_again(driver, a_job):
    driver.engine.start(a_job(plan="sleep 60"), lambda _: None)
    with pytest.raises(ValueError, match="under way"):
        driver.engine.start(a_job(), lambda _: None)


def test_a_tool_nobody_built_is_a_fault_not_a_traceback(driver):
    report = driver.plan(tool="unheard-of")
    assert report.ending == Ending.FAILED
    assert report.reason == "RunnerError"


def test_discarding_leaves_the_log(driver):
    driver.both()
    driver.engine.discard("r1")
    assert [path.name for path in (driver.data_dir / "runs/r1").iterdir()] == ["log"]


def test_many_runs_at_once(driver, a_job):
    for number in range(12):
        driver.engine.start(a_job(f"r{number}", plan="exit 0"), lambda _: None)
    assert {driver.report().run for _ in range(12)} == {f"r{number}" for number in range(12)}


def test_a_large_job_goes_through_the_pipe(driver):
    report = driver.plan(env={"BIG": "x" * 120_000, **{f"V{n}": "y" * 10_000 for n in range(60)}}, plan="exit 0")
    assert report.ending == Ending.SUCCEEDED


def test_the_process_that_starts_runs_may_die(driver):
    assert driver.plan(plan="exit 0").ending == Ending.SUCCEEDED
    driver.engine._spawner._process.kill()
    assert driver.plan(run="r2", plan="exit 0").ending == Ending.SUCCEEDED


def test_no_zombies(driver):
    for number in range(3):
        driver.both(run=f"r{number}")
    nursery = driver.engine._spawner._process.pid
    for pid in (os.getpid(), nursery):
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        states = [Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[0] for child in children]
        assert "Z" not in states


def test_a_sandbox_can_be_required(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SandboxUnavailable, match="bubblewrap"):
        LocalEngine(tmp_path / "data", require_sandbox=True)
    engine = LocalEngine(tmp_path / "data")
    assert not engine.sandboxed
    assert "not installed" in engine.sandbox_problem
    engine.close()


def test_nothing_is_started_to_look_for_the_sandbox_before_it_matters(tmp_path, monkeypatch):
    tried = tmp_path / "tried"
    bwrap = tmp_path / "bin" / "bwrap"
    bwrap.parent.mkdir()
    bwrap.write_text(f"#!/bin/sh\necho once >> {tried}\n")
    bwrap.chmod(0o755)
    monkeypatch.setenv("PATH", str(bwrap.parent))
    engine = LocalEngine(tmp_path / "data")
    assert not tried.exists()
    assert engine.sandboxed
    assert engine.sandbox_problem is None
    assert tried.read_text() == "once\n"
    engine.close()
