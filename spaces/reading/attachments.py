"""The files of the repository that documents refer to. Their content counts as content of the document."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from posixpath import normpath
from typing import TypeAlias

MAX_BYTES = 2 * 1024 * 1024
"""The most bytes of a file that a document may refer to."""


@dataclass(frozen=True, slots=True)
class Unusable:
    """Why a file has no content for a document: a diagnostic's code, and words that follow the path."""

    code: str
    what: str


Attach: TypeAlias = Callable[[str], bytes | Unusable]
"""Returns the content of the file at a path of the repository, at the revision of the document that refers to it."""

NOT_THERE = Unusable("file-not-found", "does not exist")
TOO_LARGE = Unusable("file-too-large", f"is larger than {MAX_BYTES // 1024 // 1024} MiB")
NO_FILE = Unusable("file-not-found", "is not a regular file")
FROM_TOP = Unusable("invalid-path", "begins with /")
THROUGH_LINK = Unusable("file-not-found", "goes through a symbolic link, and links are not followed")


def no_files(path: str) -> Unusable:
    """Return that the file does not exist, whatever its path."""
    _ = path
    return NOT_THERE


def out_of(files: Mapping[str, bytes]) -> Attach:
    """Return an `Attach` that reads from these files (path in the repository to bytes)."""

    def attach(path: str) -> bytes | Unusable:
        data = files.get(path)
        if data is None:
            return NOT_THERE
        return data if len(data) <= MAX_BYTES else TOO_LARGE

    return attach


def place_of(file: str, written: str) -> str:
    """Return the path in the repository of the file that the document in `file` calls `written`."""
    if written.startswith("/"):
        return normpath(written.lstrip("/"))
    directory = file.rpartition("/")[0]
    return normpath(f"{directory}/{written}" if directory else written)
