"""A program without a browser signs in: its person says yes to its code on the page."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from reconciler.metrics import Metrics
from reconciler.store.sql import SqlStore
from reconciler.web import device
from reconciler.web.ports import Ports
from tests.integration.web.client import OPERATOR_TOKEN, Client
from tests.integration.web.pages.person import Person
from tests.integration.web.warm import WarmApp

LOGIN = "/api/v1/login"


@pytest.fixture
def app(ports: Ports) -> WarmApp:
    return WarmApp(replace(ports, metrics=Metrics()))


@pytest.fixture
def program(app: WarmApp) -> Iterator[Client]:
    with Client(app, token=None) as program:
        yield program


def test_a_program_signs_in_as_whoever_says_yes(
    app: WarmApp, program: Client, token_of: Callable[[str], str], store: SqlStore
) -> None:
    asked = program.post(LOGIN, json={"client": "station on <b>laptop</b>"}).json()
    assert program.post(f"{LOGIN}/token", json={"secret": asked["code"]}).status_code == 404, "a code opens nothing"
    answer = program.post(f"{LOGIN}/token", json={"secret": asked["secret"]})
    assert (answer.status_code, answer.json()["reason"]) == (409, "LoginPending")
    with Person(app, token_of("rita")) as rita, Person(app, token_of("otto")) as otto:
        typed = asked["code"].lower().replace("-", " ")
        page = rita.see(f"/device?code={typed}")
        assert "station on <b>laptop</b> wants to sign in as you" in page.text
        stale = otto.see(asked["path"])
        assert rita.submit("/device", {"code": asked["code"]}).status == 403, "a form of another site"
        assert "is signed in as you" in rita.press(page, "/device").text
        assert "No program waits" in otto.press(stale, "/device").text, "it is somebody else's by now"
        made = program.post(f"{LOGIN}/token", json={"secret": asked["secret"]}).json()
        assert made["subject"] == "user:rita"
        assert program.post(f"{LOGIN}/token", json={"secret": asked["secret"]}).status_code == 404
    own = {"Authorization": f"Bearer {made['token']}"}
    assert program.request("GET", "/api/v1/stacks", headers=own).status_code == 200
    (mine,) = (each for each in _tokens(program, own) if each["id"] == made["id"])
    assert mine["name"] == "station on <b>laptop</b>"
    assert mine["usedAt"] is not None
    behind = next(each for each in _tokens(program, own) if each["id"] != made["id"])
    assert program.request("DELETE", f"/api/v1/tokens/{behind['id']}", headers=own).status_code == 200
    assert program.request("GET", "/api/v1/stacks", headers=own).status_code == 401, (
        "it ends with the sign-in behind it"
    )
    with store.reading() as reading:
        assert made["token"] not in str(reading.api_tokens())


def _tokens(program: Client, own: dict[str, str]) -> list[dict[str, str]]:
    return program.request("GET", "/api/v1/tokens", headers=own).json()["items"]


def test_nobody_signs_a_program_in_as_the_operator_or_too_late(
    app: WarmApp, ports: Ports, program: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = program.post(LOGIN, json={"client": "x"}).json()
    with Person(app, OPERATOR_TOKEN) as operator:
        page = operator.see(asked["path"])
        assert "a program cannot sign in as the operator" in page.text
        assert "/device" not in page.forms
    monkeypatch.setattr(device, "MOST", 1)
    assert program.post(LOGIN, json={"client": "x"}).json()["reason"] == "TooManyLogins"
    late = replace(ports, metrics=Metrics(), now=lambda: ports.now() + device.LASTS)
    with Client(WarmApp(late), token=None) as later:
        assert later.post(f"{LOGIN}/token", json={"secret": asked["secret"]}).status_code == 404
        assert later.post(LOGIN, json={"client": "x"}).status_code == 201, "what is too late makes room"
