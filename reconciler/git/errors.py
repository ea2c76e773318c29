"""The failures of Git, as one exception with a closed set of reasons."""

from __future__ import annotations

import errno
from enum import StrEnum


class GitReason(StrEnum):
    """The word for a failure in log, metric, condition and API."""

    FETCH_FAILED = "FetchFailed"
    PUSH_FAILED = "PushFailed"
    PUSH_REFUSED = "PushRefused"
    BRANCH_EXISTS = "BranchExists"
    AUTHENTICATION_FAILED = "AuthenticationFailed"
    HOST_NOT_TRUSTED = "HostNotTrusted"
    BRANCH_NOT_FOUND = "BranchNotFound"
    TAG_NOT_FOUND = "TagNotFound"
    TAG_MOVED = "TagMoved"
    VERSION_NOT_FOUND = "VersionNotFound"
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


FOR_EVERYBODY = frozenset(
    {
        GitReason.BRANCH_NOT_FOUND,
        GitReason.REPOSITORY_EMPTY,
        GitReason.TAG_NOT_FOUND,
        GitReason.VERSION_NOT_FOUND,
        GitReason.REVISION_NOT_FOUND,
    }
)
"""What is wrong with a repository for everybody who looks, and always in the same words."""


class GitError(Exception):
    """A failure that its reader can act on. `message` is one line without credentials."""

    def __init__(self, reason: GitReason, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


class CheckoutRefused(GitError):
    """A path of the repository that may not be written into a work directory."""

    def __init__(self, path: str, why: str) -> None:
        super().__init__(GitReason.CHECKOUT_REFUSED, f"{one_line(path)!r} {why}")
        self.path = path


DISK_FULL_ERRNOS = frozenset({errno.ENOSPC, errno.EDQUOT})
_DISK_FULL_WORDS = ("no space left", "disk quota exceeded", "file too large")
_LONGEST = 300


def one_line(text: str) -> str:
    """Return any text as one printable line of limited length; control characters and undecodable bytes become `?`."""
    clean = "".join(c if c.isprintable() else "?" for c in " ".join(text.split()))
    return clean if len(clean) <= _LONGEST else clean[: _LONGEST - 1] + "…"


def is_disk_full(error: BaseException) -> bool:
    """Whether an error of the system or of libgit2 means that a disk or a quota is full."""
    if isinstance(error, OSError) and error.errno in DISK_FULL_ERRNOS:
        return True
    return any(words in str(error).lower() for words in _DISK_FULL_WORDS)
