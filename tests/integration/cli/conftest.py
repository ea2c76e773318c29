from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from reconciler.cli.main import main
from reconciler.web.server import HttpServer
from tests.integration.web import conftest as web
from tests.integration.web.client import OPERATOR_TOKEN
from tests.integration.web.warm import WarmApp

blank_database = web.blank_database
store = web.store
tree = web.tree
access = web.access
woken = web.woken
ports = web.ports
app = web.app


class Stage:
    """The app that the one server of all tests shows now: starting and stopping one takes 0.2 s."""

    app: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)


@pytest.fixture(scope="session")
def stage() -> Iterator[tuple[Stage, HttpServer]]:
    stage = Stage()
    with HttpServer(stage) as server:
        yield stage, server


@pytest.fixture
def server(stage: tuple[Stage, HttpServer], app: WarmApp) -> HttpServer:
    stage[0].app = app
    return stage[1]


@dataclass(frozen=True)
class Result:
    code: int
    out: str
    err: str


Station = Callable[..., Result]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory and an environment in which nothing of this machine's is found."""
    directory = tmp_path / "here"
    directory.mkdir()
    monkeypatch.chdir(directory)
    for name in ("STATION_URL", "STATION_TOKEN", "STATION_DATA_DIR", "STATION_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return directory


@pytest.fixture
def station(capsys: pytest.CaptureFixture[str]) -> Station:
    """Run a command in this process."""

    def run(*arguments: Any) -> Result:
        code = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Result(code, captured.out, captured.err)

    return run


@pytest.fixture
def remote(station: Station, server: HttpServer, monkeypatch: pytest.MonkeyPatch) -> Station:
    """Run a command against a real server."""
    monkeypatch.setenv("STATION_URL", server.url)
    monkeypatch.setenv("STATION_TOKEN", OPERATOR_TOKEN)
    return station
