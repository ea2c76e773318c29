"""The operator's token: random, in a file of the data directory that only its owner can read."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path

FILE_NAME = "token"


def operator_token(data_dir: Path) -> str:
    """Return the operator's token, created at the first start. Two services that start at once get the same one."""
    path = data_dir / FILE_NAME
    if (token := read_token(path)) is not None:
        return token
    fresh = data_dir / f".{FILE_NAME}.{secrets.token_hex(8)}"
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(secrets.token_urlsafe(32) + "\n")
            file.flush()
            os.fsync(file.fileno())
        # A link, not a rename: it never replaces the token that another service has just made.
        with contextlib.suppress(FileExistsError):
            path.hardlink_to(fresh)
    finally:
        fresh.unlink()
    token = read_token(path)
    if token is None:
        raise ValueError(f"{path} is empty: remove it, and a new token is made")
    return token


def read_token(path: Path) -> str | None:
    """Return the token in a file; None if there is no such file."""
    try:
        return path.read_text(encoding="utf-8").strip() or None
    except FileNotFoundError:
        return None
