"""JSON, times and long texts in the form that a database stores."""

from __future__ import annotations

import json
import zlib
from datetime import UTC, datetime
from typing import Any

from pydantic_core import from_json

from reconciler.store.stored import StoreError

_encoder = json.JSONEncoder(separators=(",", ":"), check_circular=False)


def dump(value: Any) -> str:
    """Return the value as JSON in ASCII. Everything else is escaped, so every database accepts it."""
    return _encoder.encode(value)


def canonical(value: Any) -> bytes:
    """Return the value as JSON in which equal values have equal bytes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def load(body: str | bytes) -> Any:
    """Return the value of JSON from `dump`; raise StoreError for a damaged row."""
    try:
        return from_json(body)
    except ValueError:
        # A file name that is not UTF-8 contains halves of surrogate pairs, which only `json` reads.
        return _load_anything(body)


def _load_anything(body: str | bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError as error:
        raise StoreError(f"a row of the database is damaged: {error}") from None


def moment_text(time: datetime | None) -> str | None:
    """Return a time in ISO 8601 (UTC); raise ValueError for a time without a zone."""
    if time is None:
        return None
    if time.tzinfo is None:
        raise ValueError(f"{time} has no zone")
    return time.astimezone(UTC).isoformat()


def moment(body: str | None) -> datetime | None:
    """Return the time of a text from `moment_text`."""
    return None if body is None else datetime.fromisoformat(body)


def cleaned(name: str) -> str:
    """Return a name from a tool in a form that every database accepts as text."""
    return name.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()


def pack(body: bytes) -> bytes:
    """Return the bytes compressed."""
    return zlib.compress(body, 6)


def unpack(body: bytes) -> bytes:
    """Return the bytes that `pack` compressed; raise StoreError for a damaged row."""
    try:
        return zlib.decompress(body)
    except zlib.error:
        raise StoreError("a compressed row of the database is damaged") from None
