"""Reads the managed tfstate over loopback, without a process of the tool."""

from __future__ import annotations

import base64
from http.client import HTTPConnection, HTTPException
from urllib.parse import urlsplit

from reconciler.tools.base import StepFailed, TfstateBackend
from reconciler.tools.files import LIMIT


def fetch(backend: TfstateBackend) -> bytes | None:
    """Give the tfstate as it was last written; None where none was; StepFailed if it cannot be read."""
    address = urlsplit(backend.address)
    if address.scheme != "http" or address.hostname is None:
        raise StepFailed("the managed tfstate has no address on loopback")
    password = base64.b64encode(f"{backend.username}:{backend.password}".encode()).decode()
    target = address.path + (f"?{address.query}" if address.query else "")
    connection = HTTPConnection(address.hostname, address.port, timeout=60)
    try:
        connection.request("GET", target or "/", headers={"Authorization": f"Basic {password}"})
        answer = connection.getresponse()
        data = answer.read(LIMIT + 1)
    except (OSError, HTTPException) as error:
        raise StepFailed(f"the tfstate cannot be read after the apply: {type(error).__name__}") from None
    finally:
        connection.close()
    if len(data) > LIMIT:
        raise StepFailed("the tfstate is too large to be read")
    match answer.status:
        case 200:
            return data or None
        case 204 | 404:
            return None
        case status:
            raise StepFailed(f"the tfstate cannot be read after the apply: HTTP status {status}")
