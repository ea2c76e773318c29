"""A service that dies interrupts and repeats nothing: the next one takes up what it left."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from reconciler.core.phases import Leg
from reconciler.engine.base import Ending
from reconciler.engine.local import LocalEngine
from reconciler.runner.contract.directory import RunDirectory
from reconciler.runner.contract.process_id import ProcessIdentity
from reconciler.runner.contract.records import job_to_data

SERVICE = Path(__file__).with_name("service.py")


@pytest.fixture
def second(driver, sandboxed):
    """Give a function that drops the first engine and starts a second one on the same data directory."""
    made = []

    def make():
        driver.engine.close()
        driver.engine = LocalEngine(driver.data_dir, sandbox=sandboxed)
        made.append(driver.engine)
        return driver.engine

    return make


@pytest.mark.parametrize("leg", Leg)
def test_a_run_goes_on_and_is_reported_by_the_next_engine(driver, a_job, second, leg):
    command = "echo ready; sleep 0.7; echo done"
    if leg is Leg.PLAN:
        driver.engine.start(a_job(plan=f"{command}; exit 2"), lambda _: None)
    else:
        driver.start_apply(driver.plan(), apply=command)
    driver.wait_for_log("\nready\n")
    engine = second()
    assert engine.adopt({"r1": (1, leg)}) == ["r1"]
    assert list(engine.active()) == ["r1"]
    report = driver.report()
    assert (report.ending, report.leg) == (Ending.SUCCEEDED, leg)
    assert driver.log().count("\ndone\n") == 1
    assert engine.active() == []


def test_what_ended_in_the_meantime_is_reported(driver, a_job, second):
    driver.engine.start(a_job(plan="exit 3"), lambda _: None)
    driver.report()
    assert second().adopt({"r1": (1, Leg.PLAN)}) == []
    assert driver.report().reason == "ToolFailed"


def test_a_plan_that_waited_is_reported_and_does_not_wait_any_more(driver, a_job, second):
    driver.engine.start(a_job(waits_for_verdict=True), lambda _: None)
    pid = (driver.report(), driver.runner_pid())[1]
    engine = second()
    assert engine.adopt({"r1": (1, Leg.PLAN)}) == []
    report = driver.report()
    assert (report.ending, report.waiting) == (Ending.SUCCEEDED, False)
    end = time.monotonic() + 10
    while Path(f"/proc/{pid}").exists():
        assert time.monotonic() < end
        time.sleep(0.01)
    assert driver.apply(report).ending == Ending.SUCCEEDED


@pytest.mark.parametrize(("leg", "made"), [(Leg.PLAN, True), (Leg.APPLY, True), (Leg.PLAN, False)])
def test_what_never_began_never_will(driver, a_job, leg, made):
    directory = RunDirectory.of(driver.data_dir, "r1")
    if made:
        directory.make()
    assert driver.engine.adopt({"r1": (1, leg)}) == []
    report = driver.report()
    assert (report.ending, report.reason) == (Ending.LOST, "NeverStarted")
    if made:
        # A process that comes late finds the start taken, and does nothing.
        message = json.dumps({"job": job_to_data(a_job(leg=leg)), "sandbox": None}) + "\n"
        command = [sys.executable, "-I", "-m", "reconciler.runner"]
        late = subprocess.run(command, input=message, cwd=directory.root, text=True, capture_output=True, check=True)
        assert late.stdout == ""
        assert not directory.log.exists()


@pytest.mark.parametrize("leg", Leg)
def test_a_service_that_was_killed_before_it_could_say_so_has_given_up_on_it_for_all(driver, second, leg):
    RunDirectory.of(driver.data_dir, "r1").make()
    assert driver.engine.adopt({"r1": (1, leg)}) == []
    engine = second()
    assert engine.adopt({"r1": (1, leg)}) == []
    (report,) = engine.reports(5)
    assert (report.ending, report.reason) == (Ending.LOST, "NeverStarted")


def test_an_apply_whose_directory_is_gone_may_have_happened(driver):
    assert driver.engine.adopt({"r1": (1, Leg.APPLY)}) == []
    assert driver.report().ending == Ending.INTERRUPTED


@pytest.mark.parametrize(("leg", "ending"), [(Leg.PLAN, Ending.LOST), (Leg.APPLY, Ending.INTERRUPTED)])
def test_a_process_that_died_unseen(driver, a_job, second, gone, leg, ending):  # noqa: PLR0917
    mark = f"95{os.getpid()}"
    if leg is Leg.PLAN:
        driver.engine.start(a_job(plan=f"echo ready; sleep {mark}"), lambda _: None)
    else:
        driver.start_apply(driver.plan(), apply=f"echo ready; sleep {mark}")
    driver.wait_for_log("\nready\n")
    pid = driver.runner_pid()
    engine = second()
    os.kill(pid, signal.SIGKILL)
    engine.adopt({"r1": (1, leg)})
    report = driver.report()
    assert (report.ending, report.reason) == (ending, "RunnerDied")
    gone(f"sleep {mark}")


def test_an_adopted_run_that_dies_is_reported(driver, second):
    driver.start_apply(driver.plan(), apply="echo ready; sleep 60")
    driver.wait_for_log("\nready\n")
    pid = driver.runner_pid()
    assert second().adopt({"r1": (1, Leg.APPLY)}) == ["r1"]
    os.kill(pid, signal.SIGKILL)
    assert driver.report().ending == Ending.INTERRUPTED


def test_an_adopted_run_can_be_canceled(driver, a_job, second):
    driver.engine.start(
        a_job(plan="trap 'exit 1' INT; echo ready; for i in $(seq 1200); do sleep 0.05; done"), lambda _: None
    )
    driver.wait_for_log("\nready\n")
    engine = second()
    engine.adopt({"r1": (1, Leg.PLAN)})
    engine.cancel("r1")
    assert driver.report().ending == Ending.CANCELED


def test_a_stranger_with_the_same_pid_is_not_taken_for_the_run(driver):
    directory = RunDirectory.of(driver.data_dir, "r1")
    directory.make()
    stranger = subprocess.Popen(["sleep", "60"], start_new_session=True)
    try:
        real = ProcessIdentity.of(stranger.pid)
        assert directory.claim(Leg.APPLY, 1, ProcessIdentity(real.pid, real.start - 1, real.boot))
        assert driver.engine.adopt({"r1": (1, Leg.APPLY)}) == []
        assert driver.report().ending == Ending.INTERRUPTED
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_without_pidfds_it_works_too(driver, second, monkeypatch):
    driver.start_apply(driver.plan(), apply="echo ready; sleep 0.5")
    driver.wait_for_log("\nready\n")
    monkeypatch.delattr(os, "pidfd_open")
    second().adopt({"r1": (1, Leg.APPLY)})
    assert driver.report().ending == Ending.SUCCEEDED


class Service:
    """A process with an engine of its own."""

    def __init__(self, data_dir, sandboxed, wait):
        self.process = subprocess.Popen(
            [sys.executable, SERVICE, data_dir, str(sandboxed), str(wait)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def start(self, job):
        self.process.stdin.write(json.dumps(job_to_data(job)) + "\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "started\n"

    def kill(self):
        self.process.kill()
        self.process.communicate()


@pytest.mark.chaos
@pytest.mark.parametrize("moment", [0.0, 0.02, 0.1, 0.5, 0.9])
def test_a_killed_service_neither_interrupts_nor_repeats_an_apply(driver, a_job, sandboxed, tmp_path, moment):
    planned = driver.plan()
    service = Service(driver.data_dir, sandboxed, 60)
    apply = "echo begun; for i in 1 2 3 4 5 6 7; do sleep 0.1; echo $i; done; echo finished"
    service.start(a_job(leg=Leg.APPLY, plan_digest=planned.plan_digest, apply=apply))
    time.sleep(moment)
    service.kill()
    adopted = driver.engine.adopt({"r1": (1, Leg.APPLY)})
    report = driver.report()
    if report.reason == "NeverStarted":
        assert adopted == []
        assert "begun" not in driver.log()
    else:
        assert (report.ending, report.reason) == (Ending.SUCCEEDED, "Applied")
        assert driver.log().count("\nbegun\n") == driver.log().count("\nfinished\n") == 1


@pytest.mark.chaos
@pytest.mark.slow
def test_kills_at_random_points(driver, a_job, sandboxed):
    chance = random.Random(7)
    for number in range(10):
        run = f"r{number}"
        service = Service(driver.data_dir, sandboxed, 0)
        service.start(a_job(run, plan="echo begun; exit 0"))
        time.sleep(chance.random() * 0.08)
        service.kill()
        driver.engine.adopt({run: (1, Leg.PLAN)})
        report = driver.report()
        assert report.ending in {Ending.SUCCEEDED, Ending.LOST}, report
        count = driver.log(run).count("\nbegun\n") if driver.engine.log_path(run).exists() else 0
        assert count == (report.ending == Ending.SUCCEEDED)
