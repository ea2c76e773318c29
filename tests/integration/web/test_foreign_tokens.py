"""A CI job's own token opens the API as an API key, if everything about it is right."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from rbac.access.access import Access
from rbac.access.grants import AccessDocuments
from reconciler.web import issuers
from reconciler.web.foreign_tokens import Foreigners
from reconciler.web.issuers import Issuers, fetch_json
from reconciler.web.ports import Ports
from tests.factories import NOW
from tests.integration.web.client import Client
from tests.integration.web.warm import WarmApp
from tests.unit.spaces.builders import begin, doc, many

ISSUER = "https://ci.example.com"
TRUST = {"issuer": ISSUER, "audience": "station", "subject": "repo:acme/infra:*"}
BASE = {
    "keys.yaml": many(
        doc("ApiKey", "ci", {"oidc": TRUST}),
        doc("ApiKey", "plain", {}),
        doc("ApiKey", "one", {"oidc": TRUST | {"subject": "twice"}}),
        doc("ApiKey", "two", {"oidc": TRUST | {"subject": "twice"}}),
        doc("RoleBinding", "ci", {"role": "reader", "subjects": [{"apiKey": "ci"}]}),
    )
}
KEY, OTHER = (rsa.generate_private_key(65537, 2048) for _ in range(2))
SHORT = rsa.generate_private_key(65537, 1024)
# No library makes or uses a key of 512 bits any more: its modulus and private exponent.
TINY = (
    0xD95B5A3E555E2A3F8D8E39D622859278AEC1FF818B87186304C30280C0BEB5B243180E66DC4D903D8AEE7B52CA5BF239C89B09440E3CFA5094C99FA0DAAE428F,
    0xA54C03E543A6C91A6BDCADBF5BA199328E349ACB3A01135ABA5453A2F6F211DA88921D96E7E2E62D29C52B7110BBD7F99857FEBA59B6435785B5DE486DCBF801,
)


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _jwk(key: rsa.RSAPrivateKey, kid: str) -> dict[str, Any]:
    numbers = key.public_key().public_numbers()
    return _published(numbers.n, numbers.e, kid)


def _published(modulus: int, exponent: int, kid: str) -> dict[str, Any]:
    n, e = (_encoded(each.to_bytes((each.bit_length() + 7) // 8, "big")) for each in (modulus, exponent))
    return {"kty": "RSA", "kid": kid, "n": n, "e": e, "use": "sig"}


def token(key: rsa.RSAPrivateKey = KEY, header: dict[str, Any] | None = None, **claims: Any) -> str:
    now = int(NOW.timestamp())
    good = {"iss": ISSUER, "aud": "station", "sub": "repo:acme/infra:ref:main", "iat": now, "exp": now + 300}
    head = {"alg": "RS256", "kid": "first", "typ": "JWT"} | (header or {})
    body = {name: value for name, value in (good | claims).items() if value is not None}
    text = f"{_encoded(json.dumps(head).encode())}.{_encoded(json.dumps(body).encode())}"
    if head["alg"] == "HS256":
        public = key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        return f"{text}.{_encoded(hmac.digest(public, text.encode(), 'sha256'))}"
    return f"{text}.{_encoded(key.sign(text.encode(), PKCS1v15(), SHA256()))}"


def tiny() -> str:
    """Return a token that a key of 512 bits signed, as it has to be."""
    text = token(header={"kid": "tiny"}).rpartition(".")[0]
    digest = bytes.fromhex("3031300d060960864801650304020105000420") + hashlib.sha256(text.encode()).digest()
    padded = b"\x00\x01" + b"\xff" * (61 - len(digest)) + b"\x00" + digest
    n, d = TINY
    return f"{text}.{_encoded(pow(int.from_bytes(padded, 'big'), d, n).to_bytes(64, 'big'))}"


def _all() -> list[dict[str, Any]]:
    return [_jwk(KEY, "first"), _jwk(SHORT, "short"), _published(TINY[0], 65537, "tiny")]


@dataclass
class Issuer:
    keys: list[dict[str, Any]] = field(default_factory=_all)
    name: str = ISSUER
    asked: list[str] = field(default_factory=list)
    down: bool = False

    def fetch(self, url: str) -> Any:
        self.asked.append(url)
        if self.down:
            raise OSError(f"{url} cannot be fetched")
        if url == f"{ISSUER}/.well-known/openid-configuration":
            return {"issuer": self.name, "jwks_uri": f"{ISSUER}/keys"}
        assert url == f"{ISSUER}/keys"
        return {"keys": self.keys}


@pytest.fixture
def issuer() -> Issuer:
    return Issuer()


@pytest.fixture
def cloud(ports: Ports, issuer: Issuer) -> Iterator[Client]:
    documents = begin(BASE).documents
    access = Access.compile(AccessDocuments.of(documents), documents.tree, (), NOW)
    mine = replace(
        ports,
        documents=lambda: documents,
        tree=lambda: documents.tree,
        access=lambda: access,
        foreigners=Foreigners(Issuers(issuer.fetch)),
    )
    with Client(WarmApp(mine), token=None) as client:
        yield client


def ask(client: Client, text: str, method: str = "GET", path: str = "/stacks") -> int:
    return client.request(method, f"/api/v1{path}", headers={"Authorization": f"Bearer {text}"}).status_code


def test_a_good_token_opens_what_its_api_key_may(cloud: Client, issuer: Issuer) -> None:
    assert ask(cloud, token()) == 200
    assert ask(cloud, token(aud=["other", "station"])) == 200
    assert ask(cloud, token(), "POST", "/stacks/root/a/runs") == 404
    assert ask(cloud, token(), "POST", "/issuer/rotate") == 404
    assert len(issuer.asked) == 2, "the keys are kept"


def test_a_good_token_signs_nobody_in_to_the_page(cloud: Client) -> None:
    answer = cloud.post("/sign-in", data={"token": token()})
    assert (answer.status_code, "set-cookie" in answer.headers) == (401, False)
    assert "A token that a CI system issued works for the API" in answer.text


def test_a_token_with_an_elliptic_curve(cloud: Client, issuer: Issuer) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    point = key.public_key().public_numbers()
    x, y = (_encoded(each.to_bytes(32, "big")) for each in (point.x, point.y))
    issuer.keys.append({"kty": "EC", "crv": "P-256", "kid": "curve", "x": x, "y": y})
    text = token(header={"alg": "ES256", "kid": "curve"}).rpartition(".")[0]
    r, s = decode_dss_signature(key.sign(text.encode(), ec.ECDSA(SHA256())))
    signature = r.to_bytes(32, "big") + s.to_bytes(32, "big")
    assert ask(cloud, f"{text}.{_encoded(signature)}") == 200
    assert ask(cloud, f"{text}.{_encoded(signature[::-1])}") == 401


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param(token(header={"alg": "none"}), id="no algorithm"),
        pytest.param(token(header={"alg": "none"}).rpartition(".")[0] + ".", id="no signature"),
        pytest.param(token(header={"alg": "HS256"}), id="the public key as a password"),
        pytest.param(token(OTHER), id="another key"),
        pytest.param(token(OTHER, {"kid": "second"}), id="an unknown key"),
        pytest.param(token(SHORT, {"kid": "short"}), id="a short key"),
        pytest.param(tiny(), id="a key of 512 bits"),
        pytest.param(token(OTHER, {"jku": "https://evil.example.com/keys", "kid": "evil"}), id="keys elsewhere"),
        pytest.param(token(OTHER, {"jwk": _jwk(OTHER, "first")}), id="a key that it brings along"),
        pytest.param(token(header={"kid": None}), id="no key"),
        pytest.param(token(header={"crit": ["b64"], "b64": False}), id="something critical"),
        pytest.param(token(iss="https://evil.example.com"), id="another issuer"),
        pytest.param(token(iss=f"{ISSUER}/"), id="nearly the issuer"),
        pytest.param(token(aud="other"), id="another audience"),
        pytest.param(token(aud=None), id="no audience"),
        pytest.param(token(sub="repo:acme/web:ref:main"), id="another subject"),
        pytest.param(token(sub="x repo:acme/infra:y"), id="a subject that only contains it"),
        pytest.param(token(sub=["repo:acme/infra:x"]), id="a subject that is no text"),
        pytest.param(token(sub="twice"), id="two API keys"),
        pytest.param(token(exp=int(NOW.timestamp()) - 600), id="dead"),
        pytest.param(token(exp=None), id="immortal"),
        pytest.param(token(exp=1e300), id="no time"),
        pytest.param(token(nbf=int(NOW.timestamp()) + 600), id="from the future"),
        pytest.param(token(iat=int(NOW.timestamp()) + 600), id="a clock that is ten minutes off"),
        pytest.param(token()[:-8] + "AAAAAAAA", id="a changed signature"),
        pytest.param("a.b.c", id="no token"),
        pytest.param(f"{token().partition('.')[0]}.{_encoded(b'[' * 9_000)}.AAAA", id="deeper than it can be read"),
        pytest.param(token(more="x" * 20_000), id="a long one"),
    ],
)
def test_anything_else_opens_nothing(cloud: Client, issuer: Issuer, bad: str) -> None:
    assert ask(cloud, bad) == 401
    assert all(url.startswith(ISSUER) for url in issuer.asked)


def test_an_issuer_is_not_asked_again_for_each_unknown_key(
    cloud: Client, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ask(cloud, token()) == 200
    for _ in range(5):
        assert ask(cloud, token(OTHER, {"kid": "second"})) == 401
    assert len(issuer.asked) == 2
    issuer.keys.append(_jwk(OTHER, "second"))
    monkeypatch.setattr(issuers, "_AGAIN_SECONDS", 0.0)
    assert ask(cloud, token(OTHER, {"kid": "second"})) == 200


def test_an_issuer_that_is_away_or_lies(cloud: Client, issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(issuers, "_AGAIN_SECONDS", 0.0)
    issuer.name = "https://another.example.com"
    assert ask(cloud, token()) == 401
    issuer.name = ISSUER
    assert ask(cloud, token()) == 200
    issuer.down = True
    monkeypatch.setattr(issuers, "_FRESH_SECONDS", 0.0)
    assert ask(cloud, token()) == 200, "its keys were good a while ago"


def test_keys_come_over_https_only() -> None:
    with pytest.raises(OSError, match="is not https"):
        fetch_json("http://127.0.0.1/keys")
    with pytest.raises(OSError, match="cannot be fetched"):
        fetch_json("https://127.0.0.1:1/keys")
