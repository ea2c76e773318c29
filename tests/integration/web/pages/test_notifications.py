"""What notifiers were told, to whom that is shown, and sending it again."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from reconciler.core.runs import Run
from reconciler.runs.audit import about_delivery
from reconciler.store.sql import SqlStore
from tests.factories import NOW, later
from tests.integration.web.pages.fleet import CANARY, put_fleet
from tests.integration.web.pages.person import Person
from tests.integration.web.pages.test_pages import check_markup


@pytest.fixture
def runs(store: SqlStore) -> dict[str, Run]:
    """What failed was told, what waits cannot be told any more as it was, and of root nobody else knows."""
    runs = put_fleet(store)
    with store.writing() as transaction:
        transaction.append_audit(
            [
                about_delivery(runs["failed"], "production/hook", "run.failed", CANARY, NOW),
                about_delivery(runs["waiting"], "production/hook", "run.finished", None, NOW),
                about_delivery(runs["secret"], "root/hook", "run.waiting", None, NOW),
                about_delivery(None, "production/other", "held", None, NOW),
            ]
        )
    return runs


def test_deliveries_are_shown_and_sent_again(
    as_user: Callable[[str], Person], operator: Person, runs: dict[str, Run], store: SqlStore
) -> None:
    wanda = as_user("wanda")
    page = wanda.see("/notifications")
    check_markup(page)
    assert f"run.failed production/ base given up {CANARY}" in page.text
    assert "root/" not in page.text
    assert "root/ hook" in operator.see("/notifications").text
    assert "No notifier was told" in as_user("nobody").see("/notifications").text
    assert ["/notifications" in as_user(name).see("/").links for name in ("rita", "nobody")] == [True, False]
    given_up = wanda.see("/notifications?failed=true&notifier=production/hook")
    (resend,) = (action for action in given_up.forms if action.endswith("/resend"))
    assert not [action for action in as_user("rita").see("/notifications").forms if action.endswith("/resend")]

    assert wanda.press(given_up, resend).status == 303
    with store.reading() as reading:
        (entry,) = reading.deliveries(later(1), 9)
    assert (entry.receiver, entry.run.id) == ("production/hook", runs["failed"].id)
    assert "waiting" in wanda.see("/notifications").text
    assert wanda.see("/audit").status == 404
    assert "notification-resent wanda" in operator.see("/audit?event=notification-resent").text
    # What is not so any more is not told as if it were.
    numbers = [int(action.split("/")[2]) for action in page.forms if action.endswith("/resend")]
    other = next(f"/notifications/{number}/resend" for number in numbers if f"/{number}/" not in resend)
    refused = wanda.press(page, other)
    assert (refused.status, "has gone on since" in refused.text) == (409, True)
    rita = as_user("rita")
    own = {"form_token": rita.see("/").forms["/sign-out"]["form_token"]}
    assert [rita.submit(action, own).status for action in (resend, "/notifications/0/resend")] == [404, 404]
