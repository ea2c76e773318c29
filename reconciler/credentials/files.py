"""Secret files: small, written by the operator, and not readable for everybody."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from reconciler.credentials.errors import SecretUnreadable
from reconciler.credentials.sealing import MAX_BYTES


def read_secret_file(path: Path, name: str) -> str:
    """Return the content of a secret file, never through a link; raise SecretUnreadable that names it as `name`."""
    try:
        # O_NONBLOCK: a pipe would otherwise wait for its writer.
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            _check(os.fstat(handle), name)
            data = os.read(handle, MAX_BYTES + 1)
        finally:
            os.close(handle)
    except OSError as error:
        raise SecretUnreadable(f"{name} cannot be read: {error.strerror}") from None
    if len(data) > MAX_BYTES:
        raise SecretUnreadable(f"{name} is larger than {MAX_BYTES // 1024} KiB")
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise SecretUnreadable(f"{name} is not UTF-8 text") from None


def read_in_directory(directory: Path, file: str, name: str) -> str:
    """Return the content of a secret file in a directory, through links only as far as they stay in it."""
    try:
        top, target = Path(os.path.realpath(directory)), Path(os.path.realpath(directory / file))
    except OSError as error:
        raise SecretUnreadable(f"{name} cannot be read: {error.strerror}") from None
    if not target.is_relative_to(top):
        raise SecretUnreadable(f"{name} is a link that leads out of its directory")
    return read_secret_file(target, name)


def _check(status: os.stat_result, name: str) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise SecretUnreadable(f"{name} is not a regular file")
    if status.st_mode & (stat.S_IROTH | stat.S_IWOTH):
        raise SecretUnreadable(f"{name} can be read by everybody: remove that permission (chmod o-rwx)")
    if status.st_mode & stat.S_IWGRP:
        raise SecretUnreadable(f"{name} can be written by its group: remove that permission (chmod g-w)")
