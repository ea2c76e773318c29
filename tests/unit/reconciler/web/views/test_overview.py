"""What the start page says: spaces with their health, revisions, times."""

from __future__ import annotations

import pytest

from reconciler.web.api.schemas.overview import SpaceJson
from reconciler.web.api.schemas.runs import RevisionJson
from reconciler.web.views.revisions import RevisionView
from reconciler.web.views.spaces import MOST, flat, shown, space_tree
from reconciler.web.views.times import ago, duration
from tests.factories import NOW, REVISION, later


def space(name: str, parent: str | None, synced: int, ready: int, stalled: int = 0) -> SpaceJson:
    stacks = {"Synced": synced, "OutOfSync": 1} if synced else {}
    return SpaceJson(name=name, parent=parent, inherit=True, stacks=stacks, ready=ready, stalled=stalled)


def test_a_space_counts_what_is_below_it_and_shows_the_worst() -> None:
    tops = space_tree([space("root", None, 0, 0), space("a", "root", 2, 3), space("b", "root", 1, 1, stalled=1)])
    lines = [(depth, it.name, it.total, it.tone, it.words) for depth, it in flat(tops)]
    assert lines == [
        (0, "root", 5, "bad", "1 stalled"),
        (1, "a", 3, "good", "all ready"),
        (1, "b", 2, "bad", "1 stalled"),
    ]
    assert tops[0].parts == (("good", 0.0, 80.0), ("bad", 80.0, 20.0))


def test_a_space_below_one_that_is_not_seen_is_a_top_and_a_deep_tree_works() -> None:
    assert [it.name for it in space_tree([space("team", None, 0, 0), space("web", "hidden", 0, 0)])] == ["team", "web"]
    deep = [space(f"s{at}", f"s{at - 1}" if at else None, 1, 2) for at in range(3000)]
    (top,) = space_tree(deep)
    assert (top.total, len(flat([top]))) == (6000, 3000)


def test_of_a_large_tree_the_upper_levels_are_listed_and_what_stands_still() -> None:
    many = [space(f"a{at}", "root", 1, 2, stalled=at == 7) for at in range(MOST)]
    tree = shown(space_tree([space("root", None, 0, 0), *many]))
    assert ([it.name for _, it in tree.lines], tree.hidden) == (["root", "a7"], MOST - 1)
    assert shown(space_tree(many)).hidden == 0


@pytest.mark.parametrize(
    ("numbers", "words", "tone"),
    [
        ({"applied": 1}, "applied to 1 stack", "good"),
        ({"running": 1}, "running", "busy"),
        ({"applied": 1, "waiting": 1, "failed": 1}, "1 of 3 applied, 1 waiting, 1 failed", "bad"),
        ({"applied": 11, "waiting": 1}, "11 of 12 applied, 1 waiting", "waiting"),
        ({}, "not applied", "quiet"),
    ],
)
def test_a_revision_says_how_far_it_got(numbers: dict[str, int], words: str, tone: str) -> None:
    counts = {"applied": 0, "running": 0, "waiting": 0, "failed": 0} | numbers
    view = RevisionView(
        RevisionJson(
            revision=REVISION,
            summary=None,
            people=[],
            stacks=sum(numbers.values()) or 1,
            run="r",
            started_at=NOW,
            finished_at=None,
            **counts,
        )
    )
    assert (view.words, view.tone) == (words, tone)


@pytest.mark.parametrize(
    ("seconds", "expected"), [(0.04, "0.0 s"), (9.44, "9.4 s"), (59.6, "1 min"), (61, "1 min 1 s"), (7260, "2 h 1 min")]
)
def test_durations(seconds: float, expected: str) -> None:
    assert duration(seconds) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"), [(2, "just now"), (59, "59 s ago"), (7200, "2 h ago"), (-60, "in 1 min")]
)
def test_how_long_ago(seconds: float, expected: str) -> None:
    assert ago(NOW, later(seconds)) == expected
