"""An identity provider on loopback, as OpenID Connect wants it: it checks codes, PKCE and clients for real.

Whoever comes is signed in as `who` at once. `lies` change what its tokens say, and `key` what they are signed with.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, unquote, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import RSAKey

KEY = RSAKey.generate_key(2048, {"kid": "first"})


@dataclass
class IdentityProvider:
    client_id: str
    client_secret: str
    redirect_uri: str
    who: dict[str, Any]
    lies: dict[str, Any] = field(default_factory=dict)
    header: dict[str, Any] = field(default_factory=dict)
    key: Any = field(default_factory=lambda: KEY)
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    given: list[str] = field(default_factory=list)
    """The tokens that it gave."""

    def __enter__(self) -> Self:
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                path, _, query = self.path.partition("?")
                sent = {name: values[0] for name, values in parse_qs(query).items()}
                if path == "/authorize":
                    self.send_response(302)
                    self.send_header("Location", provider.authorize(sent))
                    self.end_headers()
                    return
                self._answer(200, provider.documents()[path])

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                form = {name: values[0] for name, values in parse_qs(body).items()}
                self._answer(*provider.token(form, self.headers.get("Authorization", "")))

            def _answer(self, status: int, answer: dict[str, Any]) -> None:
                text = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.issuer = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def documents(self) -> dict[str, dict[str, Any]]:
        endpoints = {"authorization_endpoint": "/authorize", "token_endpoint": "/token", "jwks_uri": "/keys"}
        discovery = {name: self.issuer + path for name, path in endpoints.items()} | {"issuer": self.issuer}
        return {"/.well-known/openid-configuration": discovery, "/keys": {"keys": [KEY.as_dict(private=False)]}}

    def authorize(self, sent: dict[str, str]) -> str:
        """Return where a browser is sent that comes with a question."""
        assert (sent["client_id"], sent["redirect_uri"]) == (self.client_id, self.redirect_uri)
        assert (sent["response_type"], sent["code_challenge_method"]) == ("code", "S256")
        code = secrets.token_urlsafe(16)
        self.codes[code] = sent
        answer = {"code": code, "state": sent["state"], "iss": self.issuer, "session_state": "x"}
        return f"{self.redirect_uri}?{urlencode(answer)}"

    def token(self, form: dict[str, str], authorization: str) -> tuple[int, dict[str, Any]]:
        """Exchange a code, once."""
        asked = self.codes.pop(form["code"], None)
        own = base64.b64decode(authorization.removeprefix("Basic ")).decode().split(":")
        challenge = base64.urlsafe_b64encode(hashlib.sha256(form["code_verifier"].encode()).digest()).decode()
        if [unquote(part) for part in own] != [self.client_id, self.client_secret]:
            return 401, {"error": "invalid_client"}
        if asked is None or challenge.rstrip("=") != asked["code_challenge"]:
            return 400, {"error": "invalid_grant", "error_description": "this code is not good"}
        now = int(time.time())
        claims = {"iss": self.issuer, "aud": self.client_id, "sub": "1", "iat": now, "exp": now + 300}
        claims |= {"nonce": asked["nonce"], **self.who}
        claims = {name: value for name, value in (claims | self.lies).items() if value is not None}
        header = {"alg": "RS256", "kid": "first", **self.header}
        text = jwt.encode(header, claims, self.key, algorithms=["RS256", "HS256", "none"])
        self.given.append(text)
        return 200, {"id_token": text, "access_token": "a", "token_type": "Bearer"}


def follow(address: str) -> str:
    """Open an address of the provider's as a browser does, and return the path to which it leads back."""
    import httpx

    back = urlsplit(httpx.get(address, follow_redirects=False).headers["location"])
    return f"{back.path}?{back.query}"
