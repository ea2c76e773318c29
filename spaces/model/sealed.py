"""Sealed values as documents hold them, and what can be checked about one without its key.

A sealed value consists of the encrypted bytes and two checksums: one of the bytes, which reveals a value that was cut
short, and one of the place that it was sealed for. Both only help the writer. The place inside the encrypted bytes is
the one that counts.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass

from spaces.names import Kind, ResourceRef, SpaceName

_VERSION = "sealed-v1"
SEALED = r"^sealed-v1\.[A-Za-z0-9+/]{64,}={0,2}\.[0-9a-f]{16}\.[0-9a-f]{16}$"
"""The pattern of a sealed value."""
MAX_SEALED = 256 * 1024
_SHAPE = re.compile(SEALED)
_CUT = "is cut short, or was changed"
_HEADER = b"age-encryption.org/v1\n"


@dataclass(frozen=True, slots=True)
class SealedPlace:
    """Where a secret belongs: a document, and the name of the value in it."""

    ref: ResourceRef
    key: str

    @classmethod
    def of(cls, kind: Kind, space: SpaceName, name: str, key: str) -> SealedPlace:
        """Return the place of the value `key` in a document."""
        return cls(ResourceRef(kind, space, name), key)

    def __str__(self) -> str:
        """Return the place as people write it: TOKEN of Stack production/network."""
        return f"{self.key} of {self.ref}"


def write(data: bytes, place: SealedPlace) -> str:
    """Return encrypted bytes in the form that a document holds."""
    return f"{_VERSION}.{base64.b64encode(data).decode()}.{_sum(data)}.{_sum(data, place)}"


def read(text: str) -> bytes:
    """Return the encrypted bytes of a sealed value; raise ValueError with the reason for any other text."""
    wrong = flaw(text)
    if wrong is not None:
        raise ValueError(wrong)
    return base64.b64decode(text.split(".")[1])


def flaw(text: str) -> str | None:
    """Return the reason why the text is not a complete sealed value; None if it is one."""
    if not text.startswith(f"{_VERSION}."):
        return "is not what station seal prints"
    if not _SHAPE.match(text):
        return _CUT
    _, encoded, whole, _ = text.split(".")
    try:
        data = base64.b64decode(encoded, validate=True)
    except binascii.Error:
        return _CUT
    return None if _sum(data) == whole and data.startswith(_HEADER) else _CUT


def sealed_for(text: str, place: SealedPlace) -> bool:
    """Whether a complete sealed value claims to be sealed for this place."""
    return text.rpartition(".")[2] == _sum(read(text), place)


def _sum(data: bytes, place: SealedPlace | None = None) -> str:
    words = [] if place is None else [place.ref.kind.value, place.ref.space, place.ref.name, place.key]
    hashed = hashlib.blake2b(data, digest_size=8, person=b"station sealed")
    for word in words:
        hashed.update(b"\0" + word.encode())
    return hashed.hexdigest()
