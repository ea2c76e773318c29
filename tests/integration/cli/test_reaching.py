"""How commands find a service, and to whom they send a token."""

from __future__ import annotations

import fcntl
import subprocess
import sys
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.responses import PlainTextResponse

from reconciler.web.server import HttpServer
from tests.integration.cli.conftest import Station
from tests.integration.web.client import OPERATOR_TOKEN

IMPOSTOR = """
import http.server, socket, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        print(self.headers.get("Authorization"), flush=True)
        self.send_error(401)
class Server(http.server.HTTPServer):
    address_family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
server = Server((sys.argv[1], 0), Handler)
print(server.server_port, flush=True)
server.handle_request()
"""


class TestReaching:
    def test_a_wrong_token(self, remote: Station, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("STATION_TOKEN", "hunter2")
        result = remote("stacks")
        assert (result.code, result.out) == (1, "")
        assert "rejected the token" in result.err
        assert "hunter2" not in result.err

    @pytest.mark.parametrize("token", ["hunter2\nmore", "hunter2 more", "h\u00fcnter2"])
    def test_a_token_that_cannot_be_one_is_not_told(
        self, remote: Station, token: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("STATION_TOKEN", token)
        result = remote("stacks")
        assert (result.code, result.out, result.err.count("\n")) == (1, "", 1)
        assert "check STATION_TOKEN" in result.err
        assert "nter2" not in result.err

    def test_no_token(self, station: Station, server: HttpServer) -> None:
        result = station("stacks", "--url", server.url)
        assert result.code == 1
        assert "set STATION_TOKEN" in result.err

    def test_the_token_of_the_data_directory_is_for_the_service_that_holds_it(
        self, station: Station, server: HttpServer, tmp_path: Path
    ) -> None:
        (tmp_path / "token").write_text(OPERATOR_TOKEN)
        result = station("--data-dir", tmp_path, "stacks", "--url", server.url)
        assert result.code == 1
        assert "sent only to the service that is running on this data directory" in result.err
        with (tmp_path / "lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            assert station("--data-dir", tmp_path, "stacks", "--url", server.url).code == 0

    @pytest.mark.parametrize(("address", "host"), [("127.0.0.1", "localhost"), ("::1", "[::1]")])
    def test_it_does_not_go_to_who_listens_in_the_services_place(
        self, station: Station, tmp_path: Path, address: str, host: str
    ) -> None:
        (tmp_path / "token").write_text(OPERATOR_TOKEN)
        with subprocess.Popen([sys.executable, "-c", IMPOSTOR, address], stdout=subprocess.PIPE, text=True) as impostor:
            assert impostor.stdout is not None
            port = impostor.stdout.readline().strip()
            with (tmp_path / "lock").open("a") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                station("--data-dir", tmp_path, "stacks", "--url", f"http://{host}:{port}")
            impostor.terminate()
            assert impostor.stdout.readline() == "None\n"

    def test_a_token_file_that_is_not_there(self, station: Station, server: HttpServer) -> None:
        result = station("stacks", "--url", server.url, "--token-file", "nowhere")
        assert (result.code, result.err) == (1, "error: nowhere: No such file or directory\n")

    @pytest.mark.parametrize("url", ["ftp://x", "localhost:1", "http://", "-x"])
    def test_what_is_not_a_url(self, station: Station, url: str) -> None:
        result = station("stacks", "--url", url)
        assert (result.code, result.err.count("\n")) == (1, 1)
        assert "is not the URL of a service" in result.err

    def test_nobody_there(self, station: Station) -> None:
        result = station("stacks", "--url", "http://user:hunter2@127.0.0.1:1")
        assert result.code == 1
        assert result.err.startswith("error: http://127.0.0.1:1 cannot be reached")
        assert "hunter2" not in result.err

    def test_somebody_elses_service(self, station: Station) -> None:
        other = FastAPI()
        other.add_api_route("/api/v1/stacks", lambda: None)
        with HttpServer(other) as server:
            assert "404 Not Found: check the URL" in station("runs", "--url", server.url).err
            assert "check the URL" in station("stacks", "--url", server.url).err

    def test_a_proxy_that_refuses_in_the_middle_of_a_login(self, station: Station) -> None:
        asked = {"code": "ABCD", "path": "/device", "secret": "it", "interval": 0}
        other = FastAPI()
        other.add_api_route("/api/v1/login", lambda: asked, methods=["POST"])
        other.add_api_route("/api/v1/login/token", lambda: PlainTextResponse("no", 409), methods=["POST"])
        with HttpServer(other) as server:
            assert "409 Conflict: check the URL" in station("login", "--browser", server.url).err

    def test_no_data_directory(self, station: Station, elsewhere: Path) -> None:
        result = station("stacks")
        assert (result.code, result.err.startswith("error: there is no data directory")) == (1, True)
        assert list(elsewhere.iterdir()) == []
