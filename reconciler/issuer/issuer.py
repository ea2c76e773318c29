"""Signs tokens in the name of this installation, and publishes what others need to check them."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet, RSAKey

from reconciler.core.issuer_keys import TOKEN_LIFE, IssuerKey
from reconciler.issuer.keyring import Keyring
from reconciler.store.protocol import Store

ALGORITHM = "RS256"
DISCOVERY_PATH = "/.well-known/openid-configuration"
JWKS_PATH = "/.well-known/jwks"

CLAIMS = (
    *("iss", "aud", "sub", "iat", "nbf", "exp", "jti"),
    *("space", "spacePath", "stack", "runId", "kind", "phase", "revision", "person", "tool"),
)
"""The claims of a run token."""


class Issuer:
    """An issuer under a URL. Any thread may call any method; StoreError where the store cannot be used."""

    def __init__(self, store: Store, url: str) -> None:
        self.url = url
        self.keyring = Keyring(store)
        self._written: tuple[tuple[IssuerKey, ...], bytes] | None = None
        self._discovery = json.dumps(discovery(url), indent=2).encode() + b"\n"

    def discovery(self) -> bytes:
        """Return the discovery document, as JSON."""
        return self._discovery

    def jwks(self, now: datetime) -> bytes:
        """Return the published keys, as JSON: the one that signs, the next one, and those whose tokens still live."""
        keys = self.keyring.keys(now)
        written = self._written
        if written is None or written[0] is not keys:
            body = json.dumps({"keys": [dict(key.public) for key in keys]}, indent=2).encode() + b"\n"
            self._written = written = keys, body
        return written[1]

    def sign(self, claims: Mapping[str, Any], now: datetime) -> str:
        """Return a token with these claims, which is good from now on for `TOKEN_LIFE`."""
        key = self.keyring.signing(now)
        issued = int(now.timestamp())
        times = {"iat": issued, "nbf": issued, "exp": issued + int(TOKEN_LIFE.total_seconds())}
        full = {"iss": self.url, **claims, **times, "jti": secrets.token_hex(16)}
        return jwt.encode({"typ": "JWT", "alg": ALGORITHM, "kid": key.kid}, full, key)

    def read(self, token: str, now: datetime) -> dict[str, Any] | None:
        """Return the claims of a token that this issuer signed, dead or not; None for any other text."""
        keys = KeySet([RSAKey.import_key(dict(key.public)) for key in self.keyring.keys(now)])
        try:
            claims = jwt.decode(token, keys, algorithms=[ALGORITHM]).claims
        except (JoseError, ValueError):
            return None
        return claims if claims.get("iss") == self.url else None


def discovery(url: str) -> dict[str, Any]:
    """Return the discovery document of an issuer."""
    return {
        "issuer": url,
        "jwks_uri": url + JWKS_PATH,
        "response_types_supported": ["id_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": [ALGORITHM],
        "scopes_supported": ["openid"],
        "claims_supported": list(CLAIMS),
    }


def expiry(claims: Mapping[str, Any]) -> datetime:
    """Return when a token with these claims dies; long ago where they do not say it."""
    at = claims.get("exp")
    return datetime.fromtimestamp(at if isinstance(at, int) else 0, UTC)
