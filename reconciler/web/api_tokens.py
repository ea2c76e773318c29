"""Tokens that open the API to a user or an API key: made once, kept as a hash, found by their public part."""

from __future__ import annotations

import re
import secrets
from datetime import datetime

from rbac.access.subjects import Subject, SubjectKind
from reconciler.operations import token_hash
from reconciler.store.protocol import ApiToken, Store, Transaction

_WRITTEN = re.compile(r"station_(?P<id>[0-9a-f]{12})_[A-Za-z0-9_-]{43}", re.ASCII)
_NO_HASH = token_hash("")

HOLDERS = frozenset({SubjectKind.USER, SubjectKind.API_KEY})
"""Whom a token can be bound to."""


def make_token(
    transaction: Transaction, subject: Subject, created_by: str, now: datetime, expires_at: datetime
) -> tuple[str, ApiToken]:
    """Make a token for a user or API key; gives its text, which is stored nowhere, and what is stored."""
    token_id = secrets.token_hex(6)
    text = f"station_{token_id}_{secrets.token_urlsafe(32)}"
    token = ApiToken(token_id, str(subject), created_by, now, expires_at, token_hash(text))
    transaction.add_api_token(token)
    return text, token


def find_holder(store: Store, text: str, now: datetime) -> Subject | None:
    """Say whom a token opens the API to; None for one that is not known or has expired."""
    written = _WRITTEN.fullmatch(text)
    if written is None:
        return None
    with store.reading() as reading:
        found = reading.api_token(written["id"])
    # Compared in any case, and in constant time, so that nothing can be learnt of a hash by asking.
    same = secrets.compare_digest(token_hash(text), found.hash if found else _NO_HASH)
    if found is None or not same or (found.expires_at is not None and found.expires_at <= now):
        return None
    return Subject.parse(found.subject)
