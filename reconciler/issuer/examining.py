"""Looks at an issuer from outside, as a cloud does: `station doctor` says what it would find."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple

import httpx

from reconciler.issuer.issuer import DISCOVERY_PATH, discovery

_CLOCK = timedelta(seconds=60)
_LONGEST = 256 * 1024


class Examined(NamedTuple):
    """What came of it: `level` is ok, warning or error; `advice` says what to do about it."""

    level: str
    found: str
    advice: str | None = None


def examine_issuer(url: str, key_ids: Collection[str], client: httpx.Client, now: datetime) -> Examined:
    """Fetch both documents from where tokens say that they are, and compare them with what this service publishes."""
    wanted = discovery(url)
    fetched, answer = _fetch(client, url + DISCOVERY_PATH)
    if isinstance(fetched, Examined):
        return fetched
    for key in ("issuer", "jwks_uri"):
        if fetched.get(key) != wanted[key]:
            found = f"{url}{DISCOVERY_PATH} has another {key}: {str(fetched.get(key))[:200]!r} instead of {wanted[key]}"
            return Examined("error", found, "publish what station oidc discovery prints")
    keys, _ = _fetch(client, wanted["jwks_uri"])
    if isinstance(keys, Examined):
        return keys
    listed = keys.get("keys")
    there = {key.get("kid") for key in listed if isinstance(key, dict)} if isinstance(listed, list) else set()
    missing = sorted(set(key_ids) - there)
    if missing:
        more = f" and {len(missing) - 1} more" if missing[1:] else ""
        found = f"{wanted['jwks_uri']} lacks the key {missing[0]}{more}"
        return Examined("error", found, "publish what station oidc jwks prints")
    off = _clock_difference(answer, now)
    if abs(off) > _CLOCK:
        which = "ahead of" if off > timedelta() else "behind"
        found = f"this machine's clock is {abs(off).total_seconds():.0f} seconds {which} the one of {url}"
        return Examined("error", found, "set the clock: clouds refuse tokens from the future and dead ones")
    return Examined("ok", f"{url} publishes what this service signs with")


def _fetch(client: httpx.Client, url: str) -> tuple[dict[str, Any] | Examined, httpx.Response | None]:
    advice = "clouds must reach it; if only this machine cannot, ignore this"
    try:
        with client.stream("GET", url, follow_redirects=False) as answer:
            body = b""
            for piece in answer.iter_bytes():
                body += piece
                if len(body) > _LONGEST:
                    return Examined("error", f"{url} answers with more than {_LONGEST} bytes"), None
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return Examined("warning", f"{url} cannot be fetched: {error}", advice), None
    if answer.status_code != 200:
        return Examined("error", f"{url} answers {answer.status_code} {answer.reason_phrase}", "publish it there"), None
    try:
        found = httpx.Response(200, content=body).json()
    except ValueError:
        found = None
    if not isinstance(found, dict):
        return Examined("error", f"{url} is no JSON object", "publish what station oidc prints"), None
    return found, answer


def _clock_difference(answer: httpx.Response | None, now: datetime) -> timedelta:
    """Return how far this machine is ahead of a server, as far as that says so."""
    try:
        return now - parsedate_to_datetime(answer.headers["date"]) if answer is not None else timedelta()
    except (KeyError, ValueError, TypeError):
        return timedelta()
