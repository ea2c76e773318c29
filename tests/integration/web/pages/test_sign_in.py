"""Signing in and out, and what protects a session."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

import pytest

from rbac.access.access import Access
from rbac.access.grants import AccessDocuments
from reconciler.metrics import Metrics
from reconciler.store.access_tables import sessions
from reconciler.store.sql import SqlStore
from reconciler.web.ports import Ports
from reconciler.web.sessions import LASTS
from tests.factories import NOW, later
from tests.integration.web.client import OPERATOR_TOKEN
from tests.integration.web.pages.person import Page, Person
from tests.integration.web.warm import WarmApp

PAGES = ["/", "/stacks", "/stacks/production/network", "/runs", "/held", "/resources", "/access"]


Stranger = Callable[[WarmApp], Person]


@pytest.mark.parametrize("path", PAGES)
def test_nothing_is_shown_without_a_sign_in(app: WarmApp, path: str, stranger: Stranger) -> None:
    answer = stranger(app).see(path)
    assert (answer.status, answer.answer.text) == (303, "")
    assert answer.answer.headers["location"].startswith("/sign-in")
    assert "set-cookie" not in answer.answer.headers


def test_the_cookie_is_for_this_site_only_and_holds_no_token(app: WarmApp, store: SqlStore, stranger: Stranger) -> None:
    person = stranger(app)
    answer = person.submit("/sign-in", {"token": OPERATOR_TOKEN, "next": "/stacks?q=web"}).answer
    cookie = answer.headers["set-cookie"]
    assert answer.headers["location"] == "/stacks?q=web"
    assert OPERATOR_TOKEN not in cookie
    assert all(part in cookie.lower() for part in ("httponly", "samesite=strict", "path=/"))
    assert "secure" not in cookie.lower()
    secret = cookie.partition("=")[2].partition(";")[0]
    with store._engine.connect() as connection:
        rows = str(connection.execute(sessions.select()).all())
    assert secret not in rows
    assert OPERATOR_TOKEN not in rows
    assert person.see("/").status == 200


def test_behind_tls_the_cookie_travels_only_encrypted(app: WarmApp, stranger: Stranger) -> None:
    answer = stranger(app).submit("/sign-in", {"token": OPERATOR_TOKEN}, X_Forwarded_Proto="https").answer
    assert answer.headers["set-cookie"].startswith("__Host-station-session=")
    assert "secure" in answer.headers["set-cookie"].lower()


@pytest.mark.parametrize("token", ["", "wrong", "station_0123456789ab_" + "x" * 43, "ü" * 3000])
def test_a_wrong_token_gives_no_cookie(app: WarmApp, token: str, stranger: Stranger) -> None:
    answer = stranger(app).submit("/sign-in", {"token": token})
    assert (answer.status, "set-cookie" in answer.answer.headers) == (401, False)
    assert "not valid" in answer.text


@pytest.mark.parametrize(
    "there",
    ["https://evil.example", "//evil.example", "/\\evil.example", "javascript:alert(1)", "/\t/evil.example", ""],
)
def test_a_sign_in_leads_nowhere_else(app: WarmApp, there: str, stranger: Stranger) -> None:
    answer = stranger(app).submit("/sign-in", {"token": OPERATOR_TOKEN, "next": there}).answer
    assert answer.headers["location"] == "/"
    assert dict(stranger(app).see("/sign-in", next=there).forms)["/sign-in"]["next"] == "/"


def test_signing_out_ends_the_session_for_good(operator: Person) -> None:
    cookies = dict(operator.client._client.cookies)
    assert operator.press(operator.see("/"), "/sign-out").status == 303
    assert operator.see("/").status == 303
    operator.client._client.cookies.update(cookies)
    assert operator.see("/").status == 303


def test_a_session_ends_with_its_token_and_with_its_person(
    ports: Ports, token_of: Callable[[str], str], store: SqlStore, stranger: Stranger
) -> None:
    times = {"now": NOW}
    app = WarmApp(replace(ports, metrics=Metrics(), now=lambda: times["now"]))

    def signed_in(until: datetime = NOW) -> Person:
        person = stranger(app)
        person.sign_in(token_of("rita"))
        assert person.see("/").status == 200
        times["now"] = until
        return person

    revoked = signed_in()
    with store.writing() as transaction:
        for token in transaction.api_tokens():
            transaction.remove_api_token(token.id)
    assert revoked.see("/").status == 303
    assert signed_in(later(3599)).see("/").status == 200
    times["now"] = NOW
    assert signed_in(later(3601)).see("/").status == 303
    times["now"] = NOW
    person = signed_in()
    left = Access.compile(AccessDocuments(), ports.tree(), (), NOW)
    app._ports = replace(ports, access=lambda: left)
    assert person.see("/").status == 303


def test_the_operators_session_lasts_half_a_day_and_ends_with_another_token(ports: Ports) -> None:
    times = {"now": NOW}
    app = WarmApp(replace(ports, metrics=Metrics(), now=lambda: times["now"]))
    with Person(app) as person:
        times["now"] = NOW + LASTS / 2
        assert person.see("/").status == 200
        app._ports = replace(app._ports, operator_token="another")
        assert person.see("/").status == 303
        app._ports = replace(app._ports, operator_token=OPERATOR_TOKEN)
        times["now"] = NOW + LASTS
        assert person.see("/").status == 303


def test_a_code_signs_in_once(app: WarmApp, ports: Ports, stranger: Stranger) -> None:
    code = ports.codes.make(NOW)
    person = stranger(app)
    page = person.see("/sign-in", code=code)
    assert page.forms["/sign-in"]["code"] == code
    # Looking at the address does not use it up.
    assert person.press(person.see("/sign-in", code=code), "/sign-in").status == 303
    assert "operator" in person.see("/").text
    again = stranger(app).submit("/sign-in", {"code": code})
    assert (again.status, "used already" in again.text) == (401, True)
    old = ports.codes.make(later(-3600))
    assert stranger(app).submit("/sign-in", {"code": old}).status == 401


def forged(page: Page) -> bool:
    return page.status == 403 and "not from a page of your session" in page.text


def test_a_form_of_another_session_or_another_site_changes_nothing(
    operator: Person, app: WarmApp, stranger: Stranger
) -> None:
    with Person(app) as other:
        foreign = other.see("/").forms["/sign-out"]
    assert forged(operator.submit("/sign-out", {}))
    assert forged(operator.submit("/sign-out", foreign))
    own = operator.see("/").forms["/sign-out"]
    assert forged(operator.submit("/sign-out", own, Sec_Fetch_Site="cross-site"))
    assert forged(stranger(app).submit("/sign-in", {"token": OPERATOR_TOKEN}, Sec_Fetch_Site="same-site"))
    assert operator.see("/").status == 200


def test_a_link_on_another_site_arrives_by_a_page_of_this_one(app: WarmApp, stranger: Stranger) -> None:
    answer = stranger(app).client.request("GET", "/runs?status=failed", headers={"Sec-Fetch-Site": "cross-site"})
    assert (answer.status_code, "set-cookie" in answer.headers) == (200, False)
    assert Page(answer).links == ["/runs?status=failed"]


def test_a_part_of_a_page_leads_the_whole_page_to_the_sign_in(app: WarmApp, stranger: Stranger) -> None:
    answer = stranger(app).client.request("GET", "/?part=body", headers={"HX-Request": "true"})
    assert (answer.status_code, answer.headers["hx-redirect"]) == (401, "/sign-in")
