"""Puts the files that documents mount in their places, below the source's directory or the run's home.

What lies there may be the tool's own doing, so no link is followed on the way.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from reconciler.runner.contract.directory import RunDirectory
from spaces.model.places import HOME, in_home

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class CannotMount(Exception):
    """A file cannot be put in its place; the message names it."""


def mount(files: Mapping[str, bytes], directory: RunDirectory, path: str, executable: Collection[str] = ()) -> None:
    """Write the files, in the place of what is there, for the owner alone; `path` is where the tool runs.

    CannotMount where a link, or something else, is in the way.
    """
    for name, data in files.items():
        with _above(directory, path, name, make=True) as (parent, last):
            try:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(last, dir_fd=parent)
                handle = os.open(last, _NEW, 0o700 if name in executable else 0o600, dir_fd=parent)
            except IsADirectoryError:
                raise CannotMount(
                    f"the file {name} cannot be put in place: there is a directory of that name"
                ) from None
            with os.fdopen(handle, "wb") as file:
                file.write(data)


def unmount(names: Iterable[str], directory: RunDirectory, path: str) -> None:
    """Remove the files; what was put in their way meanwhile stays."""
    for name in names:
        with contextlib.suppress(OSError, CannotMount), _above(directory, path, name, make=False) as (parent, last):
            os.unlink(last, dir_fd=parent)


def _place(directory: RunDirectory, path: str, name: str) -> tuple[Path, PurePosixPath]:
    """Return the directory that a file must not leave, and its path below that."""
    if in_home(name):
        return directory.home, PurePosixPath(name.removeprefix(HOME))
    return directory.work, PurePosixPath(path, name)


@contextmanager
def _above(directory: RunDirectory, path: str, name: str, *, make: bool) -> Iterator[tuple[int, str]]:
    """Open the directory that a file lies in, one part of its path after the other."""
    top, below = _place(directory, path, name)
    parts = [part for part in below.parts if part != "."]
    here = os.open(top, _DIRECTORY)
    try:
        for at, part in enumerate(parts[:-1], 1):
            if make:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(part, 0o700, dir_fd=here)
            try:
                inner = os.open(part, _DIRECTORY, dir_fd=here)
            except OSError:
                above = (HOME if in_home(name) else "") + "/".join(parts[:at])
                raise CannotMount(f"the file {name} cannot be put in place: {above} is not a directory") from None
            os.close(here)
            here = inner
        yield here, parts[-1]
    finally:
        os.close(here)
