"""A token service like those of the clouds, on loopback: it checks tokens for real, by the issuer's published keys.

It knows the issuer only by URL. Where the name of that URL does not resolve, `reach` says how to get there. Its checks
use none of the code that makes tokens.
"""

from __future__ import annotations

import base64
import json
import secrets
import threading
import time
import urllib.request
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicNumbers
from cryptography.hazmat.primitives.hashes import SHA256


class Refused(Exception):
    """The token does not open what was asked for."""


@dataclass(frozen=True)
class Opened:
    """Credentials that were given out."""

    identity: str
    claims: dict[str, Any]
    session: str = ""


@dataclass
class Sts:
    """`identities` are those that tokens open: name to (audience, pattern of the subject)."""

    issuer: str
    reach: str
    identities: dict[str, tuple[str, str]]
    ahead: float = 0.0
    """Seconds by which its clock is ahead."""
    service: str = "AKIASERVICE"
    """The id of the service's own keys."""
    opened: dict[str, Opened] = field(default_factory=dict)
    """By the id of the credentials."""

    def __enter__(self) -> Self:
        sts = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                status, kind, answer = sts.answer(self.path, self.headers.get("Authorization", ""), body)
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    # What clouds do

    def check(self, token: str, audience: str) -> dict[str, Any]:
        """Return the claims of a good token."""
        try:
            head, payload, signature = token.split(".")
            header, claims = json.loads(_decoded(head)), json.loads(_decoded(payload))
        except ValueError:
            raise Refused("not a token") from None
        if header.get("alg") != "RS256":
            raise Refused("another algorithm")
        keys = {key["kid"]: key for key in self._fetch(self._discovery()["jwks_uri"])["keys"]}
        key = keys.get(header.get("kid"))
        if key is None:
            raise Refused("an unknown key")
        e, n = (int.from_bytes(_decoded(key[name]), "big") for name in ("e", "n"))
        if n.bit_length() < 2048:
            raise Refused("a short key")
        try:
            public = RSAPublicNumbers(e, n).public_key()
            public.verify(_decoded(signature), f"{head}.{payload}".encode(), PKCS1v15(), SHA256())
        except InvalidSignature:
            raise Refused("a wrong signature") from None
        now = time.time() + self.ahead
        if claims["iss"] != self.issuer or claims["aud"] != audience:
            raise Refused("another issuer or audience")
        if not claims["nbf"] - 60 <= now < claims["exp"]:
            raise Refused("dead, or from the future")
        if len(claims["sub"].encode()) > 127:
            raise Refused("a long subject")
        return claims

    def open(self, identity: str, token: str, session: str = "") -> str:
        """Exchange a token for credentials, and return their id."""
        if identity not in self.identities:
            raise Refused("nobody of that name")
        claims = self.check(token, self.identities[identity][0])
        self._may_become(identity, claims)
        name = "ASIA" + secrets.token_hex(8).upper()
        self.opened[name] = Opened(identity, claims, session)
        return name

    def _discovery(self) -> dict[str, Any]:
        found = self._fetch(f"{self.issuer}/.well-known/openid-configuration")
        if found["issuer"] != self.issuer:
            raise Refused("the issuer says that it is another one")
        return found

    def _fetch(self, url: str) -> dict[str, Any]:
        assert url.startswith(self.issuer)
        host = self.issuer.removeprefix("https://")
        request = urllib.request.Request(self.reach + url.removeprefix(self.issuer), headers={"Host": host})
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)

    # How each of them is asked

    def answer(self, path: str, authorization: str, body: bytes) -> tuple[int, str, bytes]:
        form = {key: values[0] for key, values in parse_qs(body.decode()).items()}
        try:
            if form.get("Action") == "AssumeRole":
                return 200, "text/xml", self._aws_by_service(form, authorization)
            if form.get("Action") == "AssumeRoleWithWebIdentity":
                return 200, "text/xml", self._aws(form)
            return _json(self._azure_or_google(path, authorization, form))
        except Refused as refused:
            if "Action" in form:
                error = f"<Error><Code>AccessDenied</Code><Message>{refused}</Message></Error>"
                return 403, "text/xml", f"<ErrorResponse>{error}</ErrorResponse>".encode()
            return _json({"error": "access_denied", "error_description": str(refused)}, 403)

    def _azure_or_google(self, path: str, authorization: str, form: dict[str, str]) -> dict[str, Any]:
        if path.endswith("/oauth2/v2.0/token"):
            name = self.open(form["client_id"], form["client_assertion"])
            return {"access_token": name, "expires_in": 3600, "token_type": "Bearer"}
        if path == "/v1/token":
            name = self.open(form["audience"], form["subject_token"])
            kind = "urn:ietf:params:oauth:token-type:access_token"
            return {"access_token": name, "issued_token_type": kind, "token_type": "Bearer", "expires_in": 3600}
        account = path.rpartition("/")[2].removesuffix(":generateAccessToken")
        claims = self.opened[authorization.removeprefix("Bearer ")].claims
        self._may_become(account, claims)
        name = secrets.token_hex(8)
        self.opened[name] = Opened(account, claims)
        return {"accessToken": name, "expireTime": "2099-01-01T00:00:00Z"}

    def _may_become(self, identity: str, claims: dict[str, Any]) -> None:
        if not fnmatchcase(claims["sub"], self.identities[identity][1]):
            raise Refused(f"{claims['sub']} may not become {identity}")

    def _aws_by_service(self, form: dict[str, str], authorization: str) -> bytes:
        """Somebody with keys of their own takes on a role, which asks for an external id."""
        if f"Credential={self.service}/" not in authorization:
            raise Refused("not the service")
        role, external = form["RoleArn"], form.get("ExternalId", "")
        if not fnmatchcase(external, self.identities.get(role, ("", "nobody"))[1]):
            raise Refused(f"{external} may not become {role}")
        name = "ASIA" + secrets.token_hex(8).upper()
        tags = {form[key]: form[key.replace("Key", "Value")] for key in form if key.endswith(".Key")}
        limits = [form[key] for key in form if key == "Policy" or key.startswith("PolicyArns.member")]
        self.opened[name] = Opened(role, {"sub": external, "tags": tags, "limits": limits}, form["RoleSessionName"])
        dies = time.gmtime(time.time() + self.ahead + int(form["DurationSeconds"]))
        return _answered("AssumeRole", role, name, time.strftime("%Y-%m-%dT%H:%M:%SZ", dies))

    def _aws(self, form: dict[str, str]) -> bytes:
        name = self.open(form["RoleArn"], form["WebIdentityToken"], form["RoleSessionName"])
        return _answered("AssumeRoleWithWebIdentity", form["RoleArn"], name, "2099-01-01T00:00:00Z")


def _answered(call: str, role: str, name: str, dies: str) -> bytes:
    keys = {"AccessKeyId": name, "SecretAccessKey": f"secret-of-{name}", "SessionToken": f"session-of-{name}"}
    inner = "".join(f"<{key}>{value}</{key}>" for key, value in {**keys, "Expiration": dies}.items())
    user = f"<AssumedRoleUser><AssumedRoleId>A:b</AssumedRoleId><Arn>{role}</Arn></AssumedRoleUser>"
    result = f"<{call}Result><Credentials>{inner}</Credentials>{user}</{call}Result>"
    return f'<{call}Response xmlns="https://sts.amazonaws.com/doc/2011-06-15/">{result}</{call}Response>'.encode()


def _json(answer: dict[str, Any], status: int = 200) -> tuple[int, str, bytes]:
    return status, "application/json", json.dumps(answer).encode()


def _decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
