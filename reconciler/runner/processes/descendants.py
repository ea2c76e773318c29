"""The processes below the runner: finding the tool inside its sandbox, and leaving nobody behind."""

from __future__ import annotations

import ctypes
import os
import select
import signal
import time
from pathlib import Path

from reconciler.runner.contract.process_id import stat_fields

_PR_SET_CHILD_SUBREAPER = 36
_MOMENT = 0.002
"""How long, in seconds, to wait for an end that the kernel does not tell of."""
_PATIENCE = 0.05
"""How long, in seconds, to wait for the end of one killed process before the others are looked at again."""


def adopt_orphans() -> None:
    """Become the parent of every orphan below, so that none escapes by giving up its parent."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def children(pid: int) -> list[int]:
    """Name a process's children, those of all its threads."""
    found: list[int] = []
    try:
        for task in Path(f"/proc/{pid}/task").iterdir():
            found += map(int, (task / "children").read_bytes().split())
    except FileNotFoundError:
        return found or _children_by_search(pid)
    except OSError:
        return found
    return found


def foreground(pid: int) -> list[int]:
    """Name a shell and what it runs in the foreground: the descendants in its own process group."""
    found = [pid]
    for parent in found:
        found += foreground_children(parent)
    return found


def foreground_children(pid: int) -> list[int]:
    """Name a process's children that are in its own process group."""
    fields = stat_fields(pid)
    if fields is None:
        return []
    return [child for child in children(pid) if (of_child := stat_fields(child)) and of_child[2] == fields[2]]


def inner(bwrap: int) -> tuple[int | None, int | None]:
    """Find (first process, tool) of the sandbox that a bwrap process watches over; None if there is none."""
    for first in children(bwrap):
        for each in children(first):
            # In its own numbering the sandbox's first process is 1, and the command that it starts is 2.
            if _innermost_pid(each) == 2:
                return first, each
        return first, None
    return None, None


def kill(pid: int) -> None:
    """Kill a process; it may be gone."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def kill_group(pid: int) -> None:
    """Kill a process group; it may be gone."""
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def kill_stragglers(seconds: float = 5.0) -> None:
    """Kill and reap everything below this process, generation by generation."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            pid, _status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            found = children(os.getpid())
            for each in found:
                kill(each)
            # One that cannot be killed now (it waits for a disk) must not keep the others' children alive.
            _await_end(found[0] if found else None, _PATIENCE)


def kill_session(session: int) -> None:
    """Kill every process of a session: what a runner without a sandbox leaves behind when it is killed itself."""
    for _round in range(3):
        found = [pid for pid in _pids() if (fields := stat_fields(pid)) and int(fields[3]) == session]
        for pid in found:
            kill(pid)
        if not found:
            return


def _await_end(child: int | None, seconds: float) -> None:
    """Wait until a child that nobody has reaped yet has ended, or for a moment where the kernel cannot tell."""
    try:
        descriptor = None if child is None else os.pidfd_open(child)
    except (AttributeError, OSError):
        descriptor = None
    if descriptor is None:
        time.sleep(_MOMENT)
        return
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    poll.poll(seconds * 1000)
    os.close(descriptor)


def _children_by_search(pid: int) -> list[int]:
    return [each for each in _pids() if (fields := stat_fields(each)) and int(fields[1]) == pid]


def _pids() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def _innermost_pid(pid: int) -> int | None:
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    for line in status.splitlines():
        if line.startswith("NSpid:"):
            return int(line.split()[-1])
    return None
