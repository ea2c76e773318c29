"""Reads the managed tfstate over loopback, without a process of the tool."""

from __future__ import annotations

import base64
import time
from http.client import HTTPConnection, HTTPException
from urllib.parse import SplitResult, urlsplit

from reconciler.tools.base import StepFailed, TfstateBackend
from reconciler.tools.files import LIMIT

PATIENCE = 120.0
"""How long, in seconds, to wait for a service that is away: an apply that succeeded is not given up for that."""
_PAUSE = 1.0


def fetch(backend: TfstateBackend, patience: float = PATIENCE) -> bytes | None:
    """Return the tfstate as it was last written; None where none was; StepFailed if it cannot be read."""
    address = urlsplit(backend.address)
    if address.scheme != "http" or address.hostname is None:
        raise StepFailed("the managed tfstate has no address on loopback")
    end = time.monotonic() + patience
    while True:
        status, data = _ask(backend, address)
        match status:
            case 200:
                return data or None
            case 204 | 404:
                return None
            case 503 if time.monotonic() < end:
                time.sleep(_PAUSE)
            case _:
                raise StepFailed(f"the tfstate cannot be read: HTTP status {status}")


def _ask(backend: TfstateBackend, address: SplitResult) -> tuple[int, bytes]:
    password = base64.b64encode(f"{backend.username}:{backend.password}".encode()).decode()
    target = (address.path or "/") + (f"?{address.query}" if address.query else "")
    connection = HTTPConnection(address.hostname or "", address.port, timeout=60)
    try:
        connection.request("GET", target, headers={"Authorization": f"Basic {password}"})
        answer = connection.getresponse()
        data = answer.read(LIMIT + 1)
    except (OSError, HTTPException) as error:
        raise StepFailed(f"the tfstate cannot be read: {type(error).__name__}") from None
    finally:
        connection.close()
    if len(data) > LIMIT:
        raise StepFailed("the tfstate is too large to be read")
    return answer.status, data
