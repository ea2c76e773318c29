from __future__ import annotations

import itertools

import pytest

from reconciler.core.runs import (
    ACTIVE,
    AT_WORK,
    TRANSITIONS,
    RunEvent,
    RunKind,
    RunStatus,
    TransitionRefused,
    status_after,
)
from tests.factories import a_run

# Written out once more, and by hand: status -> event -> status, as the contract tells it.
ALLOWED = {
    "queued": {
        "be let through a freeze window": "queued",
        "be claimed": "planning",
        "be prioritized": "queued",
        "be canceled": "canceled",
        "be superseded": "superseded",
    },
    "planning": {
        "be let through a freeze window": "planning",
        "be prepared": "planning",
        "find nothing to do": "finished",
        "end as a proposal": "finished",
        "end as a drift check": "finished",
        "wait for a person": "unconfirmed",
        "go on to apply": "applying",
        "be asked to stop": "planning",
        "fail": "failed",
        "be canceled": "canceled",
        "be superseded": "superseded",
    },
    "unconfirmed": {
        "be let through a freeze window": "unconfirmed",
        "be reviewed": "unconfirmed",
        "be confirmed": "unconfirmed",
        "wait for a person": "unconfirmed",
        "go on to apply": "applying",
        "be discarded": "discarded",
        "be superseded": "superseded",
    },
    "applying": {
        "be asked to stop": "applying",
        "succeed": "finished",
        "fail": "failed",
        "be interrupted": "interrupted",
    },
}


@pytest.mark.parametrize(
    ("status", "event"), [pytest.param(s, e, id=f"{s}-{e}") for s, e in itertools.product(RunStatus, RunEvent)]
)
def test_every_status_knows_what_each_event_does_to_it(status: RunStatus, event: RunEvent) -> None:
    expected = ALLOWED.get(status, {}).get(event)
    if expected is None:
        with pytest.raises(TransitionRefused, match=rf"^a run that is {status} cannot {event}$"):
            status_after(status, event)
    else:
        assert status_after(status, event) == expected


def test_what_has_ended_never_goes_on() -> None:
    ended = set(RunStatus) - ACTIVE
    assert {status for status, _ in TRANSITIONS} == {None, *ACTIVE}
    assert {status for status in RunStatus if any(to is status for to in TRANSITIONS.values())} >= ended


def test_every_event_leads_somewhere() -> None:
    assert {event for _, event in TRANSITIONS} == set(RunEvent)


def test_an_apply_is_never_canceled_or_superseded_only_stopped() -> None:
    ways = {event for status, event in TRANSITIONS if status is RunStatus.APPLYING}
    assert ways == {RunEvent.STOP, RunEvent.SUCCEED, RunEvent.FAIL, RunEvent.INTERRUPT}


def test_only_a_plan_that_goes_on_leads_to_apply() -> None:
    ways = {key for key, to in TRANSITIONS.items() if to is RunStatus.APPLYING and key[0] is not to}
    assert ways == {(RunStatus.PLANNING, RunEvent.PROCEED), (RunStatus.UNCONFIRMED, RunEvent.PROCEED)}


def test_a_run_begins_by_being_queued_and_no_other_way() -> None:
    assert status_after(None, RunEvent.QUEUE) is RunStatus.QUEUED
    with pytest.raises(TransitionRefused, match=r"^a run that does not exist cannot be claimed$"):
        status_after(None, RunEvent.CLAIM)


@pytest.mark.parametrize("status", RunStatus)
def test_active_and_at_work(status: RunStatus) -> None:
    assert a_run(status=status).is_active is (status in ACTIVE)
    assert AT_WORK <= ACTIVE


@pytest.mark.parametrize(
    ("kind", "writing", "leads"),
    [
        ("tracked", True, True),
        ("destroy", True, True),
        ("task", True, True),
        ("proposed", False, True),
        ("drift", False, False),
    ],
)
def test_which_kinds_may_change_the_world(*, kind: str, writing: bool, leads: bool) -> None:
    run = a_run(kind=RunKind(kind))
    assert (run.is_writing, run.leads) == (writing, leads)
