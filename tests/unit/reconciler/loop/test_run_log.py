"""The service's log names where runs begin, wait and end."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from reconciler.core.runs import RunStatus
from reconciler.core.state import Component, Why
from reconciler.runs.audit import log_run
from tests.factories import a_run

WHY = (Why(Component.SPEC, "env TITLE"), Why(Component.SOURCE, "main.tf"))


@pytest.mark.parametrize(
    ("run", "said"),
    [
        (
            {"status": RunStatus.PLANNING, "reason": "Planning", "why": WHY},
            "planning: spec: env TITLE; source: main.tf",
        ),
        (
            {"status": RunStatus.QUEUED, "reason": "Queued", "why": WHY, "person": "user:ada"},
            "queued: spec: env TITLE; source: main.tf (by user:ada)",
        ),
        (
            {"status": RunStatus.QUEUED, "reason": "Queued", "message": "requested by ada", "person": "ada"},
            "queued: requested by ada",
        ),
        ({"status": RunStatus.PLANNING, "reason": "Planning", "why": ()}, "planning: requested"),
        (
            {"status": RunStatus.APPLYING, "reason": "Applying", "why": WHY},
            "applying: spec: env TITLE; source: main.tf",
        ),
        (
            {"status": RunStatus.UNCONFIRMED, "reason": "WaitsForConfirmation", "message": "say yes"},
            "unconfirmed, WaitsForConfirmation: say yes",
        ),
        ({"status": RunStatus.FINISHED, "reason": "Applied", "message": "applied"}, "finished, Applied"),
        ({"status": RunStatus.CANCELED, "reason": "Canceled", "message": ""}, "canceled, Canceled"),
        (
            {"status": RunStatus.FAILED, "reason": "ToolFailed", "message": "ended with exit code 7"},
            "failed, ToolFailed: ended with exit code 7",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_line_says_which_run_how_it_stands_and_why(
    run: dict[str, Any], said: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    made = a_run("shop/web", **run)
    log_run(made)
    assert [record.getMessage() for record in caplog.records] == [f"run {made.id} of shop/web: {said}"]
