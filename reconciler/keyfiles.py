"""Files with keys: readable for their owner alone, and created complete or not at all."""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import stat
from pathlib import Path

_LARGEST = 1 << 16
_log = logging.getLogger(__name__)


class NotPrivate(Exception):
    """A key file that others could read or could have written. The message says what to do."""


def create(path: Path, data: bytes) -> None:
    """Create the file complete or not at all. If another process was faster, its file stays."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(temporary, path)
            _log.info("a new key was made in %s", path)
        # A key lost in a power failure would take every secret with it, so the directory entry must last too.
        directory = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    finally:
        temporary.unlink()


def read_private(path: Path) -> str:
    """Return the text of a key file; raise NotPrivate or OSError if it is not one."""
    with path.open("rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise NotPrivate("not a regular file")
        if status.st_mode & 0o077:
            raise NotPrivate("others may read it; run chmod 600 on it")
        if status.st_uid not in {os.geteuid(), 0}:
            raise NotPrivate("it belongs to somebody else")
        return file.read(_LARGEST).decode("ascii", "replace")
