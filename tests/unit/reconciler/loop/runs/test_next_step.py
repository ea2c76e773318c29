"""What the end of a leg means for its run: the table over leg, ending and how things stand."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from reconciler.core.phases import Leg, Phase
from reconciler.core.results import Planned
from reconciler.core.runs import TRANSITIONS, ProposedRef, RunEvent, RunKind, RunStatus
from reconciler.engine.base import Ending, LegReport
from reconciler.loop.runs.next_step import after_leg
from tests.factories import a_fingerprint, a_run

CHANGES, NOTHING = Planned(has_changes=True), Planned(has_changes=False)


def report(leg: Leg, ending: Ending, **changes: Any) -> LegReport:
    phase = Phase.PLAN if leg is Leg.PLAN else Phase.APPLY
    return LegReport("r", 1, leg, ending, changes.pop("reason", "Some"), "words", phase, **changes)


PLANNED = report(Leg.PLAN, Ending.SUCCEEDED, planned=CHANGES)


@pytest.mark.parametrize(
    ("ended", "run", "current", "suspended", "expected"),
    [
        pytest.param(PLANNED, {}, True, False, RunEvent.PROCEED, id="planned"),
        pytest.param(PLANNED, {"needs_confirmation": True}, True, False, RunEvent.AWAIT, id="needs a person"),
        pytest.param(PLANNED, {}, True, True, RunEvent.AWAIT, id="suspended meanwhile"),
        pytest.param(PLANNED, {}, False, False, RunEvent.SUPERSEDE, id="outdated meanwhile"),
        pytest.param(
            PLANNED, {"needs_confirmation": True}, False, False, RunEvent.SUPERSEDE, id="outdated, unconfirmed"
        ),
        pytest.param(PLANNED, {"cancel_requested": True}, True, False, RunEvent.CANCEL, id="canceled too late to stop"),
        pytest.param(
            report(Leg.PLAN, Ending.SUCCEEDED, planned=NOTHING),
            {"needs_confirmation": True},
            True,
            False,
            RunEvent.FOUND_NOTHING,
            id="nothing to do",
        ),
        *(
            pytest.param(
                report(Leg.PLAN, Ending.SUCCEEDED, planned=planned),
                {"kind": RunKind.PROPOSED},
                current,
                False,
                expected,
                id=f"a proposal {words}",
            )
            for planned, current, expected, words in (
                (CHANGES, True, RunEvent.PROPOSE, "with changes"),
                (NOTHING, True, RunEvent.PROPOSE, "without changes"),
                (CHANGES, False, RunEvent.SUPERSEDE, "outdated meanwhile"),
            )
        ),
        pytest.param(
            PLANNED,
            {"kind": RunKind.PROPOSED, "fingerprint": a_fingerprint(policies={"root/p": "1f"})},
            True,
            False,
            RunEvent.FAIL,
            id="a proposal that nobody judged",
        ),
        pytest.param(report(Leg.PLAN, Ending.FAILED), {}, True, False, RunEvent.FAIL, id="plan failed"),
        pytest.param(report(Leg.PLAN, Ending.LOST), {}, True, False, RunEvent.FAIL, id="plan lost"),
        pytest.param(
            report(Leg.PLAN, Ending.INTERRUPTED), {}, True, False, RunEvent.FAIL, id="plan died: nothing was touched"
        ),
        pytest.param(report(Leg.PLAN, Ending.CANCELED), {}, False, False, RunEvent.SUPERSEDE, id="stopped as outdated"),
        pytest.param(
            report(Leg.PLAN, Ending.CANCELED),
            {"cancel_requested": True},
            False,
            False,
            RunEvent.CANCEL,
            id="stopped by a person",
        ),
        pytest.param(
            report(Leg.PLAN, Ending.FAILED, reason="PlanOutdated"),
            {},
            False,
            False,
            RunEvent.SUPERSEDE,
            id="never began: outdated",
        ),
        pytest.param(report(Leg.APPLY, Ending.SUCCEEDED), {}, True, False, RunEvent.SUCCEED, id="applied"),
        pytest.param(
            report(Leg.APPLY, Ending.SUCCEEDED),
            {},
            False,
            False,
            RunEvent.SUCCEED,
            id="applied what is outdated by now",
        ),
        pytest.param(
            report(Leg.APPLY, Ending.SUCCEEDED),
            {"cancel_requested": True},
            True,
            False,
            RunEvent.SUCCEED,
            id="applied all the same",
        ),
        pytest.param(report(Leg.APPLY, Ending.FAILED), {}, True, False, RunEvent.FAIL, id="apply failed"),
        pytest.param(
            report(Leg.APPLY, Ending.CANCELED),
            {"cancel_requested": True},
            True,
            False,
            RunEvent.FAIL,
            id="apply stopped",
        ),
        pytest.param(report(Leg.APPLY, Ending.LOST), {}, True, False, RunEvent.FAIL, id="apply never began"),
        pytest.param(report(Leg.APPLY, Ending.INTERRUPTED), {}, True, False, RunEvent.INTERRUPT, id="apply died"),
    ],
)
def test_what_an_end_means(
    *, ended: LegReport, run: dict[str, Any], current: bool, suspended: bool, expected: RunEvent
) -> None:
    event, _ = after_leg(a_run(**run), ended, current=current, suspended=suspended)
    assert event is expected


def test_a_proposal_says_why_nothing_is_applied() -> None:
    def said(*, held_back: bool = False, **run: Any) -> str:
        proposal = a_run(kind=RunKind.PROPOSED, **run)
        _, changes = after_leg(proposal, PLANNED, current=True, suspended=False, held_back=held_back)
        return str(changes["message"])

    assert said() == "planned only, as requested"
    assert said(held_back=True) == "planned only; a push policy keeps it from applying"
    assert said(proposes=ProposedRef("feature", a_run().revision)) == "planned only, as feature would have it"


def test_no_end_breaks_the_table_of_transitions() -> None:
    for leg, ending, current, canceled, planned in itertools.product(
        Leg, Ending, (False, True), (False, True), (None, CHANGES, NOTHING)
    ):
        status = RunStatus.PLANNING if leg is Leg.PLAN else RunStatus.APPLYING
        run = a_run(cancel_requested=canceled)
        event, _ = after_leg(run, report(leg, ending, planned=planned), current=current, suspended=False)
        assert (status, event) in TRANSITIONS, (leg, ending, current, canceled, planned)
