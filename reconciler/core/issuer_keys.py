"""When keys of the issuer begin to sign run tokens, and how long they are published.

Whoever checks a token keeps the published keys for a while (a day, some of them). So a key is published long before it
signs, and stays published until the last token that it signed is dead.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

TOKEN_LIFE = timedelta(hours=1)
"""How long a run token is good for. A run that takes longer gets new ones."""

SIGNS_FOR = timedelta(days=30)
"""How long a key signs before the next one takes over."""

PUBLISHED_BEFORE = timedelta(days=3)
"""How long before that the next key is published."""

KEPT_AFTER = TOKEN_LIFE + timedelta(days=1)
"""How long a key stays published after the last token that it signed; a day for clocks that are slow."""


@dataclass(frozen=True, slots=True)
class IssuerKey:
    """A key that signs tokens from `begins_at` on, until a later one begins. `public` is its public half as a JWK."""

    id: str
    begins_at: datetime
    public: Mapping[str, Any]


def signing_key(keys: Sequence[IssuerKey], now: datetime) -> IssuerKey:
    """Return the key that signs now. Where none has begun (a clock went back), the first one does."""
    begun = [key for key in keys if key.begins_at <= now]
    return max(begun, key=_order) if begun else min(keys, key=_order)


def next_beginning(keys: Sequence[IssuerKey], now: datetime) -> datetime | None:
    """Return when a key that is to be made now begins to sign; None where none is to be made yet."""
    if not keys:
        return now
    newest = max(key.begins_at for key in keys)
    if newest + SIGNS_FOR - PUBLISHED_BEFORE > now:
        return None
    return max(newest + SIGNS_FOR, now + PUBLISHED_BEFORE)


def dead(keys: Sequence[IssuerKey], now: datetime) -> list[IssuerKey]:
    """Return the keys whose last token is dead."""
    line = sorted(keys, key=_order)
    return [key for key, after in pairwise(line) if after.begins_at + KEPT_AFTER <= now]


def _order(key: IssuerKey) -> tuple[datetime, str]:
    return key.begins_at, key.id
