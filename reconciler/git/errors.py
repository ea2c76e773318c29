"""What can go wrong with Git, as one exception with a closed set of reasons."""

from __future__ import annotations

import errno
from enum import StrEnum


class GitReason(StrEnum):
    """The word that log, metric, condition and API use for a failure."""

    FETCH_FAILED = "FetchFailed"
    AUTHENTICATION_FAILED = "AuthenticationFailed"
    HOST_NOT_TRUSTED = "HostNotTrusted"
    BRANCH_NOT_FOUND = "BranchNotFound"
    BRANCH_EMPTIED = "BranchEmptied"
    REPOSITORY_EMPTY = "RepositoryEmpty"
    REPOSITORY_CORRUPT = "RepositoryCorrupt"
    REPOSITORY_NOT_FOUND = "RepositoryNotFound"
    REVISION_NOT_FOUND = "RevisionNotFound"
    PATH_NOT_FOUND = "PathNotFound"
    FILE_TOO_LARGE = "FileTooLarge"
    TOO_MANY_FILES = "TooManyFiles"
    HISTORY_REWRITTEN = "HistoryRewritten"
    UNRELATED_HISTORIES = "UnrelatedHistories"
    CHECKOUT_REFUSED = "CheckoutRefused"
    CHECKOUT_FAILED = "CheckoutFailed"
    DISK_FULL = "DiskFull"


class GitError(Exception):
    """A failure that its reader can act on; `message` is one line without credentials."""

    def __init__(self, reason: GitReason, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


class CheckoutRefused(GitError):
    """A path of the repository may not be written into a work directory."""

    def __init__(self, path: str, why: str) -> None:
        super().__init__(GitReason.CHECKOUT_REFUSED, f"{one_line(path)!r} {why}")
        self.path = path


DISK_FULL_ERRNOS = frozenset({errno.ENOSPC, errno.EDQUOT})
_DISK_FULL_WORDS = ("no space left", "disk quota exceeded", "file too large")
_LONGEST = 300


def one_line(text: str) -> str:
    """Make any text printable in one line: control characters and undecodable bytes become `?`, length is capped."""
    clean = "".join(c if c.isprintable() else "?" for c in " ".join(text.split()))
    return clean if len(clean) <= _LONGEST else clean[: _LONGEST - 1] + "…"


def is_disk_full(error: BaseException) -> bool:
    """Say whether an error of the system or of libgit2 means that a disk or quota is full."""
    if isinstance(error, OSError) and error.errno in DISK_FULL_ERRNOS:
        return True
    return any(words in str(error).lower() for words in _DISK_FULL_WORDS)
