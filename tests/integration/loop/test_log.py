"""What the service's log says of the configuration: one line for each thing that somebody asks for later."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable

import pytest

from reconciler import operations
from reconciler.loop.service import utc_now
from tests.e2e.station import Repo, a_script, document
from tests.integration.loop.access import Signed, waiting
from tests.integration.loop.machine import Machine
from tests.needs import needs


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    """Give what was logged since the last time, without the ids of runs and revisions."""
    caplog.set_level(logging.INFO)

    def take() -> list[str]:
        found = [f"{each.levelname} {each.getMessage()}" for each in caplog.records if "reconciler" in each.name]
        caplog.clear()
        return [re.sub(r"\b(run|at|revision|show) [0-9a-z]{12,}", r"\1 ID", line) for line in found]

    return take


@needs("ssh-keygen")
def test_revisions_holds_and_approvals(service: Machine, signed: Signed, said: Callable[[], list[str]]) -> None:
    said()
    signed.commit("bob", {"platform/base.yaml": a_script("base", "echo"), "top.yaml": a_script("top", "true")})
    service.reconcile()
    seen, *told = said()
    assert seen == "INFO revision ID is on branch main"
    held = "create Stack root/top in top.yaml by user:bob: it needs stack:create in root (station held show ID)"
    assert told == [
        "INFO revision ID by user:bob is admitted: update Stack platform/base",
        f"WARNING held at revision ID: {held}",
        "INFO run ID of platform/base: queued: spec: script.apply (by user:bob)",
        "INFO run ID of platform/base: planning: spec: script.apply",
        "INFO run ID of platform/base: applying: spec: script.apply",
        "INFO run ID of platform/base: finished, Applied",
    ]
    (held_change,) = waiting(service)
    operations.approve(service.service.store, held_change, "user:ada", utc_now(), "first admin")
    service.reconcile()
    assert said()[0].startswith("INFO approved by user:ada: create Stack root/top in top.yaml by user:bob")


def test_errors_with_their_place_and_halts_with_what_to_do(
    repo: Repo, machine: Machine, said: Callable[[], list[str]]
) -> None:
    repo.commit({"a.yaml": a_script("a", "true")})
    first = repo.head()
    machine.reconcile()
    assert any("is trusted whole, as the first one: 1 document" in line for line in said())
    repo.commit({"a.yaml": a_script("a", "true", nonsense="\x1b[31m"), "b.yaml": document("X", "b", {})})
    machine.reconcile()
    errors = [line for line in said() if "error:" in line]
    assert len(errors) == 2
    assert all(re.match(r"WARNING [ab]\.yaml:\d+:\d+: error: ", line) for line in errors), errors
    machine.reconcile()
    assert said() == [], "it was said"
    repo.commit({"a.yaml": a_script("a", "true"), "b.yaml": None})
    machine.reconcile()
    assert "INFO 2 errors of the configuration are mended, and none is left" in said()
    repo.git("reset", "-q", "--hard", first)
    repo.commit({"c.yaml": a_script("c", "true")})
    machine.reconcile()
    (halted,) = [line for line in said() if "halted" in line]
    assert halted.startswith("ERROR admission is halted, HistoryRewritten: branch main is at ")
    assert halted.endswith("(push the revision in force back to the branch, alone or merged with what is there)")
    repo.git("reset", "-q", "--hard", "HEAD@{2}")
    machine.reconcile()
    assert "INFO admission is no longer halted" in said()
