"""Whom a command asks that names only a data directory: the service that runs on it, or the API in its own process."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from reconciler.cli.errors import CliError
from reconciler.cli.transports import Local
from reconciler.runner.tfstate.door import NAME, listen
from reconciler.settings import Settings
from reconciler.store.sql import SqlStore
from reconciler.web.app import create_app
from reconciler.web.ports import Ports
from reconciler.web.server import HttpServer
from tests.factories import a_stack
from tests.integration.cli.conftest import Station
from tests.integration.cli.test_local import HEAVY
from tests.integration.web.client import OPERATOR_TOKEN

EACH = "import sys; from reconciler.cli.main import main; print([main(line.split()) for line in sys.argv[1:]])"


@pytest.fixture
def directory(tmp_path: Path, store: SqlStore, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data directory with an empty database, whose service has one stack: so each answer tells whose it is."""
    with store.writing() as transaction:
        transaction.put_stacks([a_stack("production/served")])
    directory = tmp_path / "data"
    directory.mkdir()
    (directory / "token").write_text(OPERATOR_TOKEN + "\n")
    monkeypatch.setenv("STATION_DATA_DIR", str(directory))
    return directory


@pytest.fixture
def service(directory: Path, ports: Ports) -> Iterator[HttpServer]:
    with HttpServer(create_app(ports, pages=False), doors=[listen(directory)]) as server:
        yield server


@pytest.mark.usefixtures("service")
def test_a_command_that_a_service_answers_imports_nothing_of_a_service() -> None:
    program = f"{EACH}; print([name for name in {HEAVY!r} if name in sys.modules])"
    commands = ["stacks", "status", "runs", "held list", "resources", "stack get production/served"]
    command = [sys.executable, "-c", program, *commands]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "production/served" in done.stdout
    assert done.stdout.splitlines()[-2:] == [str([0] * len(commands)), "[]"]

    typed = {"_STATION_COMPLETE": "bash_complete", "COMP_WORDS": "station stack get prod", "COMP_CWORD": "3"}
    done = subprocess.run(
        [sys.executable, "-m", "reconciler"], capture_output=True, text=True, check=True, env={**os.environ, **typed}
    )
    assert done.stdout == "plain,production/served\n"


@pytest.mark.usefixtures("service")
def test_what_is_asked_arrives_as_it_was_written(station: Station) -> None:
    assert "production/served" in station("stacks", "-q", "/served").out
    none = station("stacks", "-q", "ü&limit=0")
    assert (none.code, "served" in none.out) == (0, False)
    assert station("api", "get", "/stacks?q=%2Fserved&label=a=b&label=c=d").out.splitlines()[1] == '  "items": [],'
    assert station("api", "get", "/stacks/production/%73erved").out.splitlines()[1] == '  "id": "production/served",'


def test_a_service_that_knows_nothing_yet_is_not_asked(station: Station, directory: Path, ports: Ports) -> None:
    with HttpServer(create_app(replace(ports, ready=lambda: False), pages=False), doors=[listen(directory)]):
        alone = station("stacks")
        assert (alone.code, "served" in alone.out) == (0, False)


def test_a_socket_that_a_service_left_behind(station: Station, directory: Path) -> None:
    listen(directory).close()
    assert (directory / NAME).is_socket()
    assert station("stacks").code == 0


def test_a_command_goes_on_where_its_service_stops(directory: Path, service: HttpServer) -> None:
    with Local(directory, partial(Settings, data_dir=directory)) as transport:
        assert b"served" in transport.send("GET", "/api/v1/stacks", {}).content
        service.stop()
        assert transport.send("GET", "/api/v1/stacks", {}).json()["items"] == []


def test_a_request_is_not_sent_twice_where_the_service_may_have_done_it(directory: Path) -> None:
    def die_in_the_middle() -> None:
        for answer in (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b""):
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(answer)

    with listen(directory) as listener:
        listener.settimeout(20)
        dying = threading.Thread(target=die_in_the_middle)
        dying.start()
        with (
            Local(directory, partial(Settings, data_dir=directory)) as transport,
            pytest.raises(CliError, match="stopped before it answered"),
        ):
            transport.send("POST", "/api/v1/fetch", {})
        dying.join()
        # Nobody asked a third time.
        listener.settimeout(0)
        with pytest.raises(BlockingIOError):
            listener.accept()


def test_the_data_directory_is_the_one_of_the_settings(station: Station, elsewhere: Path) -> None:
    (elsewhere / "station.toml").write_text("data_dir = 5\n")
    assert station("stacks").err.startswith("error: data_dir (from ")
    (elsewhere / "station.toml").write_text('data_dir = "other"\n')
    assert "no data directory other" in station("stacks").err
