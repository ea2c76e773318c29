"""Which queued run starts next: by what it is for, then the spaces in turn, then the oldest. Pure.

A run that is queued stands in the line of its space, rank and worker pool. `store.queue` reads the lines, leaves out
those of full pools, asks `Turns` for each free place, and gives the place to the first run of that line that may
start. Among lines of one rank, the space comes first that has the fewest runs at work in the pool, and of those the one
whose last turn there is the longest ago. So a space with ten thousand queued runs keeps nobody waiting longer than a
place takes to become free. Turns are numbered: no clock counts.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Self

from reconciler.core.runs import Run, RunKind, RunStatus
from spaces.model.pool import DEFAULT_POOL
from spaces.names import SpaceName

FIRST = 0
"""The rank of runs that somebody put before all others."""

PLACE_AT_WORK, PLACE_QUEUED = "0", "1"
"""How `place_of` begins."""

RANKS = {
    RunKind.DESTROY: 1,
    RunKind.TRACKED: 1,
    RunKind.TASK: 2,
    RunKind.PROPOSED: 3,
    RunKind.DRIFT: 4,
}
"""What a run is for; the smallest number starts first. One digit, by which the names of lines are sorted."""


@dataclass(frozen=True, slots=True)
class PoolLimits:
    """How many runs of a pool may be at work; None: as many as there are places."""

    most: int | None = None
    most_checks: int | None = None
    """How many of them may be drift checks."""
    drained: bool = False
    """Nothing of it may start."""
    places: int | None = None
    """How many more runs its workers wait for; None: its runs take up places of the service's own machine."""


@dataclass(slots=True)
class WorkLoad:
    """The runs at work, counted: what the limits of pools are held against."""

    by_party: Counter[str] = field(default_factory=Counter)
    by_pool: Counter[str] = field(default_factory=Counter)
    checks: Counter[str] = field(default_factory=Counter)
    """The drift checks of each pool."""

    def add(self, party: str, *, is_check: bool, count: int = 1) -> None:
        """Count runs that are at work, or will be now."""
        pool = pool_of(party)
        self.by_party[party] += count
        self.by_pool[pool] += count
        self.checks[pool] += count * is_check

    def has_room(self, line: QueueLine, limits: PoolLimits) -> bool:
        """Whether one more run of a line may be at work in its pool."""
        if limits.drained or (limits.most is not None and self.by_pool[line.pool] >= limits.most):
            return False
        return not line.checks or limits.most_checks is None or self.checks[line.pool] < limits.most_checks


def party_of(space: SpaceName, pool: str) -> str:
    """Return the name under which a space takes its turns in a pool."""
    return space if pool == DEFAULT_POOL else f"{space}:{pool}"


def pool_of(party: str) -> str:
    """Return the pool of a name made by `party_of`."""
    return party.partition(":")[2] or DEFAULT_POOL


@dataclass(frozen=True, order=True, slots=True)
class QueueLine:
    """The queued runs of one rank, space and pool."""

    rank: int
    party: str
    """The space and the pool, as `party_of` names them."""
    head: str
    """The oldest run."""
    turn: int = 0
    """The number of the party's last turn, from 1; 0: it never had one."""

    @classmethod
    def named(cls, name: str, head: str, turn: int) -> Self:
        """Return the line of a name made by `line_of`."""
        rank, _, party = name.partition(":")
        return cls(int(rank), party, head, turn)

    @property
    def name(self) -> str:
        """The name, in which lines sort by rank."""
        return f"{self.rank}:{self.party}"

    @property
    def pool(self) -> str:
        """The worker pool."""
        return pool_of(self.party)

    @property
    def checks(self) -> bool:
        """Whether drift checks stand in it, apart from those that somebody put before all others."""
        return self.rank == RANKS[RunKind.DRIFT]


def rank_of(run: Run) -> int:
    """Return how urgent a run is; the smallest number starts first."""
    return FIRST if run.prioritized else RANKS[run.kind]


def line_of(run: Run) -> str | None:
    """Return the name of the line that a run stands in; None: it is not queued."""
    if run.status is not RunStatus.QUEUED:
        return None
    return QueueLine(rank_of(run), party_of(run.stack.space, run.pool), run.id).name


def place_of(run: Run) -> str:
    """Return the text by which a run at work or queued is sorted for people: at work, urgent, old come first."""
    return f"{PLACE_QUEUED}{rank_of(run)}{run.id}" if run.status is RunStatus.QUEUED else f"{PLACE_AT_WORK}{run.id}"


class Turns:
    """The lines in the order in which they get free places.

    `at_work` is how many runs each party has at work. Whoever hands out a place counts it there, and calls `served`.
    """

    def __init__(self, lines: Iterable[QueueLine], at_work: Mapping[str, int]) -> None:
        self._at_work = at_work
        found = list(lines)
        self._turns = {line.party: line.turn for line in found}
        self._newest = max(self._turns.values(), default=0)
        self._queue = [(self._key(line), line) for line in found]
        heapq.heapify(self._queue)

    def next(self) -> QueueLine | None:
        """Return the line whose turn it is; None: nothing is queued."""
        while self._queue:
            key, line = self._queue[0]
            now = self._key(line)
            if now == key:
                return line
            # Its party was served since: it goes back, never forward.
            heapq.heapreplace(self._queue, (now, line))
        return None

    def first(self, most: int) -> list[QueueLine]:
        """Return the lines that come first, at most so many."""
        return [line for _, line in heapq.nsmallest(most, ((self._key(line), line) for _, line in self._queue))]

    def served(self, line: QueueLine) -> int:
        """Let a line's party come after all others that have as many runs at work; returns the number of its turn."""
        self._newest += 1
        self._turns[line.party] = self._newest
        return self._newest

    def close(self) -> None:
        """Leave out the line whose turn it is: nothing of it can start."""
        heapq.heappop(self._queue)

    def _key(self, line: QueueLine) -> tuple[int, int, int, str]:
        return line.rank, self._at_work.get(line.party, 0), self._turns[line.party], line.head
