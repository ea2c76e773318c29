"""`station serve`: what it does in which order."""

from __future__ import annotations

import signal
import socket
from pathlib import Path

import pytest

from reconciler.cli.main import main
from reconciler.loop.service import Loop
from tests.e2e.station import a_free_port


def test_nobody_is_answered_before_it_is_known_what_is_at_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that asks about its leg too early would be told that it is over, and would stop its tool."""
    port, answered = a_free_port(), []

    def answers() -> bool:
        with socket.socket() as client:
            return client.connect_ex(("127.0.0.1", port)) == 0

    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.setattr(Loop, "recover", lambda _: answered.append(answers()))
    monkeypatch.setattr(Loop, "run", lambda _: answered.append(answers()))
    settings = {"CONFIG_URL": f"file://{tmp_path}/none.git", "DATA_DIR": str(tmp_path / "data")}
    for name, value in (settings | {"LISTEN": f"127.0.0.1:{port}", "REQUIRE_SANDBOX": "false"}).items():
        monkeypatch.setenv(f"STATION_{name}", value)
    assert main(["serve"]) == 0
    assert answered == [False, True]
