"""A terraform stack of 100 resources, from nothing to Synced, against the bare commands in such a directory.

Both keep the tfstate behind HTTP, with locks: a file of the tool's own is cheaper for one of the tools and dearer for
another, and says nothing about either.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

from bench.contest import Peer
from bench.contest import measure as contest
from bench.harness import Figure

ROUNDS = 7
CODE = """\
resource "terraform_data" "item" {
  count = 100
  input = "item ${count.index} of %d"
}

output "first" {
  value = terraform_data.item[0].output
}
"""
ENV = {"TF_CLI_CONFIG_FILE": "/dev/null", "CHECKPOINT_DISABLE": "1", "TF_IN_AUTOMATION": "1"}


def commands(binary: str) -> tuple[tuple[str, ...], ...]:
    """Return the commands that somebody types who does without the service."""
    return (
        (binary, "init", "-input=false", "-no-color"),
        (binary, "plan", "-input=false", "-no-color", "-out=plan"),
        (binary, "show", "-json", "plan"),
        (binary, "apply", "-input=false", "-no-color", "plan"),
    )


class _Handler(BaseHTTPRequestHandler):
    """Keeps a tfstate for each path, and grants every lock."""

    tfstates: ClassVar[dict[str, bytes]] = {}

    def do_GET(self) -> None:
        found = self.tfstates.get(self.path)
        self._answer(200 if found else 404, found or b"")

    def do_POST(self) -> None:
        self.tfstates[self.path.partition("?")[0]] = self.rfile.read(int(self.headers["Content-Length"]))
        self._answer(200)

    def do_LOCK(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", "0")))
        self._answer(200)

    do_UNLOCK = do_LOCK  # noqa: N815 - the base class looks for this name

    def _answer(self, status: int, body: bytes = b"") -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


@contextmanager
def peer(binary: str, tool: str) -> Iterator[Peer]:
    """Yield the contest of a tool. The bare commands keep their tfstate in a server that does nothing else."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()

        def files(number: int) -> dict[str, str]:
            address = f"http://127.0.0.1:{server.server_port}/{number}"
            words = f'address = "{address}"\n    lock_address = "{address}"\n    unlock_address = "{address}"'
            methods = 'update_method = "POST"\n    lock_method = "LOCK"\n    unlock_method = "UNLOCK"'
            backend = f'terraform {{\n  backend "http" {{\n    {words}\n    {methods}\n  }}\n}}\n'
            # Those of the bare commands have the numbers below zero.
            return {"main.tf": CODE % number, **({"backend.tf": backend} if number < 0 else {})}

        try:
            yield Peer(
                f"{tool}, 100 resources",
                tool,
                files,
                lambda _: commands(binary),
                env=ENV,
                against="init, plan, show, apply",
            )
        finally:
            server.shutdown()
            thread.join()


def measure(scratch: Path) -> Iterator[Figure]:
    """Measure terraform."""
    if shutil.which("terraform") is None:
        print("terraform is not installed: skipped")
        return
    with peer("terraform", "terraform") as it:
        yield from contest(scratch, it, ROUNDS)
