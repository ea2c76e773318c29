"""Nothing that tests start outlives them, even if pytest itself is killed.

`tests/conftest.py` calls `end_what_tests_leave` once for each run. Every process that tests start inherits PATH, also
the commands of runs, whose environment holds little else. So PATH gets one empty directory more, as a mark, and a
process that waits for pytest to end then kills every process that has the mark.
"""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path


def end_what_tests_leave() -> str:
    """Mark PATH and start the process that waits; return the mark."""
    mark = tempfile.mkdtemp(prefix="station-tests-")
    Path(mark).chmod(0o755)
    subprocess.run([sys.executable, "-S", "-E", __file__, mark, str(os.getpid())], check=True)
    os.environ["PATH"] += os.pathsep + mark
    return mark


def marked(mark: str) -> Iterator[int]:
    """Yield the ids of the living processes that have the mark."""
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdecimal() and mark.encode() in (entry / "environ").read_bytes():
                yield int(entry.name)
        except OSError:
            continue


def _wait_and_end(mark: str, tests: int) -> None:
    # As an orphan it is out of reach for tests that kill all their children.
    if os.fork() != 0:
        return
    os.setsid()
    with contextlib.suppress(ProcessLookupError):
        select.select([os.pidfd_open(tests)], [], [])
    end = time.monotonic() + 20
    while (left := list(marked(mark))) and time.monotonic() < end:
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)
    shutil.rmtree(mark, ignore_errors=True)


if __name__ == "__main__":
    _wait_and_end(sys.argv[1], int(sys.argv[2]))
