"""What there is to do, in one question for all who look again and again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict

import pytest

from reconciler.core.runs import RunKind, RunStatus
from reconciler.core.timers import Purpose, Timer
from reconciler.store.protocol import Transaction
from reconciler.store.sql import SqlStore
from reconciler.store.stored import Announcement, AuditEvent
from tests.factories import NOW, a_run, a_stack, a_stack_id, later


def _timer(purpose: str, seconds: float = 0, set_at: float = 0) -> Timer:
    return Timer(a_stack_id("root/a"), purpose, later(seconds), "hourly", later(set_at))


CHANGES: dict[str, tuple[Callable[[Transaction], object], set[str]]] = {
    "nothing": (lambda _: None, set()),
    "a due stack": (lambda to: to.put_stacks([a_stack("root/a", due_at=NOW)]), {"due_stacks"}),
    "a stack that is due later": (lambda to: to.put_stacks([a_stack("root/a", due_at=later(1))]), set()),
    "a task": (lambda to: to.put_timers([_timer(Purpose.TASK)]), {"schedules"}),
    "a timer that was set while the clock was ahead": (
        lambda to: to.put_timers([_timer(Purpose.RUN, 2 * 86400, 86400)]),
        {"schedules"},
    ),
    "a drift check": (lambda to: to.put_timers([_timer(Purpose.DRIFT)]), {"drift"}),
    "a drift check that is due later": (lambda to: to.put_timers([_timer(Purpose.DRIFT, 1)]), set()),
    "a queued run": (lambda to: to.add_runs([a_run("root/a")]), {"queued"}),
    "a check at work": (
        lambda to: to.add_runs([a_run("root/a", kind=RunKind.DRIFT, status=RunStatus.PLANNING)]),
        {"looking", "at_work"},
    ),
    "a run that ended": (lambda to: to.add_runs([a_run("root/a", status=RunStatus.FINISHED)]), set()),
    "a notice": (
        lambda to: (to.add_runs([it := a_run("root/a", status=RunStatus.FINISHED)]), to.add_to_outbox([it], NOW)),
        {"notices"},
    ),
    "an announcement": (
        lambda to: to.add_announcements([Announcement("1", "root/it", {}, NOW, 0)]),
        {"announcements"},
    ),
    "a row of the audit": (lambda to: to.append_audit([AuditEvent("x", NOW, None, {})]), {"audit"}),
}


@pytest.mark.parametrize("what", CHANGES)
def test_each_kind_of_work_is_seen_and_no_other(store: SqlStore, what: str) -> None:
    change, expected = CHANGES[what]
    with store.writing() as transaction:
        change(transaction)
    with store.glance() as reading:
        found = asdict(reading.to_do(NOW))
    assert {name for name, there in found.items() if there} == expected
