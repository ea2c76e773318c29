"""Stopping runs, and runs that die: what is recorded is what really happened."""

import os
import signal
import time

import pytest

from reconciler.core.phases import Leg, Phase
from reconciler.engine.base import Ending, Hook

POLITE = "trap 'echo stopping; exit 1' INT; echo ready; for i in $(seq 1200); do sleep 0.05; done"
FINISHING = "trap 'echo finishing; exit 0' INT; echo ready; for i in $(seq 1200); do sleep 0.05; done"
DEAF = "trap '' INT; echo ready; for i in $(seq 1200); do sleep 0.05; done"
READY = "\nready\n"


def started(driver, a_job, leg, **changes):
    """Start a leg and wait until its command says that it is ready."""
    if leg is Leg.PLAN:
        driver.engine.start(a_job(**changes), lambda _: None)
    else:
        driver.start_apply(driver.plan(), **changes)
    driver.wait_for_log(READY)


@pytest.mark.parametrize(
    ("leg", "command", "grace", "ending", "message"),
    [
        pytest.param(Leg.PLAN, POLITE, 20, Ending.CANCELED, "when asked", id="plan"),
        pytest.param(Leg.PLAN, FINISHING, 20, Ending.CANCELED, "when asked", id="plan that would have gone on"),
        pytest.param(Leg.PLAN, DEAF, 0.3, Ending.CANCELED, "killed", id="plan that does not listen"),
        pytest.param(Leg.APPLY, POLITE, 20, Ending.CANCELED, "when asked", id="apply"),
        pytest.param(Leg.APPLY, FINISHING, 20, Ending.SUCCEEDED, "too late", id="apply that came to its end"),
        pytest.param(Leg.APPLY, DEAF, 0.3, Ending.INTERRUPTED, "killed", id="apply that does not listen"),
    ],
)
@pytest.mark.fault("cancel", engine="local")
def test_cancel(driver, a_job, make_limits, leg, command, grace, ending, message):  # noqa: PLR0917
    started(driver, a_job, leg, **{leg: command}, limits=make_limits(grace_seconds=grace))
    driver.engine.cancel("r1")
    driver.engine.cancel("r1")
    report = driver.report()
    assert (report.ending, report.leg) == (ending, leg)
    assert message in report.message
    assert driver.log().count("\nstopping\n") <= 1


def test_what_a_script_runs_is_stopped_with_it(driver, a_job):
    started(driver, a_job, Leg.APPLY, apply="echo ready; sleep 60; echo went on")
    began = time.monotonic()
    driver.engine.cancel("r1")
    assert driver.report().ending == Ending.CANCELED
    assert time.monotonic() - began < 15
    assert "\nwent on" not in driver.log()


def test_cancel_before_the_process_can_hear(driver, a_job):
    driver.engine.start(a_job(plan="sleep 60"), lambda _: driver.engine.cancel("r1"))
    assert driver.report().ending == Ending.CANCELED
    driver.engine.start(a_job(plan="sleep 60", attempt=2), lambda _: None)
    driver.engine.cancel("r1")
    assert driver.report().ending == Ending.CANCELED
    assert driver.plan(plan="exit 0", attempt=3).ending == Ending.SUCCEEDED


def test_cancel_between_two_commands_stops_before_the_next(driver, a_job):
    hooks = {"before.apply": (Hook("trap 'exit 0' INT; echo ready; for i in $(seq 1200); do sleep 0.05; done", "x"),)}
    started(driver, a_job, Leg.APPLY, hooks=hooks, apply="echo applying")
    driver.engine.cancel("r1")
    assert driver.report().ending == Ending.CANCELED
    assert "\napplying" not in driver.log()


def test_hooks_for_the_end_run_after_a_cancel(driver, a_job):
    started(driver, a_job, Leg.PLAN, plan=POLITE, hooks={"after.run": (Hook("echo the end", "x"),)})
    driver.engine.cancel("r1")
    assert driver.report().ending == Ending.CANCELED
    assert "\nthe end\n" in driver.log()


@pytest.mark.parametrize(
    ("leg", "command", "ending"),
    [
        pytest.param(Leg.PLAN, "sleep 60", Ending.FAILED, id="plan"),
        pytest.param(Leg.APPLY, "trap 'exit 1' INT; sleep 60 & wait", Ending.FAILED, id="apply that stops"),
        pytest.param(Leg.APPLY, "trap '' INT; sleep 60", Ending.INTERRUPTED, id="apply that does not"),
    ],
)
@pytest.mark.parametrize("kind", ["PhaseTimeout", "SilenceTimeout"])
def test_time_runs_out(driver, make_limits, leg, command, ending, kind):  # noqa: PLR0917
    if kind == "PhaseTimeout":
        limits = make_limits(phase_seconds=dict.fromkeys(Phase, 0.5), grace_seconds=0.3)
    else:
        limits = make_limits(silence_seconds=0.5, grace_seconds=0.3)
    report = driver.plan(plan=command, limits=limits) if leg is Leg.PLAN else driver.both(apply=command, limits=limits)
    assert (report.ending, report.reason) == (ending, kind)


def test_output_is_no_silence(driver, make_limits):
    command = "for i in 1 2 3 4 5 6 7 8 9; do echo $i; sleep 0.2; done"
    assert driver.plan(plan=command, limits=make_limits(silence_seconds=1.5)).ending == Ending.SUCCEEDED


@pytest.mark.parametrize(
    "background",
    [
        pytest.param("sleep {} &", id="a child"),
        pytest.param("setsid sleep {} &", id="one that left the session"),
        pytest.param("(setsid sh -c 'sleep {}; true' &) ", id="an orphan with a child of its own"),
        pytest.param("(while :; do echo noise; done; : {}) &", id="one that goes on writing"),
    ],
)
def test_what_a_command_leaves_behind_ends_with_it(driver, gone, background):
    mark = f"97{os.getpid()}"
    began = time.monotonic()
    assert driver.plan(plan=f"{background.format(mark)} exit 0").ending == Ending.SUCCEEDED
    assert time.monotonic() - began < 15
    gone(f"sleep {mark}")
    gone(f": {mark}")


@pytest.mark.chaos
@pytest.mark.parametrize(("leg", "ending"), [(Leg.PLAN, Ending.LOST), (Leg.APPLY, Ending.INTERRUPTED)])
@pytest.mark.fault("worker killed", engine="local")
def test_the_runs_process_is_killed(driver, a_job, gone, leg, ending):
    mark = f"96{os.getpid()}"
    started(driver, a_job, leg, **{leg: f"echo ready; sleep {mark}"})
    os.kill(driver.runner_pid(), signal.SIGKILL)
    report = driver.report()
    assert (report.ending, report.reason) == (ending, "RunnerDied")
    assert driver.engine.active() == []
    gone(f"sleep {mark}")
