"""What of a source repository is followed, as one line of text: a branch, a tag, one commit, or a range of versions.

A branch is its own name. The others begin with a word and a colon, which Git allows in no branch: `tag:v1.4`,
`revision:0123…`, `semver:>=1.4 <2`. So one text can be a key wherever a branch was one.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple, TypeAlias

Ref: TypeAlias = str


class RefKind(StrEnum):
    """The key of a stack's source that says what is followed."""

    BRANCH = "branch"
    TAG = "tag"
    REVISION = "revision"
    SEMVER = "semver"


class Followed(NamedTuple):
    """A `Ref` taken apart."""

    kind: RefKind
    name: str

    def __str__(self) -> str:
        """Return it in words: `branch main`, `tag v1.4`, `revision 0123456789ab`, `versions >=1.4 <2`."""
        match self.kind:
            case RefKind.REVISION:
                return f"revision {self.name[:12]}"
            case RefKind.SEMVER:
                return f"versions {self.name}"
            case _:
                return f"{self.kind} {self.name}"


def ref_of(kind: RefKind, name: str) -> Ref:
    """Write what is followed as one text."""
    return name if kind is RefKind.BRANCH else f"{kind}:{name}"


def read_ref(ref: Ref) -> Followed:
    """Take a text of `ref_of` apart."""
    word, colon, name = ref.partition(":")
    if colon and word in {RefKind.TAG, RefKind.REVISION, RefKind.SEMVER}:
        return Followed(RefKind(word), name)
    return Followed(RefKind.BRANCH, ref)
