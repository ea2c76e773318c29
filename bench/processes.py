"""The processor time of processes that this one cannot wait for, sampled from /proc."""

from __future__ import annotations

import os
import threading
import time
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
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._watching = 0.0
        self._started = 0.0
        self.seconds = 0.0
        """The measured seconds, known once the meter is closed, without those of the meter itself."""

    def __enter__(self) -> Self:
        self._before = _descendants()
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
            self._seen.update(_descendants())
        self._seen.update(_descendants())
        self._watching = time.thread_time() - started


def _descendants() -> dict[tuple[int, int], float]:
    """Return (pid, start) with the seconds of this process's children and grandchildren.

    No deeper: a process that started a tool waits for it, which adds the tool's times to its own.
    """
    found = {}
    for entry in os.scandir("/proc"):
        if entry.name.isdecimal():
            try:
                fields = Path(entry.path, "stat").read_text(encoding="utf-8").rpartition(")")[2].split()
            except OSError:
                continue
            ticks = sum(int(field) for field in fields[11:15])
            found[int(entry.name)] = int(fields[1]), int(fields[19]), ticks / _TICK
    children = {pid for pid, (parent, _, _) in found.items() if parent == os.getpid()}
    wanted = children | {pid for pid, (parent, _, _) in found.items() if parent in children}
    return {(pid, found[pid][1]): found[pid][2] for pid in wanted}
