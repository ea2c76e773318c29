"""Secret values out of everything that is stored or shown, also where a value straddles two pieces of output."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from typing import Any

MASK = b"***"
_LINE = 8
"""Shortest line of a value of several lines that is masked by itself: tools print such values line by line."""
_ENCODED = 6
"""Shortest value whose base64 forms are masked: shorter ones would match by chance."""

Span = tuple[int, int]


class Masker:
    """Replaces the given values, and the forms in which tools print them, by `***`. Empty values are left out."""

    def __init__(self, values: Iterable[str]) -> None:
        forms = {form for value in values if value for form in _forms(value)}
        self._forms = sorted(forms, key=len, reverse=True)
        self.overlap = max((len(form) for form in self._forms), default=1) - 1
        """How many bytes of output may have to be held back, in case a value begins in them."""
        self._held = b""
        self._covered = 0

    def mask(self, data: bytes, skip: int = 0) -> bytes:
        """Mask a whole. What stems from the first `skip` bytes is left out of the result."""
        result, at = bytearray(), skip
        for start, end in self._spans(data):
            if end > at:
                result += data[at:start]
                result += MASK
                at = end
        result += data[at:]
        return bytes(result)

    def text(self, text: str) -> str:
        """Mask a whole text."""
        if not self._forms:
            return text
        return self.mask(text.encode(errors="surrogateescape")).decode(errors="replace")

    def value(self, value: Any) -> Any:
        """Mask every text in a JSON value, keys included."""
        if not self._forms:
            return value
        match value:
            case str():
                return self.text(value)
            case dict():
                return {self.text(str(key)): self.value(each) for key, each in value.items()}
            case list() | tuple():
                return [self.value(each) for each in value]
            case _:
                return value

    def feed(self, data: bytes) -> bytes:
        """Mask a stream piece by piece: gives what is certain by now, and holds back what may begin a value."""
        if not self._forms:
            return data
        data = self._held + data
        return self._emit(data, self._beginning(data))

    def flush(self) -> bytes:
        """Give what was held back: the stream ends here."""
        return self._emit(self._held, len(self._held))

    def take(self) -> bytes:
        """Take what was held back as it is, not masked (a part of it may already be shown as a mask)."""
        held, self._held, self._covered = self._held[self._covered :], b"", 0
        return held

    def _emit(self, data: bytes, cut: int) -> bytes:
        result, at = bytearray(), self._covered
        for start, end in self._spans(data):
            if start >= cut:
                break
            if end <= at:
                continue
            result += data[at:start]
            # A match that goes on from one already shown is the same stretch of secrets: no second mask.
            if start >= at:
                result += MASK
            at = end
        result += data[at:cut]
        self._covered = max(at - cut, 0)
        self._held = data[cut:]
        return bytes(result)

    def _spans(self, data: bytes) -> list[Span]:
        found: list[Span] = []
        for form in self._forms:
            at = data.find(form)
            while at >= 0:
                found.append((at, at + len(form)))
                at = data.find(form, at + 1)
        if len(found) < 2:
            return found
        found.sort()
        merged = [found[0]]
        for start, end in found[1:]:
            if start < merged[-1][1]:
                merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
            else:
                merged.append((start, end))
        return merged

    def _beginning(self, data: bytes) -> int:
        """Find the first place from which the rest of `data` could be the beginning of a value."""
        best = len(data)
        for form in self._forms:
            at = data.find(form[:1], max(0, len(data) - len(form) + 1))
            while 0 <= at < best:
                if form.startswith(data[at:]):
                    best = at
                at = data.find(form[:1], at + 1)
        return best


def _forms(value: str) -> Iterable[bytes]:
    raw = value.encode(errors="surrogateescape")
    yield raw
    stripped = raw.strip()
    if stripped:
        yield stripped
    if b"\n" in raw:
        yield from (line for each in raw.splitlines() if len(line := each.strip()) >= _LINE)
    for ascii_only in (True, False):
        yield json.dumps(value, ensure_ascii=ascii_only)[1:-1].encode(errors="surrogateescape")
    if len(raw) >= _ENCODED:
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            yield from (_aligned(encode, raw, before) for before in range(3))


def _aligned(encode: Any, raw: bytes, before: int) -> bytes:
    """Give the base64 characters that depend on nothing but `raw`, where `before` bytes precede it in its group."""
    text: bytes = encode(b"\0" * before + raw)
    first = -(-before * 8 // 6)
    last = (before + len(raw)) * 8 // 6
    return text[first:last]
