"""The preparations before a run's process starts: its directories and, once for all runs, the sandbox."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from reconciler.engine.base import Ending, EndReason, LegReport, Materialise, PrepareFailed
from reconciler.engine.ends import LegId
from reconciler.runner.contract.directory import RunDirectory
from reconciler.runner.processes.sandbox import Sandbox, probe, why_not_writable

# FS_IOC_GETFLAGS, FS_IOC_SETFLAGS and FS_TOPDIR_FL of linux/fs.h.
_GET_FLAGS, _SET_FLAGS, _TOP = 0x80086601, 0x40086602, 0x20000


def make_runs(data_dir: Path) -> None:
    """Create the directory in which all runs live, if it is not there."""
    path = data_dir / "runs"
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    # On ext4 (`chattr +T`), what is below it is spread over the disk. Where it has no journal, each new file would else
    # step over all those near it that ended runs left in the last minute: more work than all the rest of a run.
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        flags = bytearray(4)
        fcntl.ioctl(descriptor, _GET_FLAGS, flags)
        fcntl.ioctl(descriptor, _SET_FLAGS, (int.from_bytes(flags, sys.byteorder) | _TOP).to_bytes(4, sys.byteorder))
    except OSError:
        # Another file system, which does not know it.
        pass
    finally:
        os.close(descriptor)


def prepared(
    which: LegId, directory: RunDirectory, materialise: Materialise | None, send: Callable[[], None] | None = None
) -> LegReport | None:
    """Prepare a leg. Return the report about it where that fails; None: it can be started.

    `send` is called then where another machine is to do it.
    """
    try:
        prepare(directory, materialise, to_send=send is not None)
        if send is not None and materialise is not None:
            send()
    except PrepareFailed as error:
        return which.unprepared(Ending.FAILED, error.reason, str(error))
    except OSError as error:
        return not_written(which, error)
    return None


def not_written(which: LegId, error: OSError) -> LegReport:
    """Return the report about a leg for which the disk does not take what has to be there before it starts."""
    full = error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
    reason = EndReason.DISK_FULL if full else EndReason.PREPARE_FAILED
    return which.unprepared(Ending.FAILED, reason, f"the work directory cannot be made: {error.strerror}")


def prepare(directory: RunDirectory, materialise: Materialise | None, *, to_send: bool = False) -> None:
    """Create a run's directories, with a fresh work directory if `materialise` fills it; `to_send` as for `make`.

    Raise OSError or PrepareFailed.
    """
    if to_send and materialise is None:
        # Nothing is sent of it but what is there already.
        directory.root.mkdir(mode=0o700, exist_ok=True)
        return
    if materialise is not None:
        for path in (directory.work, directory.scratch):
            if path.exists():
                shutil.rmtree(path)
    directory.make(to_send=to_send)
    directory.cancel.unlink(missing_ok=True)
    if materialise is not None:
        materialise(directory.work)


class WritableRefused(ValueError):
    """A directory must not be writable for runs. The message names it and says why."""


def make_writable(paths: Sequence[Path], hidden: Sequence[Path]) -> tuple[str, ...]:
    """Create the directories that runs may write to; raise WritableRefused for one that reveals a hidden path."""
    covers = [os.path.realpath(path) for path in hidden]
    resolved = []
    for path in paths:
        real = os.path.realpath(path)
        if why := why_not_writable(real, covers):
            raise WritableRefused(f"writable_paths: {path} cannot be writable for runs: {why}")
        Path(real).mkdir(parents=True, exist_ok=True)
        resolved.append(real)
    return tuple(resolved)


def find_sandbox(
    hidden: Sequence[Path], shown: Sequence[str], writable: Sequence[str] = (), *, wanted: bool
) -> tuple[Sandbox | None, str | None]:
    """Return the sandbox of this machine, or None and the reason why there is none."""
    if not wanted:
        return None, "switched off"
    bwrap = shutil.which("bwrap")
    if bwrap is None:
        return None, "bubblewrap (bwrap) is not installed"
    problem = probe(bwrap)
    if problem is not None:
        return None, f"bubblewrap does not work here: {problem}"
    covers = tuple(os.path.realpath(path) for path in hidden)
    return Sandbox(bwrap, covers, tuple(shown), tuple(writable)), None
