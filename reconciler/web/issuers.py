"""The keys of other issuers, and what can be said of a token before anything of it counts.

`foreign_tokens` asks about the tokens of CI systems, `provider` about those of people who sign in. Each issuer is asked
for its keys seldom: an unknown key does not make the service fetch again and again.
"""

from __future__ import annotations

import base64
import json
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

_ALGORITHMS = ["RS256", "RS384", "RS512", "ES256", "ES384"]
_SHORTEST_RSA = 2048
_LONGEST_ANSWER = 512 * 1024
_FRESH_SECONDS = 600.0
_AGAIN_SECONDS = 30.0
_PATIENCE = 2.0
_FETCH_SECONDS = 5.0
_SLACK = timedelta(seconds=60)
LONGEST = 16 * 1024
"""The most characters of a token."""
_SHAPE = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+", re.ASCII)
_HERE = re.compile(r"http://(localhost|127\.0\.0\.1)(:[0-9]{1,5})?(/.*)?", re.ASCII)

Fetch = Callable[[str], Any]
"""Returns the JSON at an https URL; raises OSError with the reason."""


class RefusedToken(Exception):
    """A token opens nothing. The message says why, for the service's log; it holds nothing of the token's."""


@dataclass(slots=True)
class _Issuer:
    lock: threading.Lock = field(default_factory=threading.Lock)
    keys: Mapping[str, RSAKey | ECKey] = field(default_factory=dict)
    fetched: float = float("-inf")
    tried: float = float("-inf")


def check_secure(url: str, *, here: bool) -> None:
    """Raise OSError for an address that is not https; with `here`, http on this machine is good, too."""
    if not url.startswith("https://") and not (here and _HERE.fullmatch(url)):
        raise OSError(f"{url[:200]} is not https")


def fetch_json(url: str, *, here: bool = False) -> Any:
    """Fetch JSON over https, without following anybody elsewhere; raise OSError with the reason."""
    import httpx  # noqa: PLC0415 - few services trust foreign tokens

    check_secure(url, here=here)
    try:
        body = b""
        with httpx.stream("GET", url, timeout=_FETCH_SECONDS, follow_redirects=False) as answer:
            if answer.status_code != 200:
                raise OSError(f"{url[:200]} answers {answer.status_code}")
            for piece in answer.iter_bytes():
                body += piece
                if len(body) > _LONGEST_ANSWER:
                    raise OSError(f"{url[:200]} answers with more than {_LONGEST_ANSWER} bytes")
        return json.loads(body)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise OSError(f"{url[:200]} cannot be fetched: {error}") from None
    except (ValueError, RecursionError):
        raise OSError(f"{url[:200]} is no JSON") from None


def read(text: str) -> tuple[Mapping[str, Any], dict[str, Any]]:
    """Return the header and the claims of a token, of which nothing is proven; RefusedToken where it cannot be read."""
    if len(text) > LONGEST or not _SHAPE.fullmatch(text):
        raise RefusedToken("it is no token")
    try:
        parsed = jws.extract_compact(text.encode())
        header, claims = parsed.headers(), json.loads(parsed.payload)
    except (JoseError, ValueError, RecursionError):
        raise RefusedToken("it cannot be read") from None
    if not isinstance(claims, dict):
        raise RefusedToken("it has no claims")
    return header, claims


