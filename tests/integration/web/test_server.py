from __future__ import annotations

import gc
import logging
import socket
import threading
import warnings
from urllib.parse import urlsplit

import httpx
import pytest
from starlette.applications import Starlette

from reconciler.web.app import create_app
from reconciler.web.ports import Ports
from reconciler.web.server import HttpServer, ListenError
from tests.integration.web.client import OPERATOR_TOKEN
from tests.integration.web.warm import WarmApp


def test_whoever_connects_while_it_stops_is_not_left_open(monkeypatch: pytest.MonkeyPatch) -> None:
    left = []
    monkeypatch.setattr("sys.unraisablehook", left.append)
    with HttpServer(Starlette()) as server, socket.socket() as client:
        client.connect(("127.0.0.1", urlsplit(server.url).port))
    with warnings.catch_warnings(action="error", category=ResourceWarning):
        gc.collect()
    assert not left


def test_the_server_tells_its_port_and_lets_it_go(app: WarmApp, caplog: pytest.LogCaptureFixture) -> None:
    before = set(threading.enumerate())
    with caplog.at_level(logging.INFO):
        with HttpServer(app) as server:
            url = server.url
            with httpx.Client(headers={"Authorization": f"Bearer {OPERATOR_TOKEN}"}) as client:
                assert client.get(f"{url}/api/v1/stacks?q=hunter2").json() == {"items": [], "next": None}
                assert client.get(f"{url}/healthz", headers={"Host": "evil.example"}).status_code == 421
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{url}/healthz")
    port = int(url.rpartition(":")[2])
    with HttpServer(app, port=port) as again:
        assert again.url == url
    assert not [record for record in caplog.records if record.name != "httpx" and "hunter2" in record.getMessage()]
    assert "http" not in [thread.name for thread in set(threading.enumerate()) - before]


def test_a_taken_port_is_an_error_in_words(app: WarmApp) -> None:
    with HttpServer(app) as server, pytest.raises(ListenError, match="in use"):
        HttpServer(app, port=int(server.url.rpartition(":")[2])).start()


@pytest.mark.parametrize("host", ["0.0.0.0", "10.1.2.3", "example.org", "::"])
def test_only_loopback_is_served(app: WarmApp, host: str) -> None:
    with pytest.raises(ListenError, match="loopback"):
        HttpServer(app, host).start()


def test_answers_on_a_kept_connection_are_not_held_back(ports: Ports) -> None:
    """The event loop switches Nagle's algorithm off only for sockets that say that they are TCP's."""
    with HttpServer(create_app(ports)) as server:
        assert server._socket is not None
        assert server._socket.proto == socket.IPPROTO_TCP
