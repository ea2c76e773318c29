"""Binds an apply to what was planned: the digest over the plan's result and the tool's plan files."""

from __future__ import annotations

import os
from _blake2 import blake2b
from collections.abc import Iterable
from pathlib import Path

_PIECE = 1024 * 1024


def digest(planned: Path, files: Iterable[Path]) -> str:
    """Give the digest as hexadecimal; OSError when a file is missing, or is no regular file."""
    total = blake2b(digest_size=32)
    for path in (planned, *sorted(files)):
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            total.update(f"{path.name}\0{os.fstat(descriptor).st_size}\0".encode())
            while piece := os.read(descriptor, _PIECE):
                total.update(piece)
        finally:
            os.close(descriptor)
    return total.hexdigest()
