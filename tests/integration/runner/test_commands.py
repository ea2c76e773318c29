"""One command: who is asked to stop, and in what way it ended."""

import os
import sys
import threading
import time

import pytest

from reconciler.masking.masker import Masker
from reconciler.runner.processes.command import Command, Stop, Watch
from reconciler.runner.processes.log import RunLog
from reconciler.runner.processes.stop import Cancel

PARENT = """
import signal, subprocess, sys, time
signal.signal(signal.SIGINT, lambda *_: (time.sleep(0.3), sys.exit(5)))
child = subprocess.Popen(["/bin/sh", "-c", "trap 'echo child was asked' INT; echo ready; for i in $(seq 1200); do sleep 0.05; done"])
for _ in range(1200):
    time.sleep(0.05)
"""


def test_a_tools_own_processes_are_not_asked(tmp_path):
    cancel, log = Cancel(tmp_path / "cancel"), RunLog(tmp_path / "log", 10_000, Masker([]))
    command = Command([sys.executable, "-c", PARENT], dict(os.environ), tmp_path, sandboxed=False)

    def stop():
        end = time.monotonic() + 10
        while b"ready" not in (tmp_path / "log").read_bytes() and time.monotonic() < end:
            time.sleep(0.02)
        cancel.request()
        os.write(cancel._waker, b"x")

    thread = threading.Thread(target=stop)
    thread.start()
    outcome = command.watch(Watch(time.monotonic() + 30, 30, 10), log, cancel)
    thread.join()
    log.close()
    assert (outcome.code, outcome.stop, outcome.killed, outcome.signal) == (5, Stop.CANCEL, False, None)
    assert (tmp_path / "log").read_text() == "ready\n"
    for descriptor in (cancel.wake, cancel._waker):
        os.close(descriptor)


@pytest.mark.parametrize(
    ("script", "code", "name"),
    [("exit 0", 0, None), ("exit 3", 3, None), ("exit 200", 200, None), ("kill -9 $$", 137, "SIGKILL")],
)
def test_how_a_command_ended(tmp_path, script, code, name):
    cancel, log = Cancel(tmp_path / "cancel"), RunLog(tmp_path / "log", 10_000, Masker([]))
    command = Command(["/bin/sh", "-c", script], dict(os.environ), tmp_path, sandboxed=False)
    outcome = command.watch(Watch(time.monotonic() + 30, 30, 10), log, cancel)
    log.close()
    assert outcome.code == code
    assert (outcome.signal and outcome.signal.name) == name
    for descriptor in (cancel.wake, cancel._waker):
        os.close(descriptor)
