from __future__ import annotations

import time
from pathlib import Path

import pytest
from sqlalchemy import select

from rbac.access.access import Access
from rbac.access.grants import AccessDocuments
from rbac.access.subjects import user
from reconciler.store.access_tables import device_logins
from reconciler.store.sql import SqlStore
from reconciler.web import device
from reconciler.web.api.auth import caller_of
from reconciler.web.api_tokens import make_token
from reconciler.web.ports import Ports
from reconciler.web.server import HttpServer
from spaces.documents.tree import SpaceTree
from spaces.model.people import UserSpec
from tests.factories import NOW, later
from tests.integration.cli.conftest import Station


@pytest.fixture
def access(tree: SpaceTree) -> Access:
    return Access.compile(AccessDocuments(users={"rita": UserSpec()}), tree, (), NOW)


def test_a_sign_in_is_confirmed_elsewhere_and_kept_for_this_machine(  # noqa: PLR0917
    station: Station, server: HttpServer, ports: Ports, store: SqlStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STATION_URL", server.url)
    assert "run station login" in station("token", "list").err
    with store.writing() as transaction:
        text, _ = make_token(transaction, user("rita"), "operator", NOW, later(3600))
    waited: list[float] = []

    def confirm(seconds: float) -> None:
        waited.append(seconds)
        caller = caller_of(ports, text)
        with store._engine.connect() as connection:
            code = connection.execute(select(device_logins.c.code)).scalar_one()
        login = device.waiting(ports, code)
        if len(waited) > 1 and login is not None and caller is not None:
            device.confirm(ports, caller, login)

    monkeypatch.setattr(time, "sleep", confirm)
    done = station("login", "--browser")
    assert done.code == 0, done.err
    assert f"Open {server.url}/device?code=" in done.err
    assert "signed in as user:rita" in done.out
    (file,) = (tmp_path / "config").rglob("tokens.json")
    assert file.stat().st_mode & 0o777 == 0o600
    assert waited == [2, 2]
    assert "user:rita" in station("token", "list").out
