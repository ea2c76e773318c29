"""Small disks, mounted for tests of what happens when one is full."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def small_disk(place: Path, size: str) -> Iterator[Path]:
    """Mount a new disk of that size at a new directory; skip the test where this user may not."""
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", place]
    try:
        done = subprocess.run(mount, capture_output=True, check=False)
    except FileNotFoundError:
        pytest.skip("mount is not installed (apt install mount)")
    if done.returncode != 0:
        pytest.skip("no disk can be mounted here (run the tests as root, where mounting is allowed)")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", place], check=True)
