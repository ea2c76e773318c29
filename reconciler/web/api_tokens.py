"""API tokens of users and API keys: shown once, stored as a hash, found by their public part."""

from __future__ import annotations

import re
import secrets
from contextlib import suppress
from datetime import datetime, timedelta

from rbac.access.subjects import Subject, SubjectKind
from reconciler.store.protocol import Store, Transaction
from reconciler.store.stored import ApiToken, StoreError
from reconciler.tokens import token_hash

_WRITTEN = re.compile(r"station_(?P<id>[0-9a-f]{12})_[A-Za-z0-9_-]{43}", re.ASCII)
_NO_HASH = token_hash("")
_NOTED_EVERY = timedelta(minutes=10)

HOLDERS = frozenset({SubjectKind.USER, SubjectKind.API_KEY})
"""The kinds of subjects that a token can belong to."""


def make_token(  # noqa: PLR0917
    transaction: Transaction,
    subject: Subject,
    created_by: str,
    now: datetime,
    expires_at: datetime,
    made_with: str | None = None,
    name: str | None = None,
) -> tuple[str, ApiToken]:
    """Create a token for a user or an API key; return its text, which is stored nowhere, and the stored record.

    `made_with` is the token that it was asked for with, and ends with. It has the groups of the subject's sign-in.
    """
    token_id = secrets.token_hex(6)
    text = f"station_{token_id}_{secrets.token_urlsafe(32)}"
    token = ApiToken(
        *(token_id, str(subject), created_by, now, expires_at, token_hash(text), made_with, name),
        idp_groups=tuple(sorted(subject.idp_groups)),
    )
    transaction.add_api_token(token)
    return text, token


def find_token(store: Store, text: str, now: datetime) -> ApiToken | None:
    """Return a token by its text; None if the token is unknown or has expired."""
    parts = _WRITTEN.fullmatch(text)
    if parts is None:
        return None
    with store.glance() as reading:
        token = reading.api_token(parts["id"])
    return token if opens(token, token_hash(text), now) else None


def opens(token: ApiToken | None, shown: str, now: datetime) -> bool:
    """Whether a token, found by its id, is the one with this hash and has not expired."""
    # Compared even for an unknown token, and in constant time, so that the time reveals nothing about a hash.
    same = secrets.compare_digest(shown, token.hash if token else _NO_HASH)
    return token is not None and same and (token.expires_at is None or token.expires_at > now)


def note_use(store: Store, token: ApiToken, now: datetime) -> None:
    """Remember that a token was used, now and then: a write for each request would be too much."""
    if token.used_at is None or now - token.used_at >= _NOTED_EVERY:
        # Who only reads can go on where nothing can be written.
        with suppress(StoreError), store.writing() as transaction:
            transaction.use_api_token(token.id, now)
