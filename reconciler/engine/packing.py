"""A run's directory as a tar file: what a leg begins with, and what a plan leaves to an apply on another machine.

What is packed was written by a run, and what is unpacked came from another machine: nothing is followed, and nothing
lands outside of the run's directory.
"""

from __future__ import annotations

import os
import tarfile
from collections.abc import Iterable
from pathlib import Path

from reconciler.runner.contract.directory import RunDirectory
from reconciler.runner.contract.removing import remove

BEGINNING = ("work", "home")
"""What a plan begins with: the work directory, and what lies in the run's home."""

PLANNED = (*BEGINNING, "scratch", "packages", "planned.json", "carried.json")
"""What an apply needs of its plan: the saved plan with what was recorded of it, and what the tool installed for it."""


class CannotUnpack(Exception):
    """The file is no tar file, or one that would write elsewhere. The message is one line."""


def pack(directory: RunDirectory, names: Iterable[str], target: Path) -> None:
    """Write what is there of `names` into a tar file of mode 0600, all or nothing; OSError where that fails.

    Files that are neither regular nor links are left out: they mean nothing on another machine.
    """
    draft = target.with_suffix(".draft")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with (
            os.fdopen(descriptor, "wb") as file,
            tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as tar,
        ):
            for name in names:
                if os.path.lexists(directory.root / name):
                    tar.add(directory.root / name, name, filter=_plain)
        draft.replace(target)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def unpack(packed: Path, directory: RunDirectory, names: Iterable[str]) -> None:
    """Put what the tar file has of `names` in the place of what is there; CannotUnpack, or OSError.

    Links come last, so that nothing is written through one. Where they lead is the run's own business, as it is on the
    machine where it made them.
    """
    known = set(names)
    root = Path(os.path.realpath(directory.root))
    try:
        with tarfile.open(packed, "r:") as tar:
            members = tar.getmembers()
            files = {member.name for member in members if member.isreg()}
            for member in members:
                parts = member.name.split("/")
                if parts[0] not in known or ".." in parts or (member.islnk() and member.linkname not in files):
                    raise CannotUnpack(f"{member.name!r} does not belong there")
            for name in known:
                remove(root / name)
            links = [member for member in members if member.issym()]
            tar.extractall(root, [member for member in members if not member.issym()], filter="data")
        for link in links:
            _link(root, link)
    except tarfile.TarError as error:
        raise CannotUnpack(str(error)) from None


def _plain(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    return member if member.isreg() or member.isdir() or member.issym() or member.islnk() else None


def _link(root: Path, member: tarfile.TarInfo) -> None:
    path = root / member.name
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise CannotUnpack(f"{member.name!r} lies in no directory") from None
    if os.path.realpath(path.parent) != str(path.parent) or root not in path.parents:
        raise CannotUnpack(f"{member.name!r} leads elsewhere")
    if path.is_dir() and not path.is_symlink():
        raise CannotUnpack(f"{member.name!r} is a directory, too")
    path.unlink(missing_ok=True)
    path.symlink_to(member.linkname)
