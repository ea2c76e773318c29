"""Sends one request to one receiver, with a deadline, to a checked address; never repeats the address in words.

The whole URL counts as a secret: with Slack's webhooks it is one.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
import os
import socket
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from http import HTTPStatus

import httpx

from reconciler.notifying.addresses import Network, NotAllowed, resolve
from reconciler.version import __version__

DEADLINE = 20.0
"""The seconds that a receiver has for everything: name, connection, answer."""

_PATIENCE = httpx.Timeout(10.0, connect=5.0)
_AGAIN = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS})

for _chatty in ("httpx", "httpcore"):
    # They log the URLs and headers of requests.
    logging.getLogger(_chatty).setLevel(logging.WARNING)


@dataclass(frozen=True, slots=True)
class Parcel:
    """What is to be sent, and where."""

    url: str = field(repr=False)
    body: bytes
    headers: Mapping[str, str]
    allow_http: bool = False


@dataclass(frozen=True, slots=True)
class Failed:
    """Why something could not be sent, in words without any secret."""

    why: str
    final: bool = False
    """Whether another attempt would end the same way."""


FORBIDDEN_ADDRESS = Failed(
    "the receiver's address is not a public one, and the setting notify_networks does not allow it", final=True
)


def signed(body: bytes, secret: str, timestamp: int) -> dict[str, str]:
    """Return the headers that prove a body: HMAC-SHA256 over the timestamp (seconds since 1970), a dot and the body."""
    signature = hmac.new(secret.encode(), f"{timestamp}.".encode() + body, hashlib.sha256).hexdigest()
    return {"X-Station-Timestamp": str(timestamp), "X-Station-Signature": f"sha256={signature}"}


def send(parcel: Parcel, networks: Sequence[Network], deadline: float = DEADLINE) -> Failed | None:
    """Send it; return why that failed, None if the receiver took it. It takes no longer than the deadline."""
    try:
        return asyncio.run(_within(parcel, networks, deadline))
    except httpx.TimeoutException:
        return Failed("the receiver does not answer in time")
    except NotAllowed:
        return FORBIDDEN_ADDRESS
    except (httpx.InvalidURL, httpx.UnsupportedProtocol, UnicodeError):
        return Failed("the url is not an address of the form https://host/path")
    except (httpx.TransportError, OSError) as error:
        return Failed(f"the receiver cannot be reached: {cause(error)}")
    except Exception as error:  # noqa: BLE001 - the words of any other may repeat the address
        return Failed(f"it could not be sent ({type(error).__name__})")


async def _within(parcel: Parcel, networks: Sequence[Network], deadline: float) -> Failed | None:
    try:
        async with asyncio.timeout(deadline):
            return await _send(parcel, networks)
    except TimeoutError:
        return Failed("the receiver does not answer in time")


async def _send(parcel: Parcel, networks: Sequence[Network]) -> Failed | None:
    url = httpx.URL(parcel.url.strip())
    if url.scheme not in {"http", "https"} or not url.host:
        return Failed("the url is not an address of the form https://host/path")
    if url.scheme == "http" and not parcel.allow_http:
        return Failed("the url uses http: use https, or set spec.allowHttp")
    address = await resolve(url.raw_host.decode(), url.port or (443 if url.scheme == "https" else 80), networks)
    there = url.copy_with(host=f"[{address}]" if address.version == 6 else str(address), fragment=None)
    headers = {
        "Content-Type": "application/json",
        "User-Agent": f"stationkeeper/{__version__}",
        **parcel.headers,
        "Host": url.netloc.decode(),
    }
    # No proxy of the environment: it would look the name up itself.
    client = httpx.AsyncClient(verify=certificates(), trust_env=False, timeout=_PATIENCE, follow_redirects=False)
    async with client:
        request = client.build_request("POST", there, content=parcel.body, headers=headers)
        request.extensions["sni_hostname"] = url.raw_host.decode()
        # What it answers is not read: its status says all.
        answer = await client.send(request, stream=True)
        await answer.aclose()
    return _judged(answer.status_code)


def _judged(status: int) -> Failed | None:
    if 200 <= status < 300:
        return None
    if 300 <= status < 400:
        return Failed(f"the receiver answers {status}, and redirects are not followed", final=True)
    return Failed(f"the receiver answers {status}", final=400 <= status < 500 and status not in _AGAIN)


def cause(error: BaseException) -> str:
    """Return the words of the system for a failure to reach somebody: those of the libraries may repeat the address."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return "its certificate is not valid"
        if isinstance(cause, ssl.SSLError):
            return "TLS fails"
        if isinstance(cause, socket.gaierror):
            return "its name cannot be resolved"
        if isinstance(cause, OSError) and cause.errno is not None:
            return os.strerror(cause.errno)
        cause = cause.__cause__ or cause.__context__
    return "the connection fails"


@cache
def certificates() -> ssl.SSLContext:
    """Return which certificates of servers are believed."""
    context = httpx.create_ssl_context()
    # Those of this machine, too: companies add their own.
    context.load_default_certs()
    return context
