"""Puts files into a work directory, and takes them away again; never through a link that somebody put there."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class CannotMount(Exception):
    """A file cannot be put in its place; the message names it."""


def mount(files: Mapping[str, bytes], directory: Path, path: str) -> None:
    """Write the files below the source's directory, in the place of what is there, for the owner alone.

    CannotMount where a link, or something else, is in the way.
    """
    for name, data in files.items():
        with _above(directory, path, name, make=True) as (parent, last):
            try:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(last, dir_fd=parent)
                handle = os.open(last, _NEW, 0o600, dir_fd=parent)
            except IsADirectoryError:
                raise CannotMount(
                    f"the file {name} cannot be put in place: there is a directory of that name"
                ) from None
            with os.fdopen(handle, "wb") as file:
                file.write(data)


def unmount(names: Iterable[str], directory: Path, path: str) -> None:
    """Remove the files; what was put in their way meanwhile stays."""
    for name in names:
        with contextlib.suppress(OSError, CannotMount), _above(directory, path, name, make=False) as (parent, last):
            os.unlink(last, dir_fd=parent)


@contextmanager
def _above(directory: Path, path: str, name: str, *, make: bool) -> Iterator[tuple[int, str]]:
    """Open the directory that a file lies in, one part of its path after the other."""
    parts = [part for part in PurePosixPath(path, name).parts if part != "."]
    here = os.open(directory, _DIRECTORY)
    try:
        for at, part in enumerate(parts[:-1], 1):
            if make:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(part, 0o700, dir_fd=here)
            try:
                below = os.open(part, _DIRECTORY, dir_fd=here)
            except OSError:
                above = "/".join(parts[:at])
                raise CannotMount(f"the file {name} cannot be put in place: {above} is not a directory") from None
            os.close(here)
            here = below
        yield here, parts[-1]
    finally:
        os.close(here)
