"""The queue: what starts first, shown by a clock that moves from one free place to the next."""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict, deque
from dataclasses import dataclass

import pytest

from reconciler.core.queue import QueueLine, Turns, line_of
from reconciler.core.runs import RunKind, RunStatus
from spaces.names import SpaceName
from tests.factories import a_run


@dataclass(frozen=True, order=True)
class Wanted:
    """A run: when it is queued, for which space, of which rank, and how many seconds it takes."""

    at: int
    space: str
    rank: int = 0
    takes: int = 60


def starts(wanted: list[Wanted], places: int) -> list[tuple[int, Wanted]]:
    """Let the clock run until everything has started, and return when each run started, in that order."""
    coming, now, turn = deque(sorted(wanted)), 0, 0
    queues: defaultdict[tuple[int, str], deque[tuple[str, Wanted]]] = defaultdict(deque)
    turns: dict[str, int] = {}
    at_work: Counter[SpaceName] = Counter()
    ends: list[tuple[int, str]] = []
    started: list[tuple[int, Wanted]] = []
    while coming or any(queues.values()):
        while coming and coming[0].at <= now:
            queues[coming[0].rank, coming[0].space].append((f"{len(wanted) - len(coming):06}", coming.popleft()))
        while ends and ends[0][0] <= now:
            at_work[SpaceName(heapq.heappop(ends)[1])] -= 1
        lines = [
            QueueLine(rank, SpaceName(space), queue[0][0], turns.get(space, 0))
            for (rank, space), queue in queues.items()
            if queue
        ]
        chosen = Turns(lines, at_work).next() if len(ends) < places else None
        if chosen is None:
            now = min(
                time for time in ([ends[0][0]] if ends else []) + ([coming[0].at] if coming else []) if time > now
            )
            continue
        _, run = queues[chosen.rank, chosen.party].popleft()
        turn += 1
        turns[chosen.party] = turn
        at_work[chosen.party] += 1
        heapq.heappush(ends, (now + run.takes, chosen.party))
        started.append((now, run))
    return started


@pytest.mark.parametrize("places", [1, 2, 10])
def test_a_busy_space_keeps_no_other_waiting_longer_than_a_place_takes_to_become_free(places: int) -> None:
    busy = [Wanted(0, "busy", takes=60) for _ in range(1000)]
    waited = {run: at - run.at for at, run in starts([*busy, Wanted(5, "calm"), Wanted(500, "quiet")], places)}
    assert waited[Wanted(5, "calm")] <= 60
    assert waited[Wanted(500, "quiet")] <= 60


def test_spaces_share_the_places_however_long_their_runs_take() -> None:
    slow, quick = ([Wanted(0, name, takes=takes) for _ in range(200)] for name, takes in (("slow", 600), ("quick", 10)))
    at_600 = Counter(run.space for at, run in starts([*slow, *quick], 4) if at < 600)
    assert at_600 == {"slow": 2, "quick": 120}


def test_among_many_spaces_each_gets_its_turn() -> None:
    order = [run.space for _, run in starts([Wanted(0, f"s{number % 5}") for number in range(50)], 1)]
    assert all(len(set(order[start : start + 5])) == 5 for start in range(0, 50, 5))


def test_ranks_come_before_turns() -> None:
    kinds = [RunKind.DRIFT, RunKind.PROPOSED, RunKind.TASK, RunKind.TRACKED, RunKind.DESTROY]
    names = [line_of(a_run("a/b", kind=kind)) for kind in kinds]
    assert names == ["4:a", "3:a", "2:a", "1:a", "1:a"]
    assert line_of(a_run("a/b", kind=RunKind.DRIFT, prioritized=True)) == "0:a"
    assert line_of(a_run(status=RunStatus.PLANNING)) is None
    drift, tracked = QueueLine(4, SpaceName("calm"), "1"), QueueLine(1, SpaceName("busy"), "2", turn=9)
    assert Turns([drift, tracked], {SpaceName("busy"): 50}).next() == tracked
    assert Turns([], {}).next() is None
    assert QueueLine.named(drift.name, "1", 0) == drift
