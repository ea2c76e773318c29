"""Work directories: chosen files of one revision, written where nothing can lead them outside."""

from __future__ import annotations

import errno
import os
import unicodedata
from collections.abc import Collection
from pathlib import Path

from reconciler.git.errors import CheckoutRefused, GitError, GitReason, is_disk_full, one_line
from reconciler.git.links import SUBMODULE, resolve
from reconciler.git.objects import EntryKind, TreeEntry
from reconciler.git.trees import Trees
from spaces.names import Revision
from spaces.reading.lfs import LARGEST_POINTER, POINTER, is_pointer

MOST_FILES = 50_000
MOST_BYTES = 1024 * 2**20
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def checkout(
    trees: Trees,
    revision: Revision,
    paths: Collection[str],
    into: Path,
    *,
    most_files: int = MOST_FILES,
    most_bytes: int = MOST_BYTES,
) -> None:
    """Write the files, and directories with everything below, at `paths` under `into`, in the same layout.

    Only the owner can read them. `into` is created if missing, and nothing in it is overwritten. Everything is checked
    before the first byte is written. Raise CheckoutRefused for a path that may not be written, and GitError:
    PathNotFound, TooManyFiles, FileTooLarge (all together exceed `most_bytes`), DiskFull, CheckoutFailed.
    """
    entries = _gather(trees, revision, paths)
    if len(entries) > most_files:
        message = f"the work directory would hold {len(entries)} files; {most_files} are allowed"
        raise GitError(GitReason.TOO_MANY_FILES, message)
    guard = _Guard(trees, revision)
    size = 0
    for path, entry in entries.items():
        guard.check(path, entry)
        size += trees.blob_size(entry.id)
        if size > most_bytes:
            raise GitError(GitReason.FILE_TOO_LARGE, f"the work directory would be larger than {most_bytes} bytes")
    _write_all(trees, entries, into)


def _gather(trees: Trees, revision: Revision, paths: Collection[str]) -> dict[str, TreeEntry]:
    found: dict[str, TreeEntry] = {}
    for path in paths:
        plain = "/".join(part for part in path.split("/") if part not in ("", "."))
        if trees.entry(revision, path) is None:
            message = f"there is no {one_line(path)!r} at revision {revision[:12]}"
            raise GitError(GitReason.PATH_NOT_FOUND, message)
        for below, entry in trees.listing(revision, path):
            found["/".join(part for part in (plain, below) if part)] = entry
    return dict(sorted(found.items()))


class _Guard:
    """Judges each entry; remembers the directories that it has already judged."""

    def __init__(self, trees: Trees, revision: Revision) -> None:
        self._trees = trees
        self._revision = revision
        self._judged: set[str] = set()

    def check(self, path: str, entry: TreeEntry) -> None:
        """Raise CheckoutRefused unless this entry may be written."""
        for part in path.split("/"):
            if part not in self._judged:
                if is_unsafe_name(part):
                    raise CheckoutRefused(path, "has a name that is not written to disk")
                self._judged.add(part)
        if entry.kind is EntryKind.SUBMODULE:
            raise CheckoutRefused(path, SUBMODULE)
        if entry.kind is EntryKind.SYMLINK:
            resolve(self._trees, self._revision, path)
        elif _is_lfs_pointer(self._trees, entry):
            raise CheckoutRefused(path, f"{POINTER}, or leave it out of the source")


def _is_lfs_pointer(trees: Trees, entry: TreeEntry) -> bool:
    return trees.blob_size(entry.id) < LARGEST_POINTER and is_pointer(trees.read_blob(entry.id))


def is_unsafe_name(name: str) -> bool:
    """Whether a name means a Git directory, on this or another file system, or is no name at all."""
    if name in ("", ".", "..") or "\0" in name or "/" in name:
        return True
    # Some file systems skip invisible characters (HFS), cut streams and trailing dots or know short names (NTFS).
    seen = "".join(c for c in name if unicodedata.category(c) != "Cf").lower()
    bare = seen.partition(":")[0].replace("\\", "/").rpartition("/")[2].rstrip(". ")
    return bare in (".git", "git~1") or seen.replace("\\", "/").startswith((".git/", "git~1/"))


def _write_all(trees: Trees, entries: dict[str, TreeEntry], into: Path) -> None:
    path = ""
    opened: list[tuple[str, int]] = []
    try:
        into.mkdir(mode=0o700, parents=True, exist_ok=True)
        opened.append(("", os.open(into, _DIRECTORY)))
        for path, entry in entries.items():
            *directories, name = path.split("/")
            _write(_descend(opened, directories), name, entry.kind, trees.read_blob(entry.id))
    except FileExistsError:
        raise CheckoutRefused(path, "already exists in the work directory, which must be new") from None
    except OSError as error:
        if error.errno in (errno.ENOTDIR, errno.ELOOP):
            raise CheckoutRefused(path, "would be written through a link or a file of the work directory") from None
        reason = GitReason.DISK_FULL if is_disk_full(error) else GitReason.CHECKOUT_FAILED
        message = f"{one_line(path)!r} could not be written to the work directory: {error.strerror}"
        raise GitError(reason, message) from error
    finally:
        for _, handle in opened:
            os.close(handle)


def _descend(opened: list[tuple[str, int]], directories: list[str]) -> int:
    """Open a directory one name at a time, never through a link, creating missing ones; reuse open descriptors."""
    shared = 0
    while shared < len(directories) and shared + 1 < len(opened) and opened[shared + 1][0] == directories[shared]:
        shared += 1
    while len(opened) > shared + 1:
        os.close(opened.pop()[1])
    for name in directories[shared:]:
        parent = opened[-1][1]
        try:
            handle = os.open(name, _DIRECTORY, dir_fd=parent)
        except FileNotFoundError:
            os.mkdir(name, 0o700, dir_fd=parent)
            handle = os.open(name, _DIRECTORY, dir_fd=parent)
        opened.append((name, handle))
    return opened[-1][1]


def _write(directory: int, name: str, kind: EntryKind, content: bytes) -> None:
    if kind is EntryKind.SYMLINK:
        os.symlink(content, os.fsencode(name), dir_fd=directory)
        return
    handle = os.open(name, _NEW_FILE, 0o700 if kind is EntryKind.EXECUTABLE else 0o600, dir_fd=directory)
    try:
        left = memoryview(content)
        while left:
            # A write may take less than it is given, and does so just before a disk is full.
            left = left[os.write(handle, left) :]
    finally:
        os.close(handle)