@dataclass(slots=True)
class Issuers:
    """Checks signatures, and keeps the keys of issuers for a while. Any thread may ask."""

    fetch: Fetch = fetch_json
    _issuers: dict[str, _Issuer] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def verify(self, text: str, header: Mapping[str, Any], issuer: str) -> None:
        """Check the signature of a token by a key that its issuer publishes; RefusedToken if it is wrong."""
        algorithm, kid = header.get("alg"), header.get("kid")
        if algorithm not in _ALGORITHMS:
            raise RefusedToken(f"its algorithm is none of {', '.join(_ALGORITHMS)} (issuer {issuer})")
        if not isinstance(kid, str):
            raise RefusedToken(f"it names no key (issuer {issuer})")
        try:
            jws.deserialize_compact(text, self._key(issuer, kid), algorithms=_ALGORITHMS)
        except (JoseError, ValueError):
            raise RefusedToken(f"its signature is wrong (issuer {issuer})") from None

    def _key(self, issuer: str, kid: str) -> RSAKey | ECKey:
        with self._lock:
            known = self._issuers.setdefault(issuer, _Issuer())
        fresh = time.monotonic() - known.fetched < _FRESH_SECONDS
        if not fresh or kid not in known.keys:
            # Who waits too long is refused: slow issuers must not take up every thread.
            if not known.lock.acquire(timeout=_PATIENCE):
                raise RefusedToken(f"{issuer} is slow to give its keys")
            try:
                self._refresh(known, issuer, kid)
            finally:
                known.lock.release()
        if kid not in known.keys:
            raise RefusedToken(f"its key is none that {issuer} publishes")
        return known.keys[kid]

    def _refresh(self, known: _Issuer, issuer: str, kid: str) -> None:
        now = time.monotonic()
        fresh = now - known.fetched < _FRESH_SECONDS
        if (fresh and kid in known.keys) or now - known.tried < _AGAIN_SECONDS:
            return
        known.tried = now
        try:
            known.keys = self._published(issuer)
        except OSError as error:
            # Keys that were good a while ago stay so, while their issuer cannot be reached.
            if kid not in known.keys:
                raise RefusedToken(str(error)) from None
        else:
            known.fetched = now

    def _published(self, issuer: str) -> dict[str, RSAKey | ECKey]:
        found = self.fetch(str(discovered(self.fetch, issuer).get("jwks_uri")))
        listed = found.get("keys") if isinstance(found, dict) else None
        return dict(_usable(listed if isinstance(listed, list) else []))


def discovered(fetch: Fetch, issuer: str) -> dict[str, Any]:
    """Return what an issuer says of itself; raise OSError with the reason."""
    found = fetch(issuer.rstrip("/") + "/.well-known/openid-configuration")
    if not isinstance(found, dict) or found.get("issuer") != issuer:
        raise OSError(f"{issuer} says that it is another issuer")
    return found


def _usable(listed: Iterable[Any]) -> Iterator[tuple[str, RSAKey | ECKey]]:
    """Yield the keys that may sign, by their ids; those that are none, or too short, are left out."""
    for each in listed:
        if not isinstance(each, dict) or not isinstance(each.get("kid"), str) or each.get("use", "sig") != "sig":
            continue
        try:
            if each.get("kty") == "EC":
                yield each["kid"], ECKey.import_key(each)
            elif each.get("kty") == "RSA" and _bits(each["n"]) >= _SHORTEST_RSA:
                yield each["kid"], RSAKey.import_key(each)
        except (JoseError, ValueError, TypeError, KeyError):
            continue


def _bits(number: str) -> int:
    return int.from_bytes(base64.urlsafe_b64decode(number + "=" * (-len(number) % 4)), "big").bit_length()


def times(claims: Mapping[str, Any], now: datetime) -> datetime:
    """Return when a token dies; RefusedToken for one that is dead, not born yet, or says nothing of its death."""
    moments = {}
    for name in ("exp", "nbf", "iat"):
        value = claims.get(name)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise RefusedToken(f"its {name} is no time")
        try:
            moments[name] = datetime.fromtimestamp(value, UTC)
        except (ValueError, OverflowError, OSError):
            raise RefusedToken(f"its {name} is no time") from None
    if "exp" not in moments:
        raise RefusedToken("it never dies")
    if moments["exp"] + _SLACK <= now:
        raise RefusedToken("it is dead")
    if any(moments[name] - _SLACK > now for name in ("nbf", "iat") if name in moments):
        raise RefusedToken("it is from the future: compare the clocks")
    return moments["exp"]
