"""The names under which revisions of source repositories are remembered: URL, branch, and for whom they count."""

from __future__ import annotations

from typing import NamedTuple

from reconciler.git.mirrors import Remote
from spaces.names import ResourceRef

_FOR = " verified for "


class SourceKey(NamedTuple):
    """A branch of a source repository; `verified_for` is the Repository, as `space/name`, that asks for signatures."""

    url: str
    branch: str
    verified_for: str | None


def source_key(remote: Remote, verifying: ResourceRef | None = None) -> str:
    """Name a source repository's branch; for `verifying`, only as far as that Repository accepts it."""
    key = f"{remote.url}#{remote.branch}"
    return key if verifying is None else f"{key}{_FOR}{verifying.space}/{verifying.name}"


def read_key(key: str) -> SourceKey:
    """Take a key of `source_key` apart."""
    branch, _, verified_for = key.partition(_FOR)
    url, _, name = branch.rpartition("#")
    return SourceKey(url, name, verified_for or None)
