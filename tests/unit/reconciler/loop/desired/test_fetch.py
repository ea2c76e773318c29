from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from reconciler import repeating
from reconciler.git.errors import GitError, GitReason
from reconciler.git.mirrors import Remote
from reconciler.loop.desired import fetch as fetching
from reconciler.loop.desired.fetch import Fetcher
from reconciler.metrics import Metrics
from spaces.names import Revision
from tests.factories import NOW

ONE, TWO = Remote("https://example.org/one", "main"), Remote("https://example.org/two", "main")
HERE = Revision("a" * 40)


@dataclass
class FakeMirrors:
    down: set[Remote] = field(default_factory=set)
    asked: list[list[Remote]] = field(default_factory=list)

    def fetch_all(self, remotes: list[Remote], took: Callable[[Remote, float], None]) -> dict[Remote, Any]:
        self.asked.append(list(remotes))
        for number, remote in enumerate(remotes):
            took(remote, 10.0**number)
        return {it: GitError(GitReason.FETCH_FAILED, "down") if it in self.down else HERE for it in remotes}


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(fetching, "time", made)
    monkeypatch.setattr(repeating.random, "uniform", lambda _low, _high: 1.0)
    return made


@pytest.fixture
def mirrors() -> FakeMirrors:
    return FakeMirrors()


@pytest.fixture
def fetcher(mirrors: FakeMirrors) -> Fetcher:
    return Fetcher(mirrors, Metrics(), 30.0)  # type: ignore[arg-type]


def test_what_is_not_due_is_left_alone(fetcher: Fetcher, mirrors: FakeMirrors, clock: Clock) -> None:
    assert fetcher.fetch([ONE, TWO], NOW, everything=False) == {ONE: HERE, TWO: HERE}
    clock.now += 29
    assert fetcher.fetch([ONE, TWO], NOW, everything=False) == {}
    assert len(mirrors.asked) == 1
    assert fetcher.next_due([ONE, TWO]) == pytest.approx(1.0)
    clock.now += 1
    assert set(fetcher.fetch([ONE], NOW, everything=False)) == {ONE}


def test_all_are_looked_at_when_somebody_asks(fetcher: Fetcher, clock: Clock) -> None:
    fetcher.fetch([ONE, TWO], NOW, everything=False)
    assert set(fetcher.fetch([ONE, TWO], NOW, everything=True)) == {ONE, TWO}


def test_one_that_is_down_is_asked_less_often_and_the_other_as_before(
    fetcher: Fetcher, mirrors: FakeMirrors, clock: Clock
) -> None:
    mirrors.down.add(TWO)
    asked = {ONE: 0, TWO: 0}
    for _ in range(3600):
        for remote in fetcher.fetch([ONE, TWO], NOW, everything=False):
            asked[remote] += 1
        clock.now += 1
    assert asked[ONE] == 120
    assert 4 <= asked[TWO] <= 9
    mirrors.down.clear()
    fetcher.fetch([TWO], NOW, everything=True)
    assert fetcher.next_due([TWO]) == pytest.approx(30.0)


def test_the_longest_pause_is_a_quarter_of_an_hour(fetcher: Fetcher, mirrors: FakeMirrors, clock: Clock) -> None:
    mirrors.down.add(ONE)
    for _ in range(2000):
        fetcher.fetch([ONE], NOW, everything=True)
    assert fetcher.next_due([ONE]) == pytest.approx(900.0)


def test_nothing_wanted_is_due_after_an_interval(fetcher: Fetcher, clock: Clock) -> None:
    assert fetcher.next_due([]) == pytest.approx(30.0)


def test_each_repository_has_the_time_of_its_own_fetch(mirrors: FakeMirrors, clock: Clock) -> None:
    metrics = Metrics()
    Fetcher(mirrors, metrics, 30.0).fetch([ONE, TWO], NOW, everything=True)  # type: ignore[arg-type]
    name = "stationkeeper_git_fetch_duration_seconds_sum"
    seconds = [metrics.registry.get_sample_value(name, {"repository": each.url}) for each in (ONE, TWO)]
    assert seconds == [1.0, 10.0]


def test_of_two_branches_the_one_that_fails_is_told(mirrors: FakeMirrors, clock: Clock) -> None:
    metrics = Metrics()
    fetcher = Fetcher(mirrors, metrics, 30.0)  # type: ignore[arg-type]
    other = Remote(ONE.url, "next")

    def told() -> float | None:
        name = "stationkeeper_git_last_fetch_success_timestamp_seconds"
        return metrics.registry.get_sample_value(name, {"repository": ONE.url})

    mirrors.down = {other}
    fetcher.fetch([ONE, other], NOW, everything=True)
    assert told() == 0
    mirrors.down = set()
    fetcher.fetch([ONE, other], NOW, everything=True)
    mirrors.down = {other}
    fetcher.fetch([ONE, other], NOW + timedelta(hours=1), everything=True)
    assert told() == NOW.timestamp()
