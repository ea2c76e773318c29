"""Processes that tests start end with them."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.e2e.station import eventually
from tests.leftovers import marked

RUN_OF_TESTS = """
import os, subprocess, sys
sys.path.insert(0, sys.argv[1])
from tests.leftovers import end_what_tests_leave

mark = end_what_tests_leave()
env = {"PATH": os.environ["PATH"]}
subprocess.Popen(["sh", "-c", "while :; do sleep 1; done"], env=env, start_new_session=True)
print(mark, flush=True)
sys.stdin.read()
"""


def test_a_killed_run_of_tests_leaves_no_process():
    root = Path(__file__).parents[2]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", RUN_OF_TESTS, root], **pipes, text=True) as run:
        mark = run.stdout.readline().strip()
        assert eventually(lambda: list(marked(mark)))
        os.kill(run.pid, signal.SIGKILL)
    eventually(lambda: not list(marked(mark)))
    eventually(lambda: not Path(mark).exists())
