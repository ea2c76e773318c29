"""Files of the repository that documents refer to: a document's content includes theirs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from posixpath import normpath
from typing import TypeAlias

MAX_BYTES = 2 * 1024 * 1024
"""Bytes of one file that a document may refer to."""


@dataclass(frozen=True, slots=True)
class Unusable:
    """Why there is no content to be had: a diagnostic's code, and words that follow the path."""

    code: str
    what: str


Attach: TypeAlias = Callable[[str], bytes | Unusable]
"""Gives the content of the file at a repository-relative path, at the revision of the document that refers to it."""

NOT_THERE = Unusable("file-not-found", "does not exist")
TOO_LARGE = Unusable("file-too-large", f"is larger than {MAX_BYTES // 1024 // 1024} MiB")
NO_FILE = Unusable("file-not-found", "is not a regular file")
THROUGH_LINK = Unusable("file-not-found", "goes through a symbolic link, and links are not followed")


def no_files(path: str) -> Unusable:
    """Find nothing anywhere."""
    _ = path
    return NOT_THERE


def out_of(files: Mapping[str, bytes]) -> Attach:
    """Find what is among these files (path in the repository to bytes)."""

    def attach(path: str) -> bytes | Unusable:
        data = files.get(path)
        if data is None:
            return NOT_THERE
        return data if len(data) <= MAX_BYTES else TOO_LARGE

    return attach


def place_of(file: str, written: str) -> str:
    """Give the repository-relative path of what the document in `file` calls `written`."""
    directory = file.rpartition("/")[0]
    return normpath(f"{directory}/{written}" if directory else written)
