"""Which queued run starts next: by what it is for, then the spaces in turn, then the oldest. Pure.

A run that is queued stands in the line of its space and rank. `store.queue` reads the lines, asks `next_line` for each
free place, and gives the place to the first run of that line that may start. Among lines of one rank, the space comes
first that has the fewest runs at work, and of those the one whose last turn is the longest ago. So a space with ten
thousand queued runs keeps nobody waiting longer than a place takes to become free. Turns are numbered: no clock counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Self

from reconciler.core.runs import Run, RunKind, RunStatus
from spaces.names import SpaceName

FIRST = 0
"""The rank of runs that somebody put before all others."""

RANKS = {
    RunKind.DESTROY: 1,
    RunKind.TRACKED: 1,
    RunKind.TASK: 2,
    RunKind.PROPOSED: 3,
    RunKind.DRIFT: 4,
}
"""What a run is for; the smallest number starts first. One digit, by which the names of lines are sorted."""


@dataclass(frozen=True, slots=True)
class Line:
    """The queued runs of one rank and space."""

    rank: int
    space: SpaceName
    head: str
    """The oldest run."""
    turn: int = 0
    """The number of the last turn of the space, from 1; 0: it never had one."""

    @classmethod
    def named(cls, name: str, head: str, turn: int) -> Self:
        """Return the line of a name made by `line_of`."""
        rank, _, space = name.partition(":")
        return cls(int(rank), SpaceName(space), head, turn)

    @property
    def name(self) -> str:
        """The name, in which lines sort by rank."""
        return f"{self.rank}:{self.space}"


def rank_of(run: Run) -> int:
    """Return how urgent a run is; the smallest number starts first."""
    return FIRST if run.prioritized else RANKS[run.kind]


def line_of(run: Run) -> str | None:
    """Return the name of the line that a run stands in; None: it is not queued."""
    if run.status is not RunStatus.QUEUED:
        return None
    return Line(rank_of(run), run.stack.space, run.id).name


def next_line(lines: Iterable[Line], at_work: Mapping[SpaceName, int]) -> Line | None:
    """Return the line whose turn it is; None: nothing is queued. `at_work`: how many runs each space has at work."""
    return min(lines, key=lambda line: (line.rank, at_work.get(line.space, 0), line.turn, line.head), default=None)
