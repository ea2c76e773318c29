"""Freeze windows: when they are open, and over which stacks."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from spaces.effective.windows import Freeze, freezes, refrozen
from spaces.in_force import affected
from spaces.names import SpaceName
from tests.unit.spaces.builders import begin, codes, doc, go_on, ref, space, stack, stack_id

ROOT = SpaceName("root")


def at(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text).astimezone(UTC)


@pytest.mark.parametrize(
    ("cron", "zone", "hours", "now", "until"),
    [
        pytest.param("0 18 * * 5", "UTC", 62, "2026-03-06T17:59:59Z", None, id="before"),
        pytest.param("0 18 * * 5", "UTC", 62, "2026-03-06T18:00:00Z", "2026-03-09T08:00:00Z", id="the first moment"),
        pytest.param("0 18 * * 5", "UTC", 62, "2026-03-09T07:59:59Z", "2026-03-09T08:00:00Z", id="the last second"),
        pytest.param("0 18 * * 5", "UTC", 62, "2026-03-09T08:00:00Z", None, id="after"),
        pytest.param("0 0 * * 1-5", "UTC", 24, "2026-03-03T12:00:00Z", "2026-03-07T00:00:00Z", id="day after day"),
        pytest.param("0 1 * * *", "Europe/Berlin", 2, "2026-03-29T01:30:00Z", "2026-03-29T02:00:00Z", id="summer time"),
        pytest.param(
            "0 0 24 12 *", "Europe/Berlin", 24 * 9, "2026-12-31T23:00:00Z", "2027-01-01T23:00:00Z", id="yearly"
        ),
    ],
)
def test_a_window_is_open_from_its_time_for_its_duration(
    cron: str, zone: str, hours: int, now: str, until: str | None
) -> None:
    moment = at(now)
    assert moment is not None
    assert Freeze(ROOT, cron, zone, hours * 3600).until(moment) == at(until)


WEEKEND = {"deny": {"cron": "0 18 * * 5", "duration": "62h", "timezone": "Europe/Berlin"}, "override": "admin"}
TEAM = {"parent": "root", "windows": [WEEKEND]}
FILES = {
    "root.yaml": doc("Space", "root", {"windows": [{"deny": {"cron": "0 0 1 * *", "duration": "1d"}}]}),
    "team.yaml": doc("Space", "team", TEAM),
    "app.yaml": space("app", "team", inherit=False),
    "web.yaml": stack("web", in_space="app"),
}


def test_windows_flow_down_whatever_lies_between() -> None:
    documents = begin(FILES).in_force.documents
    assert freezes(documents, SpaceName("app")) == (
        Freeze(ROOT, "0 0 1 * *", "UTC", 86400),
        Freeze(SpaceName("team"), "0 18 * * 5", "Europe/Berlin", 62 * 3600, "admin"),
    )
    assert freezes(documents, ROOT) == freezes(documents, SpaceName("app"))[:1]


def test_a_change_of_windows_reaches_every_stack_below_and_a_role_that_they_need_stays() -> None:
    before = begin(FILES)
    after = go_on(before, {"team.yaml": space("team", "root")})
    changed = [ref("Space team")]
    spaces, stacks = refrozen(changed, before.in_force.documents, after.in_force.documents)
    assert (spaces, stacks) == ({"team", "app"}, {stack_id("app/web")})
    assert stack_id("app/web") in affected(before.in_force, after.in_force)
    asks = {**TEAM, "windows": [{**WEEKEND, "override": "releaser"}]}
    assert "unknown-role" in codes(go_on(after, {"team.yaml": doc("Space", "team", asks)}))
