"""A Vault of the tests' own on loopback: a JWT auth method that checks tokens for real, and a key/value store."""

from __future__ import annotations

import json
import secrets
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from tests.tools.sts import Refused, Sts


@dataclass
class Vault:
    """`roles` are patterns of subjects by name, `stored` values by path, and `readers` who may read a path."""

    sts: Sts
    roles: dict[str, str]
    stored: dict[str, Any]
    readers: dict[str, set[str]]
    elsewhere: str | None = None
    """Redirects everybody there."""
    pause: float = 0.0
    drops: float = 0.0
    """Seconds between headers, of which there is no end."""
    live: dict[str, str] = field(default_factory=dict)
    """Tokens that were given out and not revoked, with their roles."""
    given: int = 0

    def __enter__(self) -> Self:
        vault = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._answer(None)

            def do_POST(self) -> None:
                self._answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

            def _answer(self, body: Any) -> None:
                time.sleep(vault.pause)
                if vault.elsewhere is not None:
                    self.send_response(307)
                    self.send_header("Location", vault.elsewhere + self.path)
                    self.end_headers()
                    return
                status, answer = vault.answer(self.path, self.headers.get("X-Vault-Token", ""), body)
                text = json.dumps(answer).encode()
                if vault.drops:
                    self._drop()
                    return
                self.send_response(status)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def _drop(self) -> None:
                with suppress(OSError):
                    self.wfile.write(b"HTTP/1.1 200 OK\r\n")
                    while vault.drops:
                        self.wfile.write(b"X-More: to come\r\n")
                        time.sleep(vault.drops)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.drops = 0.0
        self._server.shutdown()
        self._server.server_close()

    def answer(self, path: str, token: str, body: Any) -> tuple[int, dict[str, Any]]:
        if path == "/v1/auth/jwt/login":
            try:
                subject = self.sts.check(body["jwt"], self.address)["sub"]
            except Refused as refused:
                return 400, {"errors": [str(refused)]}
            if not fnmatchcase(subject, self.roles.get(body["role"], "nobody")):
                return 403, {"errors": [f"{subject} may not have the role {body['role']}"]}
            name = f"hvs.{secrets.token_hex(12)}"
            self.live[name] = body["role"]
            self.given += 1
            return 200, {"auth": {"client_token": name}}
        role = self.live.get(token)
        if path == "/v1/auth/token/revoke-self":
            self.live.pop(token, None)
            return 200, {}
        where = path.removeprefix("/v1/")
        if role is None or role not in self.readers.get(where, set()):
            return 403, {"errors": ["permission denied"]}
        return 200, {"data": self.stored[where]}
