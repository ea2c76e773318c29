"""The processor time of processes that this one cannot wait for, sampled from /proc."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Set as AbstractSet
from pathlib import Path
from types import TracebackType
from typing import Self

_TICK = os.sysconf("SC_CLK_TCK")
_PAUSE = 0.004


class Meter:
    """Sums the processor seconds of this process and its descendants while it is open.

    A runner is forked by a process that waits for none of its children, so no rusage covers it. Its times, and those of
    the processes that it waited for, are sampled every few milliseconds until it is gone. The time after the last
    sample is missed: less than one interval and the clock's hundredth.
    """

    def __init__(self) -> None:
        self._seen: dict[tuple[int, int], float] = {}
        self._before: dict[tuple[int, int], float] = {}
        self._relatives = _Relatives()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._watching = 0.0
        self._started = 0.0
        self.seconds = 0.0
        """The measured seconds, known once the meter is closed, without those of the meter itself."""

    def __enter__(self) -> Self:
        self._before = self._relatives.seconds()
        self._started = time.process_time()
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join()
        own = time.process_time() - self._started - self._watching
        self.seconds = own + sum(taken - self._before.get(key, 0.0) for key, taken in self._seen.items())

    def _watch(self) -> None:
        started = time.thread_time()
        while not self._stop.wait(_PAUSE):
            self._seen.update(self._relatives.seconds())
        self._seen.update(self._relatives.seconds())
        self._watching = time.thread_time() - started


class _Relatives:
    """This process's children and grandchildren.

    No deeper: a process that started a tool waits for it, which adds the tool's times to its own. Of any other process,
    /proc is asked once: asking for all of them every time takes so much that the tools take longer.
    """

    def __init__(self) -> None:
        self._parents: dict[int, int] = {os.getpid(): 0}

    def seconds(self) -> dict[tuple[int, int], float]:
        """Return (pid, start) with the seconds that each has taken."""
        there = {int(name) for name in os.listdir("/proc") if name.isdecimal()}  # noqa: PTH208 - names only
        for pid in self._parents.keys() - there:
            del self._parents[pid]
        for pid in sorted(there - self._parents.keys()):
            if fields := _stat(pid):
                self._parents[pid] = int(fields[1])
        children = self._of({os.getpid()})
        return {
            (pid, int(fields[19])): sum(int(field) for field in fields[11:15]) / _TICK
            for pid in children | self._of(children)
            if (fields := _stat(pid))
        }

    def _of(self, parents: AbstractSet[int]) -> set[int]:
        return {pid for pid, parent in self._parents.items() if parent in parents}


def _stat(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return []
