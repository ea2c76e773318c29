"""Rollouts: who goes first, how many at a time, and when the rest is paused."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.core.rollouts import Accepted, Part, RolloutProgress, hold, part_of, places
from reconciler.core.state import StackState, Sync
from spaces.effective.rollouts import RolloutRule, rollout_of
from spaces.names import SpaceName
from tests.factories import NOW, a_desired, a_fingerprint, a_stack, an_outcome
from tests.unit.spaces.builders import begin, doc, space

RULE = RolloutRule(SpaceName("root"), 2, 2, canaries=True)


def progress(canaries: dict[str, int] | None = None, accepted: Accepted | None = None, **every: int) -> RolloutProgress:
    first = {Part(part): count for part, count in (canaries or {}).items()}
    total = {Part(part): count for part, count in every.items()}
    return RolloutProgress(
        {part: total.get(part, 0) + first.get(part, 0) for part in {*total, *first}}, first, accepted or Accepted()
    )


@pytest.mark.parametrize(
    ("there", "first", "held"),
    [
        pytest.param(progress(), True, None, id="a canary goes"),
        pytest.param(progress({"waiting": 1}), False, "go first", id="the rest waits for canaries"),
        pytest.param(progress({"running": 1}), False, "go first", id="also while they run"),
        pytest.param(progress({"other": 1}), False, "go first", id="also where something keeps them"),
        pytest.param(progress({"done": 1}), False, None, id="until they are in sync"),
        pytest.param(progress({"running": 2}), True, "2 of its rollout at a time", id="no more than so many"),
        pytest.param(progress({"failed": 1}), True, "paused: a stack that goes first has failed", id="a canary failed"),
        pytest.param(progress({"failed": 1}, Accepted(1, True)), False, None, id="and somebody resumed it"),
        pytest.param(progress({"done": 1}, failed=1), False, None, id="fewer failures than pause it"),
        pytest.param(progress({"done": 1}, failed=2), False, "paused: 2 stacks have failed", id="so many pause it"),
        pytest.param(
            progress({"done": 1}, Accepted(2), failed=3), False, None, id="those that were accepted do not count"
        ),
        pytest.param(progress({"done": 1}, Accepted(2), failed=4), False, "paused", id="further ones do"),
    ],
)
def test_why_a_stack_waits_for_others(there: RolloutProgress, *, first: bool, held: str | None) -> None:
    found = hold(RULE, there, first=first)
    assert (found is None) if held is None else held in (found or "")


def test_as_many_are_woken_as_may_go() -> None:
    assert places(RULE, progress({"done": 1}, waiting=100)) == 2
    assert places(RULE, progress({"done": 1}, waiting=100, running=2)) == 0
    assert places(RULE, progress({"done": 1}, waiting=100, failed=2)) == 0
    assert places(RolloutRule(SpaceName("root"), None, 1, canaries=False), progress(waiting=100)) == 100


def a_part(**changes: Any) -> StackState:
    desired = a_desired(rollout=RULE)
    return a_stack(**({"desired": desired, "sync": Sync.OUT_OF_SYNC} | changes))


@pytest.mark.parametrize(
    ("state", "part"),
    [
        pytest.param(a_part(sync=Sync.SYNCED), Part.DONE, id="in sync"),
        pytest.param(a_part(turn="later"), Part.WAITING, id="waits"),
        pytest.param(a_part(), Part.OTHER, id="something else keeps it"),
        pytest.param(a_part(last=an_outcome(status="unconfirmed")), Part.RUNNING, id="waits for a person"),
        pytest.param(a_part(last=an_outcome(status="failed")), Part.FAILED, id="failed"),
        pytest.param(a_part(last=an_outcome(status="discarded")), Part.FAILED, id="a person said no"),
        pytest.param(a_part(last=an_outcome(status="failed"), retry_at=NOW), Part.RUNNING, id="is tried again"),
        pytest.param(
            a_part(last=an_outcome(status="failed", digest=a_fingerprint(spec={"a": "1"}).digest)),
            Part.OTHER,
            id="earlier",
        ),
    ],
)
def test_where_a_stack_stands_follows_from_itself(state: StackState, part: Part) -> None:
    assert part_of(state) is part


def test_the_nearest_space_says_how() -> None:
    rule = {"maxParallel": 5, "canary": {"matchLabels": {"ring": "first"}}}
    files = {
        "root.yaml": doc("Space", "root", {"rollout": rule}),
        "a.yaml": space("a", "root"),
        "b.yaml": doc("Space", "b", {"parent": "root", "rollout": {"pauseAfterFailures": 3}}),
    }
    documents = begin(files).in_force.documents
    first = RolloutRule(SpaceName("root"), 5, 1, canaries=True, is_canary=True)
    assert rollout_of(documents, SpaceName("a"), {"ring": "first", "x": "y"}) == first
    assert rollout_of(documents, SpaceName("b"), {}) == RolloutRule(SpaceName("b"), None, 3, canaries=False)
