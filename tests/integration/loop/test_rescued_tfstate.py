"""A tfstate that its backend does not take is never lost."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from reconciler.core.runs import RunStatus
from tests.e2e.station import Repo, document
from tests.integration.loop.machine import Machine
from tests.needs import needs


class Deaf(BaseHTTPRequestHandler):
    """A backend that has no tfstate and takes none."""

    def do_GET(self) -> None:
        self._answer(404)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self._answer(403)

    def _answer(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def backend() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Deaf)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()
    thread.join()


@needs("tofu")
def test_it_stays_with_the_run_and_the_next_one_waits_for_a_person(repo: Repo, machine: Machine, backend: str) -> None:
    code = (
        f'terraform {{\n  backend "http" {{\n    address = "{backend}"\n  }}\n}}\nresource "terraform_data" "a" {{}}\n'
    )
    repo.commit({"a/main.tf": code, "a.yaml": document("Stack", "a", {"tool": "opentofu", "source": {"path": "./a"}})})
    (run,) = machine.reconcile().runs
    assert run.status is RunStatus.INTERRUPTED, machine.log(run)
    kept = machine.settings.data_dir.absolute() / "runs" / run.id / "errored.tfstate"
    assert str(kept) in run.message
    assert kept.stat().st_mode & 0o077 == 0
    assert [it["type"] for it in json.loads(kept.read_bytes())["resources"]] == ["terraform_data"]
    machine.retry("root/a", RunStatus.INTERRUPTED)
    assert machine.reconcile().ran == {"root/a": "unconfirmed"}
