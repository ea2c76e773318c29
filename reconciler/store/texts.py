"""JSON, times and long bodies as a database keeps them."""

from __future__ import annotations

import json
import zlib
from datetime import UTC, datetime
from typing import Any

from pydantic_core import from_json

from reconciler.store.protocol import StoreError

_encoder = json.JSONEncoder(separators=(",", ":"), check_circular=False)


def dump(value: Any) -> str:
    """Write JSON in ASCII: whatever a string holds is escaped, so every database takes it."""
    return _encoder.encode(value)


def canonical(value: Any) -> bytes:
    """Write JSON so that equal values are equal bytes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def load(body: str | bytes) -> Any:
    """Read what `dump` wrote; StoreError where the row was damaged."""
    try:
        return from_json(body)
    except ValueError:
        # A file name that is not UTF-8 has half characters in it, which only this one reads.
        return _load_anything(body)


def _load_anything(body: str | bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError as error:
        raise StoreError(f"a row of the database is damaged: {error}") from None


def moment_text(time: datetime | None) -> str | None:
    """Give a time in ISO 8601 (UTC); ValueError for one without a zone."""
    if time is None:
        return None
    if time.tzinfo is None:
        raise ValueError(f"{time} has no zone")
    return time.astimezone(UTC).isoformat()


def moment(body: str | None) -> datetime | None:
    """Read what `moment_text` gave."""
    return None if body is None else datetime.fromisoformat(body)


def cleaned(name: str) -> str:
    """Give a name that came from a tool in a form that every database takes as text."""
    return name.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()


def pack(body: bytes) -> bytes:
    """Compress."""
    return zlib.compress(body, 6)


def unpack(body: bytes) -> bytes:
    """Undo `pack`; StoreError where the row was damaged."""
    try:
        return zlib.decompress(body)
    except zlib.error:
        raise StoreError("a compressed row of the database is damaged") from None
