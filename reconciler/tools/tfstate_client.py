"""Reads and writes the managed tfstate over loopback, for tools that do not do it themselves."""

from __future__ import annotations

import base64
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException
from urllib.parse import SplitResult, urlsplit

from reconciler.tools.base import StepFailed, TfstateBackend
from reconciler.tools.files import LIMIT

PATIENCE = 120.0
"""How long, in seconds, to wait for a service that is away: an apply that succeeded is not given up for that."""
_PAUSE = 1.0


def fetch(backend: TfstateBackend, patience: float = PATIENCE) -> bytes | None:
    """Return the tfstate as it was last written; None where none was; StepFailed if it cannot be read."""
    status, data = _request(backend, "GET", patience)
    match status:
        case 200:
            return data or None
        case 204 | 404:
            return None
        case _:
            raise StepFailed(f"the tfstate cannot be read: HTTP status {status}")


@contextmanager
def locked(backend: TfstateBackend, about: Mapping[str, str]) -> Iterator[Callable[[bytes], None]]:
    """Hold the lock of the tfstate, and give a function that writes it; StepFailed if either cannot be had.

    `about` says in the lock who holds it.
    """
    lock = os.urandom(16).hex()
    body = json.dumps({"ID": lock, **about}).encode()
    status, data = _request(backend, "LOCK", PATIENCE, body)
    if status == 423:
        raise StepFailed(f"the tfstate is locked by somebody else: {' '.join(data.decode('utf-8', 'replace').split())}")
    if status != 200:
        raise StepFailed(f"the tfstate cannot be locked: HTTP status {status}")

    def store(document: bytes) -> None:
        written, _ = _request(backend, "POST", PATIENCE, document, f"ID={lock}")
        if written != 200:
            raise StepFailed(f"the tfstate cannot be written: HTTP status {written}")

    try:
        yield store
    finally:
        _request(backend, "UNLOCK", PATIENCE, body)


def _request(
    backend: TfstateBackend, method: str, patience: float, body: bytes | None = None, query: str = ""
) -> tuple[int, bytes]:
    """Return the answer's status and body, after waiting for a service that is away."""
    address = urlsplit(backend.address)
    if address.scheme != "http" or address.hostname is None:
        raise StepFailed("the managed tfstate has no address on loopback")
    end = time.monotonic() + patience
    while True:
        status, data = _ask(backend, address, method, body, query)
        if status != 503 or time.monotonic() >= end:
            return status, data
        time.sleep(_PAUSE)


def _ask(
    backend: TfstateBackend, address: SplitResult, method: str, body: bytes | None, query: str
) -> tuple[int, bytes]:
    asked = "&".join(filter(None, (address.query, query)))
    if method == "GET" and backend.read is not None:
        return _short_enough(*backend.read(asked))
    password = base64.b64encode(f"{backend.username}:{backend.password}".encode()).decode()
    target = (address.path or "/") + (f"?{asked}" if asked else "")
    connection = HTTPConnection(address.hostname or "", address.port, timeout=60)
    headers = {"Authorization": f"Basic {password}"}
    if body is not None:
        headers["Content-Type"] = "application/json"
    try:
        connection.request(method, target, body, headers)
        answer = connection.getresponse()
        data = answer.read(LIMIT + 1)
    except (OSError, HTTPException) as error:
        raise StepFailed(f"the tfstate cannot be reached: {type(error).__name__}") from None
    finally:
        connection.close()
    return _short_enough(answer.status, data)


def _short_enough(status: int, data: bytes) -> tuple[int, bytes]:
    if len(data) > LIMIT:
        raise StepFailed("the tfstate is too large to be read")
    return status, data
