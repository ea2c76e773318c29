"""A run's directory as a tar file: what a leg begins with, and what a plan leaves to an apply on another machine.

What is packed was written by a run, and what is unpacked came from another machine: nothing is followed, and nothing
lands outside of the run's directory.
"""

from __future__ import annotations

import os
import stat
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
    draft, links = target.with_suffix(".draft"), dict[tuple[int, int], str]()
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with (
            os.fdopen(descriptor, "wb") as file,
            tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as tar,
        ):
            for name in names:
                if os.path.lexists(directory.root / name):
                    _add(tar, str(directory.root / name), name, links)
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


def _add(tar: tarfile.TarFile, path: str, name: str, links: dict[tuple[int, int], str]) -> None:
    """Add what is at a path, and below it; `links` are the files of several names, each with its first one.

    The library's own way looks up the name of each file's owner, which takes longer than the rest and means nothing on
    another machine.
    """
    found = os.lstat(path)
    member = tarfile.TarInfo(name)
    member.mode = stat.S_IMODE(found.st_mode)
    # A part of a second would take a header of its own.
    member.mtime = int(found.st_mtime)
    if stat.S_ISDIR(found.st_mode):
        member.type = tarfile.DIRTYPE
        tar.addfile(member)
        for each in sorted(os.listdir(path)):  # noqa: PTH208 - names only
            _add(tar, f"{path}/{each}", f"{name}/{each}", links)
    elif stat.S_ISLNK(found.st_mode):
        member.type, member.linkname = tarfile.SYMTYPE, os.readlink(path)  # noqa: PTH115
        tar.addfile(member)
    elif stat.S_ISREG(found.st_mode):
        first = links.setdefault((found.st_dev, found.st_ino), name) if found.st_nlink > 1 else name
        if first != name:
            member.type, member.linkname = tarfile.LNKTYPE, first
            tar.addfile(member)
            return
        member.size = found.st_size
        with open(path, "rb") as file:  # noqa: PTH123
            tar.addfile(member, file)


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
