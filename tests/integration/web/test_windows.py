"""Freeze windows by the API: until when, and who may let a run through."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from reconciler.core.runs import Run, RunStatus
from reconciler.core.state import Sync
from reconciler.store.sql import SqlStore
from spaces.effective.windows import Freeze
from spaces.names import SpaceName
from tests.factories import a_desired, a_run, a_stack
from tests.integration.web.client import Client
from tests.integration.web.test_access import access, as_user, tree  # noqa: F401 - fixtures

NETWORK = "/api/v1/stacks/production/network"


@pytest.fixture
def run() -> Run:
    return a_run("production/network", status=RunStatus.UNCONFIRMED, frozen=True, reason="Frozen")


@pytest.fixture
def freeze(store: SqlStore, run: Run) -> Callable[..., None]:
    """Let windows be open over the stack from 11:00 to 13:00; now it is 12:00."""

    def put(*windows: tuple[str, str | None]) -> None:
        freezes = tuple(Freeze(SpaceName(space), "0 11 * * *", "UTC", 7200, role) for space, role in windows)
        with store.writing() as transaction:
            transaction.put_stacks([a_stack(run.stack, sync=Sync.OUT_OF_SYNC, desired=a_desired(freezes=freezes))])
            transaction.add_runs([run])

    return put


def test_a_stack_says_until_when_and_a_space_above_is_not_named_to_who_does_not_see_it(
    as_user: Callable[..., Client],  # noqa: F811
    freeze: Callable[..., None],
) -> None:
    freeze(("production", "admin"), ("root", None))
    windows = as_user("rita").get(NETWORK).json()["frozen"]
    assert windows["until"] == "2026-03-01T13:00:00Z"
    assert [window["override"] for window in windows["windows"]] == ["admin", None]
    assert [window["space"] for window in windows["windows"]] == ["production", "root"]


def test_only_who_holds_the_role_of_each_window_lets_a_run_through(
    as_user: Callable[..., Client],  # noqa: F811
    freeze: Callable[..., None],
    run: Run,
    store: SqlStore,
) -> None:
    freeze(("production", "writer"))
    through = f"/api/v1/runs/{run.id}/through"
    assert as_user("rita").post(through).status_code == 404
    refused = as_user("otto").post(through)
    assert (refused.status_code, refused.json()["reason"]) == (409, "Frozen")
    assert "only who holds the role writer in production lets a run through" in refused.json()["detail"]
    # The role above counts as well, and the audit says what it rests on.
    assert as_user("adele").post(through).json()["through"] == "user:adele"
    with store.reading() as reading:
        (row,) = [it.event for it in reading.audit(0, 10)]
    assert (row.event, row.person) == ("run-let-through", "user:adele")
    assert str(row.details["because"]).startswith("admin in ")


@pytest.mark.parametrize(
    "windows",
    [[("root", "operator")], [("production", None)], [("production", "operator"), ("root", "admin")]],
    ids=["held below only", "nobody", "one of two"],
)
def test_a_role_below_the_window_is_not_enough(
    as_user: Callable[..., Client],  # noqa: F811
    freeze: Callable[..., None],
    run: Run,
    windows: list[tuple[str, str | None]],
) -> None:
    freeze(*windows)
    assert as_user("otto").post(f"/api/v1/runs/{run.id}/through").status_code == 409
