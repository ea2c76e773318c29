"""Sealed values as documents hold them: what can be told of one without its key.

Beside the encrypted bytes stand two sums: one over the bytes, which tells of a value that was cut short, and one over
the place that it was sealed for. Both only help whoever writes; what counts is the place inside of the bytes.
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
"""What a sealed value looks like."""
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
        """Put one together."""
        return cls(ResourceRef(kind, space, name), key)

    def __str__(self) -> str:
        """Read as people name it: TOKEN of Stack production/network."""
        return f"{self.key} of {self.ref}"


def write(data: bytes, place: SealedPlace) -> str:
    """Write encrypted bytes as a document holds them."""
    return f"{_VERSION}.{base64.b64encode(data).decode()}.{_sum(data)}.{_sum(data, place)}"


def read(text: str) -> bytes:
    """Give the encrypted bytes; ValueError says what is wrong with anything else."""
    wrong = flaw(text)
    if wrong is not None:
        raise ValueError(wrong)
    return base64.b64decode(text.split(".")[1])


def flaw(text: str) -> str | None:
    """Say why this cannot be a sealed value that is whole."""
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
    """Say whether a value that is whole says that it was sealed for this place."""
    return text.rpartition(".")[2] == _sum(read(text), place)


def _sum(data: bytes, place: SealedPlace | None = None) -> str:
    words = [] if place is None else [place.ref.kind.value, place.ref.space, place.ref.name, place.key]
    hashed = hashlib.blake2b(data, digest_size=8, person=b"station sealed")
    for word in words:
        hashed.update(b"\0" + word.encode())
    return hashed.hexdigest()
