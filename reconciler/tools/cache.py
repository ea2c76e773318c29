"""Keeps what a tool has downloaded for later runs of the same stack: one archive for each key.

The directory belongs to the service, and no run sees it. A run gets a copy of what is in it. What a run leaves there is
nothing that another stack's run ever gets, since a run can write whatever it likes.
"""

from __future__ import annotations

import os
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

from reconciler.tools.base import ToolJob
from reconciler.tools.files import LIMIT, fresh_directory

_DAYS = 30
_MOST = 4
"""Archives of one stack that are kept at most."""
_SUFFIX = ".tar"


def fetch(job: ToolJob, key: str, directory: Path) -> bool:
    """Fill a fresh directory with what is kept under a key; False, with an empty directory, where nothing is."""
    fresh_directory(directory)
    if job.cache is None or not hasattr(tarfile, "data_filter"):
        return False
    file = job.cache / f"{key}{_SUFFIX}"
    try:
        with tarfile.open(file) as archive:
            # Nothing in it may lie outside of the directory, or be anything but files, directories and links inside.
            archive.extractall(directory, filter="data")
        os.utime(file)
    except (OSError, tarfile.TarError):
        fresh_directory(directory)
        return False
    return True


def keep(job: ToolJob, key: str, directory: Path) -> bool:
    """Keep what is in a directory under a key; False: this run may not, or there is no room for it.

    Other runs see all of it or nothing. What nobody has used for 30 days goes, and all but the last few of a stack.
    """
    if job.cache is None or not job.fills_cache:
        return False
    draft = job.cache / f".{key}.{os.getpid()}"
    try:
        job.cache.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tarfile.open(draft, "w") as archive:
            archive.add(directory, ".", filter=_plain)
        if draft.stat().st_size > LIMIT:
            return False
        draft.replace(job.cache / f"{key}{_SUFFIX}")
        _forget(job.cache)
    except OSError:
        return False
    finally:
        draft.unlink(missing_ok=True)
    return True


def _plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member


def _forget(cache: Path) -> None:
    """Remove archives that nobody uses any more, those of other stacks too: they may be gone themselves."""
    oldest = time.time() - _DAYS * 86400
    used = {file: file.stat().st_mtime for file in _archives(cache.parent)}
    own = sorted((file for file in used if file.parent == cache), key=used.__getitem__, reverse=True)
    for file in {*own[_MOST:], *(file for file, at in used.items() if at < oldest)}:
        file.unlink(missing_ok=True)


def _archives(top: Path) -> Iterator[Path]:
    for directory in top.iterdir():
        if directory.is_dir():
            yield from directory.glob(f"*{_SUFFIX}")
