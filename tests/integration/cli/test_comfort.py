"""What makes the command line comfortable: logins, requests to the API, completion, lists that are watched."""

from __future__ import annotations

import io
import json
import stat
import time
from pathlib import Path

import click
import pytest

from reconciler.cli.kept_tokens import kept_token
from reconciler.cli.main import station as root
from reconciler.core.runs import RunStatus
from reconciler.store.sql import SqlStore
from reconciler.web.server import HttpServer
from tests.factories import a_run, a_stack
from tests.integration.cli.conftest import Result, Station
from tests.integration.web.client import OPERATOR_TOKEN


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path / "config" / "stationkeeper"


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{OPERATOR_TOKEN}\n"))


@pytest.mark.usefixtures("typed")
def test_a_login_is_kept_for_its_service_alone_and_forgotten(station: Station, server: HttpServer, home: Path) -> None:
    said = station("login", server.url)
    assert (said.code, said.out.splitlines()[0]) == (
        0,
        f"signed in as operator; the token is in {home / 'tokens.json'}",
    )
    assert stat.S_IMODE((home / "tokens.json").stat().st_mode) == 0o600
    assert station("stacks", "--url", server.url).code == 0
    for other in ("http://127.0.0.1:1", server.url.replace("http", "https"), "http://example.com"):
        assert kept_token(other) is None
    assert station("logout", server.url).code == 0
    assert "station login" in station("stacks", "--url", server.url).err


@pytest.mark.usefixtures("typed")
def test_a_file_that_others_can_read_is_refused(station: Station, server: HttpServer, home: Path) -> None:
    station("login", server.url)
    (home / "tokens.json").chmod(0o644)
    refused = station("stacks", "--url", server.url)
    assert (refused.code, "can be read by others" in refused.err, OPERATOR_TOKEN in refused.err) == (1, True, False)


def test_a_token_that_opens_nothing_is_not_kept(
    station: Station, server: HttpServer, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("hunter2\n"))
    refused = station("login", server.url)
    assert (refused.code, "hunter2" in refused.err, home.exists()) == (1, False, False)


@pytest.fixture
def web(store: SqlStore) -> str:
    run = a_run("production/web", status=RunStatus.FINISHED)
    with store.writing() as transaction:
        transaction.put_stacks([a_stack("production/web"), a_stack("platform/db")])
        transaction.add_runs([run])
    return run.id


def test_any_path_of_the_api_can_be_asked_for(remote: Station, web: str) -> None:
    def names(answer: Result) -> list[str]:
        return [each["name"] for each in json.loads(answer.out)["items"]]

    assert names(remote("api", "GET", "/stacks?q=web&limit=5")) == ["web"]
    assert names(remote("api", "get", "/api/v1/stacks")) == ["db", "web"]
    assert json.loads(remote("api", "POST", "/stacks/production/web/suspend").out)["suspended"] is True
    assert remote("api", "GET", "/stacks?colour=red").err.startswith("error: colour:")
    assert "is not a path of the API" in remote("api", "GET", "https://evil.example/stacks").err


def completed(words: str, incomplete: str) -> list[str]:
    from click.shell_completion import ShellComplete

    shell = ShellComplete(root, {}, "station", "_STATION_COMPLETE")
    return [it.value for it in shell.get_completions(words.split(), incomplete)]


@pytest.mark.usefixtures("remote")
def test_commands_stacks_and_runs_are_completed(web: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert completed("", "st") == ["status", "stacks", "stack"]
    for command in ("stack get", "explain", "drift accept"):
        assert completed(command, "") == ["platform/db", "production/web"]
    assert completed("stack run", "we") == ["web"]
    assert completed("run logs", web[:4]) == [web]
    monkeypatch.setenv("STATION_TOKEN", "wrong")
    assert completed("stack get", "") == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_get_the_code_for_it(station: Station, shell: str) -> None:
    assert "_STATION_COMPLETE" in station("completion", shell).out


def test_a_watched_list_is_printed_again_when_it_changes(
    remote: Station, web: str, store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[float] = []

    def sleep(seconds: float) -> None:
        looks.append(seconds)
        if len(looks) == 2:
            with store.writing() as transaction:
                transaction.put_stacks([a_stack("production/new")])
        if len(looks) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", sleep)
    monkeypatch.setattr(click, "clear", lambda: click.echo("--"))
    watched = remote("stacks", "--watch")
    first, second = watched.out.split("--\n")
    assert (watched.code, "production/new" in first, "production/new" in second) == (130, False, True)
    assert "--watch is for tables" in remote("runs", "--watch", "-o", "json").err
