"""Removes what runs left: whatever a tool made of it, and never through a link."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path


def inside(root: Path) -> list[Path]:
    """Return what is in a directory; nothing where there is none."""
    try:
        return [root / name for name in os.listdir(root)]  # noqa: PTH208 - names only
    except (FileNotFoundError, NotADirectoryError):
        return []


def remove(path: Path) -> None:
    """Remove whatever this is, never through a link. A run and whoever follows it may do so at the same time."""
    try:
        path.unlink()
    except FileNotFoundError:
        return
    except OSError:
        # A directory, which the system says in several ways.
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, onerror=_make_removable)
        elif os.path.lexists(path):
            raise


def _make_removable(remove: Callable[[str], object], path: str, _error: object) -> None:
    # A tool may leave directories that their owner cannot write to (module caches are such).
    try:
        Path(path).parent.chmod(0o700)
        if remove in (os.scandir, os.open, os.lstat):
            Path(path).chmod(0o700)
            shutil.rmtree(path, ignore_errors=True)
        else:
            remove(path)
    except OSError:
        return
