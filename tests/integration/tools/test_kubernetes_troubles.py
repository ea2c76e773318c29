"""An API server that refuses calls because there are too many, or loses an answer, in the middle of an apply."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from reconciler.tools.base import StepFailed
from tests.integration.tools.stand import Stand, stand
from tests.needs import needs
from tests.tools.certificate import a_certificate
from tests.tools.cluster import PROGRAMS

__all__ = ["stand"]

pytestmark = [pytest.mark.xdist_group("kubernetes"), needs(*PROGRAMS)]


class Road:
    """Leads to the API server. `troubles` are what the next real applies of an object meet, by the object's name.

    A status: they are refused with it. `lost`: the server does it, and its answer gets lost.
    """

    def __init__(self, stand: Stand, folder: Path) -> None:
        self.troubles: dict[str, list[Any]] = {}
        self.applied: list[str] = []
        """The objects that the server was asked to apply, in order."""
        road = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _handle(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                name = self.path.partition("?")[0].rpartition("/")[2]
                applies = self.command == "PATCH" and "dryRun" not in self.path
                trouble = road.troubles[name].pop(0) if applies and road.troubles.get(name) else None
                if isinstance(trouble, int):
                    self._answer(trouble, b"slow down", {"Retry-After": "1"} if trouble == 429 else {})
                    return
                if applies:
                    road.applied.append(name)
                passed = {key: self.headers[key] for key in ("Accept", "Content-Type") if key in self.headers}
                asked = stand.client.request(self.command, self.path, content=body, headers=passed)
                if trouble == "lost":
                    self.close_connection = True
                    return
                self._answer(asked.status_code, asked.content, {"Content-Type": asked.headers.get("Content-Type", "")})

            do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = _handle  # noqa: N815 - the base class's names

            def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
                self.send_response(status)
                for key, value in {**headers, "Content-Length": str(len(body))}.items():
                    self.send_header(key, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: object) -> None:
                pass

        certificate, key = a_certificate(folder)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        text = stand.cluster.kubeconfig.read_text()
        text = text.replace(stand.cluster.url, f"https://127.0.0.1:{self.server.server_port}")
        self.kubeconfig = folder / "kubeconfig"
        self.kubeconfig.write_text(text.replace(str(stand.cluster.authority), str(certificate)))


@pytest.fixture
def road(stand: Stand) -> Iterator[Road]:
    it = Road(stand, stand.place.home)
    stand.place.do.environment["KUBECONFIG"] = str(it.kubeconfig)
    thread = Thread(target=it.server.serve_forever, daemon=True)
    thread.start()
    yield it
    it.server.shutdown()
    it.server.server_close()
    thread.join()


def config(name: str) -> str:
    return f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\n"


def test_an_api_that_throttles_and_loses_an_answer_in_the_middle_of_an_apply(stand: Stand, road: Road) -> None:
    stand.write(one=config("one"), three=config("three"), two=config("two"))
    stand.plan()
    # One that says when to come back is asked again, by kubectl. One that gives no answer is not.
    road.troubles = {"one": [429, 429], "three": ["lost"]}
    with pytest.raises(StepFailed, match="kubectl exited with 1"):
        stand.tool.apply(stand.job, stand.place.do)
    assert "EOF" in stand.place.do.printed
    assert road.troubles == {"one": [], "three": []}
    own = [name for name in road.applied if not name.startswith("stationkeeper.")]
    assert len(own) == len(set(own)), "nothing was applied twice"
    assert {"one", "three"} <= set(stand.names())
    assert stand.inventory() == ["ConfigMap/one", "ConfigMap/three", "ConfigMap/two"]
    stand.apply()
    assert stand.names() == ["one", "three", "two"]
    assert not stand.plan().has_changes


def test_an_api_that_goes_on_refusing_is_named_with_its_own_words(stand: Stand, road: Road) -> None:
    stand.write(one=config("one"))
    stand.plan()
    road.troubles = {"one": [503] * 20}
    with pytest.raises(StepFailed):
        stand.tool.apply(stand.job, stand.place.do)
    assert "Error from server (ServiceUnavailable)" in stand.place.do.printed
    road.troubles.clear()
    stand.apply()
    assert stand.names() == ["one"]
