"""A `do` of the tests' own, and a tfstate server."""

from __future__ import annotations

import base64
import json
import os
import subprocess
from collections.abc import Callable, Collection, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import parse_qs, urlsplit

from reconciler.tools.base import StepFailed, TfstateBackend


class RecordingDo:
    """Runs commands for real in one directory, with a bare environment, and keeps what they were and printed."""

    def __init__(self, directory: Path, home: Path, extra: Mapping[str, str] | None = None) -> None:
        self.directory = directory
        self.environment = {"PATH": os.environ["PATH"], "HOME": str(home), "TMPDIR": str(home), "LC_ALL": "C.UTF-8"}
        self.environment |= extra or {}
        self.commands: list[tuple[str, ...]] = []
        self.before: Callable[[Sequence[str]], None] | None = None
        """Called with each command before it runs."""
        self.printed = ""

    def __call__(
        self,
        argv: Sequence[str],
        *,
        ok: Collection[int] = (0,),
        env: Mapping[str, str] | None = None,
        stdout: Path | None = None,
        shown: bool = True,
        apart: Path | None = None,
    ) -> int:
        assert apart is None
        self.commands.append(tuple(argv))
        if self.before is not None:
            self.before(argv)
        done = subprocess.run(
            list(argv),
            cwd=self.directory,
            env=self.environment | dict(env or {}),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
        if stdout is None:
            self.printed += done.stdout.decode()
        else:
            stdout.write_bytes(done.stdout)
        self.printed += done.stderr.decode()
        if done.returncode not in ok:
            failed = StepFailed(f"{Path(argv[0]).name} exited with {done.returncode}", done.returncode)
            failed.silent = b"error: " not in (done.stdout or b"") + done.stderr
            raise failed
        return done.returncode


class TfstateServer:
    """Keeps a tfstate for each unit over HTTP with locks and a password, and notes each request's method."""

    def __init__(self, username: str = "run", password: str = "hunter2-of-this-run") -> None:
        self.methods: list[str] = []
        self.tfstates: dict[str, bytes] = {}
        self.locks: dict[str, bytes] = {}
        self.refusals: list[int] = []
        """Statuses that the next reads answer in place of the tfstate."""
        outer = self
        expected = "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()

        class Handler(BaseHTTPRequestHandler):
            def _answer(self, status: int, body: bytes = b"") -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def _handle(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                if self.headers.get("Authorization") != expected:
                    self._answer(401)
                    return
                outer.methods.append(self.command)
                if self.command == "GET" and outer.refusals:
                    self._answer(outer.refusals.pop(0))
                else:
                    unit = parse_qs(urlsplit(self.path).query).get("unit", [""])[0]
                    self._answer(*outer.answer(self.command, body, unit))

            do_GET = do_POST = do_LOCK = do_UNLOCK = _handle  # noqa: N815

            def log_message(self, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        self.backend = TfstateBackend(f"http://127.0.0.1:{self._server.server_port}/tfstate", username, password)

    @property
    def tfstate(self) -> bytes | None:
        return self.tfstates.get("")

    @tfstate.setter
    def tfstate(self, body: bytes | None) -> None:
        self.tfstates = {} if body is None else {"": body}

    @property
    def lock(self) -> bytes | None:
        return self.locks.get("")

    @lock.setter
    def lock(self, body: bytes | None) -> None:
        self.locks = {} if body is None else {"": body}

    def answer(self, method: str, body: bytes, unit: str) -> tuple[int, bytes]:
        """Do what a request asks for."""
        match method:
            case "GET":
                return (404, b"") if unit not in self.tfstates else (200, self.tfstates[unit])
            case "LOCK" if unit in self.locks:
                return 423, self.locks[unit]
            case "LOCK":
                self.locks[unit] = body
            case "UNLOCK":
                self.locks.pop(unit, None)
            case _:
                self.tfstates[unit] = body
        return 200, b""

    def resources(self, unit: str = "") -> list[str]:
        document = json.loads(self.tfstates.get(unit, b"{}"))
        return [f"{entry['type']}.{entry['name']}" for entry in document.get("resources", [])]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
