"""Passes that fail: what is said of it, and how long the loop waits."""

from __future__ import annotations

import logging
from datetime import datetime

import pytest

from reconciler import repeating
from reconciler.loop import concern
from reconciler.loop.concern import Backoff, Concern, WorkDone
from reconciler.loop.desired.repositories import CannotFollow
from reconciler.store.stored import StoreBusy, StoreError
from tests.factories import NOW

FULL = StoreError("the database /srv/station.db cannot grow: the disk is full", "the database cannot grow")


class Clock:
    now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(repeating, "time", made)
    monkeypatch.setattr(repeating.random, "uniform", lambda _low, _high: 1.0)
    return made


def test_it_waits_ever_longer_but_less_than_half_a_minute(clock: Clock) -> None:
    trouble = Backoff("deciding")
    assert [trouble.meet(FULL) for _ in range(8)] == [1, 2, 4, 8, 16, 27, 27, 27]
    trouble.end()
    assert trouble.meet(FULL) == 1


def test_what_is_not_the_stores_fault_makes_nobody_wait_for_long(clock: Clock) -> None:
    trouble = Backoff("deciding")
    assert [trouble.meet(ValueError("a bug")) for _ in range(8)] == [1] * 8
    assert trouble.meet(FULL) > 1
    assert trouble.meet(CannotFollow("the mirror is gone")) == 1


def test_the_waits_of_services_that_failed_together_differ() -> None:
    waits = {Backoff("deciding").meet(FULL) for _ in range(20)}
    assert len(waits) > 1
    assert all(0.9 <= wait <= 1.1 for wait in waits)


def test_it_is_said_when_it_begins_once_a_minute_and_when_it_is_over(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    trouble = Backoff("deciding")
    for _ in range(125):
        trouble.meet(FULL)
        clock.now += 1
    assert [record.getMessage() for record in caplog.records] == [f"{FULL}; it will be retried"] * 3
    trouble.end()
    trouble.end()
    trouble.meet(FULL)
    assert [record.getMessage() for record in caplog.records[3:]] == [
        "deciding works again, after 125 failures",
        f"{FULL}; it will be retried",
    ]


def test_something_else_is_said_at_once(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    trouble = Backoff("deciding")
    for error in (FULL, CannotFollow("the mirror is gone"), ValueError("a bug"), ValueError("a bug")):
        trouble.meet(error)
    assert [record.getMessage().partition(";")[0] for record in caplog.records] == [
        str(FULL),
        "the mirror is gone",
        "deciding failed",
    ]
    assert caplog.records[2].exc_info


def test_only_a_store_that_fails_makes_the_service_not_ready(clock: Clock) -> None:
    trouble = Backoff("deciding")
    assert trouble.brief is None
    trouble.meet(StoreBusy("the database x on db.example is not available now", "the database is not available now"))
    assert trouble.brief == "the database is not available now"
    trouble.meet(CannotFollow("the mirror is gone"))
    assert trouble.brief is None
    trouble.meet(FULL)
    trouble.end()
    assert trouble.brief is None


def test_a_concern_that_fails_pauses_and_works_again(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(concern, "time", clock)
    steps: list[Exception | WorkDone] = [FULL, WorkDone.UNDER_WAY, FULL, WorkDone.NONE, WorkDone.MADE]
    taken: list[object] = []

    def step(now: datetime) -> WorkDone:
        taken.append(now)
        found = steps.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    made = Concern("deciding", step)
    assert made.attempt(NOW) == (WorkDone.NONE, FULL)
    assert (made.attempt(NOW), len(taken)) == ((WorkDone.NONE, None), 1), "it pauses"
    clock.now += 1
    assert made.attempt(NOW) == (WorkDone.UNDER_WAY, None)
    assert made.backoff.brief == FULL.brief, "nobody knows yet"
    assert made.attempt(NOW) == (WorkDone.NONE, FULL)
    clock.now += 1
    assert (made.attempt(NOW), len(taken)) == ((WorkDone.NONE, None), 3), "it pauses for longer"
    clock.now += 1
    assert made.attempt(NOW) == (WorkDone.NONE, None)
    assert (made.backoff.failing, made.backoff.brief) == (False, None)
    assert made.attempt(NOW) == (WorkDone.MADE, None)


@pytest.mark.parametrize(("error", "tried"), [(FULL, 2), (ValueError("a bug"), 1)], ids=["the store", "a bug"])
def test_only_what_the_store_failed_is_tried_again_when_the_store_works(
    clock: Clock, monkeypatch: pytest.MonkeyPatch, error: Exception, tried: int
) -> None:
    monkeypatch.setattr(concern, "time", clock)
    taken: list[object] = []

    def step(now: datetime) -> WorkDone:
        taken.append(now)
        raise error

    made = Concern("deciding", step)
    made.attempt(NOW)
    made.resume()
    assert made.backoff.brief == getattr(error, "brief", None), "it is well only when it has worked itself"
    made.attempt(NOW)
    assert len(taken) == tried
