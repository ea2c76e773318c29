"""Webhooks of Git servers: each is only a hint to fetch, and says nothing about who did what.

A request counts if its sender knows the secret of the setting `webhook_secret_file`. Its body is hashed as it arrives
and forgotten: which commits there are, and whose, is known by a fetch alone.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import PlainTextResponse
from starlette.exceptions import HTTPException

from reconciler.credentials.errors import SecretUnreadable
from reconciler.repeating import Repeating
from reconciler.web.api.auth import PortsIn
from reconciler.web.api.errors import ApiError, not_found
from reconciler.web.ports import WebhookSecret

PREFIX = "/hooks/"

MOST_BYTES = 25 * 1024 * 1024
"""The largest body. GitHub sends no larger one, and the others smaller ones."""

SHORTEST_SECRET = 16
"""The fewest characters of the secret: a shorter one could be guessed from a signature that somebody saw."""

router = APIRouter(tags=["webhooks"])

_log = logging.getLogger(__name__)
_unreadable = Repeating()


@dataclass(frozen=True, slots=True)
class Sender:
    """How one kind of server shows that it knows the secret: in which header, and written how."""

    headers: tuple[str, ...]
    """The first of them that is there counts."""
    prefix: str = ""
    """Stands before the signature."""
    signs: bool = True
    """Whether it sends the HMAC-SHA256 of the body in hexadecimal; else it sends the secret itself."""


SENDERS: Mapping[str, Sender] = {
    "github": Sender(("X-Hub-Signature-256",), "sha256="),
    "gitlab": Sender(("X-Gitlab-Token",), signs=False),
    "gitea": Sender(("X-Gitea-Signature", "X-Forgejo-Signature")),
    "bitbucket": Sender(("X-Hub-Signature",), "sha256="),
    "generic": Sender(("X-Station-Signature",), "sha256="),
}


@router.post(
    PREFIX + "{sender}",
    status_code=HTTPStatus.ACCEPTED,
    response_class=PlainTextResponse,
    responses={
        401: {"description": "The signature is missing or wrong."},
        404: {"description": "There is no such sender, or `webhook_secret_file` is not set."},
        413: {"description": "The body is too large."},
        503: {"description": "The secret cannot be used; the service's log says why."},
        # Without it the framework adds a 422 that is never sent.
        "default": {"description": "Any other error."},
    },
)
async def receive(sender: str, request: Request, ports: PortsIn) -> str:
    """Look at all repositories now, because a Git server says that something was pushed."""
    known = SENDERS.get(sender)
    if known is None or ports.webhook_secret is None:
        raise not_found("such webhook")
    shown = next((request.headers[name] for name in known.headers if name in request.headers), "")
    if not shown:
        raise _refused(f"the header {known.headers[0]} is missing")
    secret = await run_in_threadpool(_secret, ports.webhook_secret)
    signature = hmac.new(secret, digestmod=hashlib.sha256)
    async for chunk in _body(request):
        signature.update(chunk)
    wanted = (known.prefix + signature.hexdigest()).encode() if known.signs else secret
    if not _same(shown.encode("latin-1"), wanted):
        raise _refused(f"the header {known.headers[0]} does not fit the secret of this service")
    ports.wake()
    return "the service looks at its repositories\n"


async def _body(request: Request) -> AsyncIterator[bytes]:
    length = 0
    async for chunk in request.stream():
        length += len(chunk)
        if length > MOST_BYTES:
            raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body is larger than {MOST_BYTES} bytes")
        yield chunk


def _secret(read: WebhookSecret) -> bytes:
    secret = ""
    try:
        secret = read().strip()
        problem = "" if len(secret) >= SHORTEST_SECRET else f"it has fewer than {SHORTEST_SECRET} characters"
    except SecretUnreadable as error:
        problem = str(error)
    if problem:
        if _unreadable.is_due(problem):
            _log.warning("no webhook can be taken, because of webhook_secret_file: %s", problem)
        detail = "the secret of webhooks cannot be used; the service's log says why"
        raise ApiError(HTTPStatus.SERVICE_UNAVAILABLE, "SecretUnreadable", detail)
    _unreadable.end()
    return secret.encode()


def _same(one: bytes, other: bytes) -> bool:
    # Of equal lengths, so that the time tells nothing of the secret's.
    return hmac.compare_digest(hashlib.sha256(one).digest(), hashlib.sha256(other).digest())


def _refused(detail: str) -> ApiError:
    return ApiError(HTTPStatus.UNAUTHORIZED, "Unauthorized", detail)
