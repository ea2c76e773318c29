"""Codes that sign the operator in to the page once, as the one who started the service in a terminal."""

from __future__ import annotations

import secrets
import threading
from datetime import datetime, timedelta

from reconciler.tokens import token_hash

_LASTS = timedelta(minutes=15)


class OneTimeCodes:
    """The codes that were made in this process and not used yet."""

    def __init__(self) -> None:
        self._codes: dict[str, datetime] = {}
        self._lock = threading.Lock()

    def make(self, now: datetime) -> str:
        """Return a new code."""
        code = secrets.token_urlsafe(24)
        with self._lock:
            self._codes[token_hash(code)] = now + _LASTS
        return code

    def take(self, code: str, now: datetime) -> bool:
        """Whether the code is good; it is not a second time."""
        with self._lock:
            until = self._codes.pop(token_hash(code), None)
        return until is not None and now < until
