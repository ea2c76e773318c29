"""What runs print and see: masked, capped, and nothing of others."""

import os
import subprocess
from pathlib import Path

import pytest

from reconciler.core.phases import Leg
from reconciler.engine.base import Ending
from reconciler.engine.local import LocalEngine
from tests.needs import needs
from tests.small_disk import small_disk

MIB = 1024 * 1024


def peak(pid):
    """Give the most memory that a process ever had, in bytes."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise AssertionError


@pytest.mark.parametrize(
    "command",
    [
        pytest.param("yes | head -c 100000000", id="lines"),
        pytest.param("head -c 100000000 /dev/zero | tr '\\0' x", id="one line"),
    ],
)
def test_a_lot_of_output_costs_neither_memory_nor_disk(driver, a_job, make_limits, command):
    job = a_job(
        plan=f"{command}; echo at the end; exit 2",
        limits=make_limits(log_bytes=MIB),
        waits_for_verdict=True,
        masked=("a secret that is never printed",),
    )
    driver.engine.start(job, lambda _: None)
    report = driver.report(100)
    assert report.ending == Ending.SUCCEEDED
    assert peak(driver.runner_pid()) < 64 * MIB
    log = driver.log()
    assert len(log) < MIB * 1.3
    assert "bytes omitted here" in log
    assert "\nat the end\n" in log[-200:] or "xat the end\n" in log[-200:]


def test_secrets_are_masked_in_everything(driver):
    secret = "s3cr3t-value"
    write = f"printf %s {secret[:5]}; sleep 0.2; printf '%s\\n' {secret[5:]}; printf %s {secret} | base64"
    outputs = f'echo \'{{"plain": "x {secret}", "other": "y"}}\''
    report = driver.both(apply=write, outputs=outputs, masked=(secret,))
    assert report.ending == Ending.SUCCEEDED
    assert {output.name: output.sensitive for output in report.applied.outputs} == {"plain": True, "other": False}
    report = driver.plan(run="r2", plan=f"echo {secret} >&2; exit 7 # {secret}", masked=(secret,))
    assert secret not in report.message
    for run in ("r1", "r2"):
        text = driver.log(run)
        assert "***" in text
        assert secret not in text
        assert "czNjcjN0LXZhbHVl" not in text


def test_a_secret_with_quotes_is_masked_in_the_command_line_too(driver):
    report = driver.plan(plan='echo "it\'s-secret"; exit 7', masked=("it's-secret",))
    assert "s-secret" not in driver.log() + report.message
    assert "***" in report.message


def test_jobs_are_not_in_argv_or_on_disk(driver, a_job):
    driver.engine.start(a_job(env={"TOKEN": "t0ken-value"}, plan="echo ready; sleep 60"), lambda _: None)
    driver.wait_for_log("\nready\n")
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                assert b"t0ken-value" not in (entry / "cmdline").read_bytes()
            except OSError:
                continue
    found = [path for path in driver.data_dir.rglob("*") if path.is_file() and b"t0ken-value" in path.read_bytes()]
    assert found == []


def test_nothing_of_the_services_environment(tmp_path, monkeypatch, driver, sandboxed):
    monkeypatch.setenv("STATION_SECRET_OF_THE_SERVICE", "x")
    monkeypatch.setenv("AWS_PROFILE", "x")
    monkeypatch.setenv("PYTHONPATH", "/x")
    driver.plan(plan="env; exit 0", env={"MINE": "1"})
    names = {line.partition("=")[0] for line in driver.log().splitlines() if "=" in line and "station[" not in line}
    assert {"MINE", "HOME", "TMPDIR", "PATH"} <= names
    assert not names & {"STATION_SECRET_OF_THE_SERVICE", "AWS_PROFILE", "PYTHONPATH", "STATION_TOKEN"}


def test_home_and_temporary_directory_are_its_own(driver):
    report = driver.plan(plan="touch $HOME/a $TMPDIR/b; pwd; exit 2")
    assert report.ending == Ending.SUCCEEDED
    run = driver.data_dir / "runs/r1"
    assert (run / "home/a").exists()
    assert (run / "tmp/b").exists()


def test_a_run_sees_itself_in_the_same_place_as_the_one_before(driver, sandboxed):
    def said(run):
        driver.plan(run=run, plan="pwd; echo $HOME $STATION_OUTPUTS; touch made-by-$STATION_RUN; exit 0")
        assert not (driver.data_dir / "runs" / run / "work").exists(), "what a run leaves behind is removed with it"
        return [line for line in driver.log(run).splitlines() if not line.startswith("station[")]

    first, second = said("r1"), said("r2")
    assert first[0] == second[0]
    assert "r1" not in first[0]
    if sandboxed:
        assert first == second == ["/run/station/work", "/run/station/home /run/station/scratch/outputs.json"]
    else:
        assert first[0] == str(driver.data_dir / "work/root/a")


@pytest.mark.parametrize("sandboxed", [True], indirect=True)
def test_what_the_sandbox_hides(tmp_path, driver, a_job):
    other = driver.data_dir / "runs/other"
    other.mkdir(parents=True)
    (other / "log").write_text("of another run")
    (driver.data_dir / "database").write_text("x")
    run = driver.data_dir / "runs/r1"
    looks = [other, other / "log", driver.data_dir / "database", run / "planned.json", run / "plan-1.started"]
    command = "; ".join(f"test -e {path} && echo SEEN {path}" for path in looks)
    report = driver.plan(plan=f"{command}; touch /etc/x /usr/x 2>/dev/null && echo WRITTEN; ls -A /root /home; exit 0")
    assert report.ending == Ending.SUCCEEDED
    said = [line for line in driver.log().splitlines() if not line.startswith("station[")]
    assert said == ["/home:", "", "/root:"]
    driver.plan(run="r2", plan="umount /tmp 2>/dev/null || true; ls /proc | grep -c '^[0-9]'; exit 0")
    assert int(driver.log("r2").splitlines()[-2]) < 8


@needs("bwrap")
def test_what_is_hidden_on_purpose_and_what_is_put_back(tmp_path, a_job):
    secrets, tools = tmp_path / "secrets", tmp_path / "secrets" / "tools"
    tools.mkdir(parents=True)
    (secrets / "key").write_text("x")
    (tools / "mytool").write_text("#!/bin/sh\necho mytool speaks\n")
    (tools / "mytool").chmod(0o755)
    file = tmp_path / "single"
    file.write_text("hidden content")
    engine = LocalEngine(tmp_path / "data", hidden=[secrets, file], tool_path=[tools])
    command = f"cat {secrets}/key {file} || true; mytool; exit 0"
    engine.start(a_job(plan=command), lambda _: None)
    [report] = engine.reports(20)
    engine.close()
    assert report.ending == Ending.SUCCEEDED
    said = [line for line in engine.log_path("r1").read_text().splitlines() if not line.startswith("station[")]
    assert said[-1] == "mytool speaks"
    assert "hidden content" not in "".join(said)
    assert "No such file" in "".join(said)


@pytest.mark.parametrize("sandboxed", [True], indirect=True)
@pytest.mark.parametrize("writable", [[], [Path("/")]], ids=["nothing writable", "all writable"])
def test_the_kernels_settings_cannot_be_changed(driver, writable):
    driver.engine.close()
    driver.engine = LocalEngine(driver.data_dir, writable=writable)
    driver.plan(
        plan="for at in /proc/sys/kernel/core_pattern /sys/kernel; do test -w $at && echo OPEN $at; done; exit 0"
    )
    assert not [line for line in driver.log().splitlines() if line.startswith("OPEN")]


def test_limits_hold(driver, make_limits):
    command = "ulimit -c; ulimit -n; head -c 3000000 /dev/zero > big || true; wc -c < big; exit 0"
    driver.plan(plan=command, limits=make_limits(file_bytes=MIB * 2, open_files=100))
    said = [line for line in driver.log().splitlines() if line.strip().isdigit()]
    assert said == ["0", "100", str(2 * MIB)]


@pytest.mark.parametrize("size", [100, 400])
def test_a_process_that_takes_too_much_memory_ends(driver, make_limits, size):
    eat = f"head -c {size}M /dev/zero | tail > /dev/null"  # the end of a text without lines is all of it
    report = driver.plan(plan=f"cat /proc/self/oom_score_adj; {eat}", limits=make_limits(memory_bytes=256 * MIB))
    assert ("memory exhausted" in driver.log(), report.ending == Ending.FAILED) == (size == 400, size == 400)
    assert "500" in driver.log().splitlines()


@pytest.fixture(name="small_disk")
def _small_disk(tmp_path):
    with small_disk(tmp_path / "small", "1m") as disk:
        yield disk


@pytest.mark.parametrize("leg", Leg)
def test_a_full_disk_is_said_and_stops_no_other(small_disk, a_job, leg):
    engine = LocalEngine(small_disk)
    try:
        fill = "head -c 3000000 /dev/zero > fill || echo full"
        job = a_job(plan="exit 2" if leg is Leg.APPLY else f"{fill}; echo more; exit 2", apply=f"{fill}; echo more")
        engine.start(job, lambda _: None)
        [report] = engine.reports(20)
        if leg is Leg.APPLY:
            engine.start(a_job(leg=leg, plan_digest=report.plan_digest, apply=job.options["apply"]), None)
            [report] = engine.reports(20)
            # It did happen, and that is what is said, on a full disk too.
            assert (report.ending, report.reason) == (Ending.SUCCEEDED, "Applied")
        else:
            assert (report.ending, report.reason) == (Ending.FAILED, "DiskFull")
            assert "No space left" in report.message
        # By then what filled the disk is gone: nobody has to put the run away first.
        assert not (small_disk / "runs/r1/work").exists()
        filler = small_disk / "filler"
        subprocess.run(["sh", "-c", f"head -c 3000000 /dev/zero > {filler} 2>/dev/null"], check=False)
        engine.start(a_job("r2"), lambda _: None)
        [report] = engine.reports(20)
        assert (report.ending, report.reason) == (Ending.FAILED, "DiskFull")
        filler.unlink()
        engine.start(a_job("r3", plan="exit 0"), lambda _: None)
        [report] = engine.reports(20)
        assert report.ending == Ending.SUCCEEDED
    finally:
        engine.close()


def test_starting_up_is_quick(tmp_path):
    """The process that starts runs loads nothing heavy."""
    code = "import sys, reconciler.runner.nursery; print(*sys.modules)"
    import sys

    loaded = subprocess.run(
        [sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    heavy = {"pydantic", "sqlalchemy", "pygit2", "rich", "asyncio", "click", "http.server", "reconciler.engine"}
    assert not heavy & set(loaded)


def test_what_a_tool_prints_for_machines_and_nobody_can_read_is_kept_out_of_the_log(driver):
    print_much = "echo '{in clear: s3cr3t-value'; yes 'padding s3cr3t-value and much more of it' | head -n 3000"
    report = driver.both(outputs=print_much, masked=("s3cr3t-value",))
    kept = driver.data_dir / "runs" / "r1" / "not-understood"
    assert (report.ending, report.reason) == (Ending.FAILED, "ToolFailed"), driver.log()
    assert report.message.startswith("what script.outputs prints is not JSON: Expecting property name")
    assert report.message.endswith(f"the beginning of what was printed is kept as {kept}")
    text = kept.read_text()
    assert text.startswith("{in clear: ***\npadding *** and")
    assert "s3cr3t" not in text
    assert driver.log().count("padding") == 1, "the command is shown, what it printed is not"
    assert 40_000 < len(text) < 64 * 1024
    assert kept.stat().st_mode & 0o077 == 0
    driver.engine.discard("r1")
    assert kept.exists()
