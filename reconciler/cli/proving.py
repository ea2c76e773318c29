"""Whether who listens on a port of this machine is the service of a data directory: it alone gets that one's token.

While the service is down, any process of this machine may listen in its place, a run's too.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

_PROC = Path("/proc")
_LISTENS = "0A"


def lock_holders(lock: Path) -> Iterator[int]:
    """Give the processes that hold a lock, without touching it: a service may be about to start."""
    with contextlib.suppress(OSError, ValueError):
        here = lock.stat()
        for line in (_PROC / "locks").read_text(encoding="ascii").splitlines():
            words = line.split()
            # The number alone says little: other file systems have files with the same one.
            if words[1] == "FLOCK" and words[5].endswith(f":{here.st_ino}") and _has_open(int(words[4]), here):
                yield int(words[4])


def listens_on(pid: int, port: int) -> bool:
    """Say whether a process listens on a port of this machine, and no other process does, on any address."""
    sockets = {link.removeprefix("socket:[").rstrip("]") for link in _links(pid) if link.startswith("socket:[")}
    listening = set(_listening(port))
    return bool(listening) and listening <= sockets


def _has_open(pid: int, file: os.stat_result) -> bool:
    with contextlib.suppress(OSError):
        for each in (_PROC / str(pid) / "fd").iterdir():
            with contextlib.suppress(OSError):
                if os.path.samestat(each.stat(), file):
                    return True
    return False


def _links(pid: int) -> Iterator[str]:
    with contextlib.suppress(OSError):
        for each in (_PROC / str(pid) / "fd").iterdir():
            with contextlib.suppress(OSError):
                yield str(each.readlink())


def _listening(port: int) -> Iterator[str]:
    """Give the inodes of the sockets that listen on a port."""
    for name in ("tcp", "tcp6"):
        with contextlib.suppress(OSError):
            for line in (_PROC / "net" / name).read_text(encoding="ascii").splitlines()[1:]:
                words = line.split()
                if words[3] == _LISTENS and int(words[1].rpartition(":")[2], 16) == port:
                    yield words[9]
