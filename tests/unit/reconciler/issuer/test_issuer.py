"""The issuer signs with keys of the store, and what it publishes is enough to check its tokens."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicNumbers
from cryptography.hazmat.primitives.hashes import SHA256

from reconciler.core.issuer_keys import PUBLISHED_BEFORE, SIGNS_FOR, TOKEN_LIFE
from reconciler.issuer.examining import examine_issuer
from reconciler.issuer.issuer import Issuer, expiry
from reconciler.store.encryption import Keys
from reconciler.store.sql import SqlStore, open_store
from tests.factories import NOW

URL = "https://station.example.com"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqlStore]:
    store = open_store(f"sqlite:///{tmp_path / 'station.db'}", Keys([b"k" * 32]))
    yield store
    store.close()


def _decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def _checks_out(token: str, jwks: bytes) -> bool:
    """Check a token by the published keys alone, without the library that made it."""
    head, payload, signature = token.split(".")
    header = json.loads(_decoded(head))
    assert header["alg"] == "RS256"
    (key,) = (key for key in json.loads(jwks)["keys"] if key["kid"] == header["kid"])
    e, n = (int.from_bytes(_decoded(key[name]), "big") for name in ("e", "n"))
    try:
        RSAPublicNumbers(e, n).public_key().verify(
            _decoded(signature), f"{head}.{payload}".encode(), PKCS1v15(), SHA256()
        )
    except InvalidSignature:
        return False
    return True


def test_a_token_checks_out_by_what_is_published(store: SqlStore) -> None:
    issuer = Issuer(store, URL)
    token = issuer.sign({"sub": "space:a", "aud": "b"}, NOW)
    assert _checks_out(token, issuer.jwks(NOW))
    assert not _checks_out(token[:-12] + "A" * 12, issuer.jwks(NOW))
    claims = issuer.read(token, NOW)
    assert claims is not None
    assert (claims["iss"], claims["sub"], claims["aud"], expiry(claims)) == (URL, "space:a", "b", NOW + TOKEN_LIFE)


def test_nothing_private_is_published_or_stored_in_clear(store: SqlStore, tmp_path: Path) -> None:
    issuer = Issuer(store, URL)
    private = issuer.keyring.signing(NOW).as_dict(private=True)
    (key,) = json.loads(issuer.jwks(NOW))["keys"]
    assert set(key) == {"kty", "n", "e", "use", "alg", "kid"}
    with store.reading() as reading:
        (stored,) = reading.issuer_keys()
        der = reading.private_issuer_key(stored.id)
    assert der is not None
    database = b"".join(path.read_bytes() for path in tmp_path.glob("station.db*"))
    assert der not in database
    assert _decoded(private["d"]) in der
    assert _decoded(private["d"]) not in database


def test_two_services_share_their_keys_through_a_turn(store: SqlStore) -> None:
    one, other = Issuer(store, URL), Issuer(store, URL)
    before = one.sign({}, NOW)
    soon = NOW + SIGNS_FOR - PUBLISHED_BEFORE
    assert json.loads(one.jwks(soon)) == json.loads(other.jwks(soon))
    assert len(json.loads(one.jwks(soon))["keys"]) == 2
    later = NOW + SIGNS_FOR + timedelta(minutes=1)
    after = other.sign({}, later)
    assert after.split(".")[0] != before.split(".")[0]
    assert _checks_out(after, one.jwks(later))
    assert _checks_out(before, one.jwks(later))
    assert one.read(before, later) is not None
    # A day after the last token of the first key died, it is gone.
    assert one.read(before, later + timedelta(days=2)) is None


@pytest.mark.parametrize("algorithm", ["none", "HS256"])
def test_only_its_own_signature_is_read(store: SqlStore, algorithm: str) -> None:
    issuer = Issuer(store, URL)
    head, payload, signature = issuer.sign({"sub": "x"}, NOW).split(".")
    header = json.loads(_decoded(head)) | {"alg": algorithm}
    forged = base64.urlsafe_b64encode(json.dumps(header).encode()).decode().rstrip("=")
    assert issuer.read(f"{forged}.{payload}.{signature}", NOW) is None
    assert issuer.read(f"{forged}.{payload}.", NOW) is None
    assert issuer.read("no token", NOW) is None
    assert Issuer(store, "https://other.example.com").read(issuer.sign({}, NOW), NOW) is None


@pytest.mark.parametrize(
    ("change", "level", "found"),
    [
        ({}, "ok", "publishes what this service signs with"),
        ({"issuer": "https://evil.example.com"}, "error", "another issuer"),
        ({"jwks": b'{"keys": []}'}, "error", "lacks the key"),
        ({"jwks": b"<html>"}, "error", "is no JSON object"),
        ({"status": 404}, "error", "answers 404"),
        ({"status": 302}, "error", "answers 302"),
        ({"date": NOW + timedelta(minutes=10)}, "error", "600 seconds behind"),
        ({"down": True}, "warning", "cannot be fetched"),
    ],
)
def test_doctor_finds_what_clouds_would_find(store: SqlStore, change: dict, level: str, found: str) -> None:
    issuer = Issuer(store, URL)

    def answer(request: httpx.Request) -> httpx.Response:
        if change.get("down"):
            raise httpx.ConnectError("no route")
        date = change.get("date", NOW).strftime("%a, %d %b %Y %H:%M:%S GMT")
        body = json.loads(issuer.discovery()) | {key: change[key] for key in change if key == "issuer"}
        content = json.dumps(body).encode() if "openid" in str(request.url) else change.get("jwks", issuer.jwks(NOW))
        headers = {"date": date, "location": "https://elsewhere.example.com"}
        return httpx.Response(change.get("status", 200), content=content, headers=headers)

    keys = [key.id for key in issuer.keyring.keys(NOW)]
    with httpx.Client(transport=httpx.MockTransport(answer)) as client:
        examined = examine_issuer(URL, keys, client, NOW)
    assert examined.level == level
    assert found in examined.found
