from __future__ import annotations

import gc
import socket
import warnings
from urllib.parse import urlsplit

import pytest
from starlette.applications import Starlette

from reconciler.web.server import HttpServer


def test_whoever_connects_while_it_stops_is_not_left_open(monkeypatch: pytest.MonkeyPatch) -> None:
    left = []
    monkeypatch.setattr("sys.unraisablehook", left.append)
    with HttpServer(Starlette()) as server, socket.socket() as client:
        client.connect(("127.0.0.1", urlsplit(server.url).port))
    with warnings.catch_warnings(action="error", category=ResourceWarning):
        gc.collect()
    assert not left
