"""Which files of a stack are held, and what of them a later commit leaves held."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TypeAlias

from spaces.effective.stack import EffectiveStack
from spaces.names import Revision, StackId

FileChanges: TypeAlias = Mapping[str, tuple[str, str]]
"""Path -> what lay there before a commit and what lies there after it, as texts to be compared; empty for nothing."""

NO_FILES: Mapping[StackId, FileChanges] = MappingProxyType({})

Uses: TypeAlias = Callable[[EffectiveStack, Revision, Collection[str]], bool]
"""Says whether any of some paths may belong to the files of a stack, now or at the revision where they are pinned."""

MOST = 1000
"""Paths that one hold remembers. Of more, only an approval or a revert of all of them can let go."""


def always(stack: EffectiveStack, pin: Revision, paths: Collection[str]) -> bool:
    """Say that they may, where nobody can look."""
    _ = stack, pin, paths
    return True


@dataclass(frozen=True, slots=True)
class HeldFiles:
    """The files that a hold is about: path -> what lay there last by somebody who had the right.

    None: too many to remember, or not known.
    """

    rightful: Mapping[str, str] | None = field(default_factory=dict)

    def with_held(self, changes: FileChanges) -> HeldFiles:
        """Add changes without the right. What is put back as it was is held no more."""
        if self.rightful is None:
            return self
        rightful = dict(self.rightful)
        for path, (before, after) in changes.items():
            was = rightful.setdefault(path, before)
            if was == after:
                del rightful[path]
        return HeldFiles(rightful if len(rightful) <= MOST else None)

    def without(self, changes: FileChanges) -> HeldFiles:
        """Take out what somebody with the right has changed since: its content is theirs now."""
        if self.rightful is None:
            return self
        return HeldFiles({path: was for path, was in self.rightful.items() if path not in changes})

    @property
    def none(self) -> bool:
        """Say whether nothing is held any more."""
        return self.rightful is not None and not self.rightful

    def to_record(self) -> dict[str, str] | None:
        """Give it, to be stored."""
        return None if self.rightful is None else dict(self.rightful)


UNKNOWN = HeldFiles(None)
