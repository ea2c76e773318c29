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
from collections.abc import Iterable
from dataclasses import dataclass

from spaces.names import Kind, ResourceRef, SpaceName, SpacePath

_VERSION = "sealed-v1"
SEALED = r"^sealed-v1\.[A-Za-z0-9+/]{64,}={0,2}\.[0-9a-f]{16}\.[0-9a-f]{16}$"
"""The pattern of a sealed value."""
MAX_SEALED = 256 * 1024
_SHAPE = re.compile(SEALED)
_CUT = "is cut short, or was changed"
_HEADER = b"age-encryption.org/v1\n"


@dataclass(frozen=True, slots=True)
class SealedPlace:
    """Where a secret belongs: a document, the name of the value in it, and the path of the document's space.

    The path and not the name: a space that gets the name elsewhere has none of its secrets.
    """

    ref: ResourceRef
    key: str
    path: SpacePath

    @classmethod
    def of(cls, kind: Kind, path: str, name: str, key: str) -> SealedPlace:
        """Return the place of the value `key` in a document of the space with this path."""
        return cls(ResourceRef(kind, SpaceName(path.rpartition("/")[2]), name), key, SpacePath(path))

    @property
    def words(self) -> list[str]:
        """What a value is bound to."""
        return [self.ref.kind.value, self.path, self.ref.name, self.key]

    @property
    def words_by_name(self) -> list[str]:
        """What a value of an earlier version is bound to, which did not say where the space is."""
        return [self.ref.kind.value, self.ref.space, self.ref.name, self.key]

    def __str__(self) -> str:
        """Return the place as people write it: TOKEN of Stack production/network. Who reads it may not see the path."""
        return f"{self.key} of {self.ref}"


def write(data: bytes, place: SealedPlace) -> str:
    """Return encrypted bytes in the form that a document holds."""
    return f"{_VERSION}.{base64.b64encode(data).decode()}.{_sum(data)}.{_sum(data, place.words)}"


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
    """Whether a complete sealed value claims to be sealed for this place, or was by an earlier version for its name.

    Whether one of an earlier version opens, only the service knows, which has seen where the space was then.
    """
    data, claimed = read(text), text.rpartition(".")[2]
    return any(claimed == _sum(data, words) for words in (place.words, place.words_by_name))


def _sum(data: bytes, words: Iterable[str] = ()) -> str:
    hashed = hashlib.blake2b(data, digest_size=8, person=b"station sealed")
    for word in words:
        hashed.update(b"\0" + word.encode())
    return hashed.hexdigest()
