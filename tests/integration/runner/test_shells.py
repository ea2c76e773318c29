"""Shells that are stopped at any moment: they end, with what they run, and nobody is asked twice."""

import os
import random
import sys
import threading
import time

import pytest

from reconciler.masking.masker import Masker
from reconciler.runner.processes.command import Command, Stop, Watch
from reconciler.runner.processes.log import RunLog
from reconciler.runner.processes.stop import Cancel

BETWEEN_COMMANDS = """
import signal, subprocess, sys, time
asked = []
signal.signal(signal.SIGINT, lambda *_: asked.append(1))
print("ready", flush=True)
end = time.monotonic() + 0.3
while time.monotonic() < end:
    pass
subprocess.run(["sleep", "60"])
sys.exit(5 if asked else 0)
"""
"""What a shell does, but slowly: it puts an interrupt off until the command that it is about to start has ended."""

TOUGH = """trap 'echo "$$" >> asked' INT
echo ready >&2
for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do sleep 0.02; done"""


def shell(script):
    return ["/bin/sh", "-c", script]


@pytest.fixture
def stopped(tmp_path):
    """Start a shell's command, stop it `after` seconds when it is ready; gives how it ended, and its output."""

    def run(argv, after=0.0, grace=20.0):
        cancel, log = Cancel(tmp_path / "cancel"), RunLog(tmp_path / "log", 1_000_000, Masker([]))
        command = Command(argv, dict(os.environ), tmp_path, sandboxed=False, is_shell=True)

        def stop():
            end = time.monotonic() + 10
            while b"ready" not in (tmp_path / "log").read_bytes() and time.monotonic() < end:
                time.sleep(0.0005)
            time.sleep(after)
            cancel.request()
            os.write(cancel._waker, b"x")

        thread = threading.Thread(target=stop)
        thread.start()
        outcome = command.watch(Watch(time.monotonic() + 60, 60, grace), log, cancel)
        thread.join()
        log.close()
        os.close(cancel.wake)
        os.close(cancel._waker)
        text = (tmp_path / "log").read_text()
        (tmp_path / "log").unlink()
        return outcome, text

    return run


def test_a_shell_about_to_start_a_command_is_asked_when_it_has(stopped):
    outcome, _ = stopped([sys.executable, "-c", BETWEEN_COMMANDS])
    assert (outcome.code, outcome.stop, outcome.killed) == (5, Stop.CANCEL, False)


@pytest.mark.parametrize(
    "script",
    [
        pytest.param("echo ready; sleep 60; echo went on", id="one"),
        pytest.param("echo ready; while :; do :; /bin/true; done; sleep 60; echo went on", id="many"),
        pytest.param("echo ready; for i in 1 2 3 4 5 6; do /bin/true; done; sleep 60; echo went on", id="last of some"),
        pytest.param("echo ready; (/bin/true; /bin/true; sleep 60; echo went on); echo went on", id="subshell"),
        pytest.param("echo ready; while :; do x=$(/bin/echo x); done; echo went on", id="substitution"),
        pytest.param("echo ready; /bin/true | cat; sleep 60 | cat; echo went on", id="pipe"),
    ],
)
def test_a_shell_ends_whenever_it_is_stopped(stopped, script):
    chance = random.Random(script)
    for _ in range(25):
        outcome, text = stopped(shell(script), chance.random() * 0.01)
        assert (outcome.stop, outcome.killed) == (Stop.CANCEL, False)
        assert "went on" not in text


@pytest.mark.parametrize(
    "script", ["{}", "{}; true", "({}; true); true", "{} | cat; true", "for n in $(seq 100); do {}; done"]
)
def test_nobody_is_asked_twice(stopped, script, tmp_path):
    (tmp_path / "tough").write_text(TOUGH)
    outcome, _ = stopped(shell(script.format("sh ./tough")))
    assert not outcome.killed
    assert len((tmp_path / "asked").read_text().splitlines()) == 1


@pytest.mark.parametrize(
    "script",
    [
        pytest.param("echo ready; sleep 60", id="during a command"),
        pytest.param("sleep 60 & echo ready; wait", id="while it waits"),
        pytest.param("echo ready; while :; do :; done", id="busy by itself"),
        pytest.param("echo ready; while :; do /bin/true; done", id="busy with commands"),
    ],
)
def test_what_a_trap_runs_is_left_alone(stopped, script):
    trap = "trap 'for i in 1 2 3 4 5; do sleep 0.02 || exit 9; done; exit 7' INT"
    outcome, _ = stopped(shell(f"{trap}; {script}"))
    assert (outcome.code, outcome.killed) == (7, False)


def test_a_shell_that_does_not_listen_is_killed(stopped):
    outcome, _ = stopped(shell("trap '' INT; echo ready; while :; do /bin/true; done"), grace=0.3)
    assert outcome.killed
