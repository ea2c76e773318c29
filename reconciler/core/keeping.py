"""What somebody asks of a stack for a time: that nothing starts for it, or that it stays at an earlier revision."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from spaces.names import Revision

if TYPE_CHECKING:
    from reconciler.core.state import SourceCommit


@dataclass(frozen=True, slots=True)
class StackLock:
    """Nothing starts for a stack while somebody keeps it to themselves: who, why, and until when."""

    person: str
    note: str
    since: datetime
    until: datetime | None = None
    """None: until somebody ends it."""

    def ended(self, now: datetime) -> bool:
        """Whether it has ended by itself."""
        return self.until is not None and self.until <= now

    def __str__(self) -> str:
        """Read as `locked by user:alice since 2026-03-01 12:00 UTC, until 2026-03-01 16:00 UTC: repairs by hand`."""
        return f"locked by {self.person} {_how_long(self.since, self.until)}: {self.note}"


@dataclass(frozen=True, slots=True)
class StackPin:
    """A stack stays at an earlier revision of itself: which, who asked for that and why, and until when."""

    revision: Revision
    """The revision of the configuration that it stays at."""
    mark: str
    """What it was there (`pins.mark_of`), by which it is found again exactly."""
    source: SourceCommit | None
    author: str | None
    """Whose change it was."""
    person: str
    note: str
    since: datetime
    until: datetime | None = None
    """None: until somebody ends it, or a commit changes the stack."""
    instead: str = ""
    """What the branch said of the stack when the pin came into force (`pins.branch_mark`); empty before."""

    def ended(self, now: datetime) -> bool:
        """Whether its time is over."""
        return self.until is not None and self.until <= now

    def is_same(self, other: StackPin | None) -> bool:
        """Whether both are one, whether it has come into force or not."""
        return other is not None and dataclasses.replace(self, instead=other.instead) == other

    def __str__(self) -> str:
        """Read as `pinned to 0123456789ab by user:alice since 2026-03-01 12:00 UTC: the new version is slow`."""
        source = self.source
        where = f", its source at {source.revision[:12]}," if source is not None and source.repository else ""
        return (
            f"pinned to {self.revision[:12]}{where} by {self.person} {_how_long(self.since, self.until)}: {self.note}"
        )


def _how_long(since: datetime, until: datetime | None) -> str:
    end = f", until {until:%Y-%m-%d %H:%M} UTC" if until is not None else ""
    return f"since {since:%Y-%m-%d %H:%M} UTC{end}"
