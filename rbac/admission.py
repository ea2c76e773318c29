"""From what is in force and the next commit to what is in force then, or to a halt. Pure.

Access is not judged yet: every change on the branch is admitted. What already holds is that a branch which lost all of
its documents is taken for an accident, and changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from spaces.catalog import Catalog
from spaces.in_force import InForce, settle
from spaces.names import Revision


class HaltReason(StrEnum):
    """Why admission stands still."""

    BRANCH_EMPTIED = "BranchEmptied"


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit of the branch's first-parent chain; `changed` is against what was admitted last (None: gone)."""

    revision: Revision
    changed: Mapping[str, bytes | None]


@dataclass(frozen=True, slots=True)
class Halted:
    """The commit is not admitted, and nothing changes."""

    reason: HaltReason
    message: str
    revision: Revision


def admit(in_force: InForce | None, commit: Commit) -> InForce | Halted:
    """Judge one commit. The first that an installation sees is trusted whole (`in_force` None)."""
    proposed = (in_force.proposed if in_force else Catalog.empty()).advance(commit.changed)
    if in_force is not None and not proposed.files and any(True for _ in in_force.catalog.refs()):
        message = f"revision {commit.revision[:12]} holds no documents at all; what was in force stays"
        return Halted(HaltReason.BRANCH_EMPTIED, message, commit.revision)
    return settle(in_force, proposed, commit.changed.keys(), commit.revision)
