"""Removes secret values from everything that is stored or shown, even if a value spans two pieces of output.

A run's process masks its log with `feed` and `flush`, and everything that it reports with `text` and `value`. The
result is the same text with `***` in place of each value. A masker never logs a value, and only `take` returns bytes
unmasked. It holds output back only as long as a value may begin in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from reconciler.masking.finding import Finder

MASK = b"***"
_REMEMBERED = 1000
_SHORT = 200
"""The longest text that is remembered as free of secrets: a plan contains some texts again and again."""


class Masker:
    """Replaces the given values, in all forms in which tools print them, by `***`. Empty values are ignored."""

    def __init__(self, values: Iterable[str]) -> None:
        self._values: set[str] = set()
        self._finder: Finder | None = None
        self._clean: set[str] = set()
        self.overlap = 0
        """The most bytes of output that are held back in case a value begins in them."""
        self._held = b""
        self._shown = 0
        """How many of the held bytes were already returned."""
        self._masked = 0
        """How many of those were returned as a mask."""
        self.learn(values)

    def learn(self, values: Iterable[str]) -> None:
        """Mask these values too from now on."""
        more = {value for value in values if value} - self._values
        if not more:
            return
        # Most runs have no secrets, and their processes must start quickly.
        from reconciler.masking.finding import Finder  # noqa: PLC0415
        from reconciler.masking.forms import forms  # noqa: PLC0415

        self._values |= more
        self._clean.clear()
        self._finder = Finder({form for value in self._values for form in forms(value)})
        self.overlap = self._finder.reach

    def mask(self, data: bytes, skip: int = 0) -> bytes:
        """Return a whole text masked, without the part that comes from the first `skip` bytes."""
        result, at = bytearray(), skip
        for start, end in self._finder.spans(data) if self._finder else ():
            if end > at:
                result += data[at:start]
                result += MASK
                at = end
        result += data[at:]
        return bytes(result)

    def text(self, text: str) -> str:
        """Return a whole text masked."""
        if self._finder is None or text in self._clean:
            return text
        data = text.encode(errors="surrogateescape")
        if self._finder.spans(data):
            return self.mask(data).decode(errors="replace")
        if len(text) <= _SHORT and len(self._clean) < _REMEMBERED:
            self._clean.add(text)
        return text

    def value(self, value: Any) -> Any:
        """Return a JSON value with every text in it masked, including keys and numbers."""
        if self._finder is None:
            return value
        match value:
            case str():
                return self.text(value)
            case dict():
                return {self.text(str(key)): self.value(item) for key, item in value.items()}
            case list() | tuple():
                return [self.value(item) for item in value]
            case bool() | None:
                return value
            case _:
                written = str(value)
                masked = self.text(written)
                return value if masked == written else masked

    def is_clean(self, value: Any) -> bool:
        """Whether no text in a JSON value, keys and numbers included, has anything to mask.

        Asked of many values at once this takes a fraction of what `value` does. False may be a mistake.
        """
        if self._finder is None:
            return True
        # A value that lies in one text lies in the texts put together as well.
        together = "\0".join(_texts_in(value)).encode(errors="surrogateescape")
        return not self._finder.spans(together)

    def feed(self, data: bytes) -> bytes:
        """Return the part of a stream that is certain after this piece, masked.

        Hold back a possible beginning of a value.
        """
        if self._finder is None:
            return data
        data = self._held + data
        return self._emit(data, *self._finder.beginning(data))

    def flush(self) -> bytes:
        """Return the held bytes, masked, at the end of the stream."""
        return self._emit(self._held, len(self._held), len(self._held))

    def take(self) -> bytes:
        """Return the held bytes as they are, not masked. A part of them may already have been returned as a mask."""
        held, self._held, self._shown, self._masked = self._held[self._shown :], b"", 0, 0
        return held

    def _emit(self, data: bytes, keep: int, cut: int) -> bytes:
        """Return the part before `cut` that was not returned yet. From `keep` on, the bytes are examined again."""
        result, at, masked = bytearray(), self._shown, self._masked
        for start, end in self._finder.spans(data) if self._finder else ():
            if start >= cut:
                break
            if end <= at:
                continue
            result += data[at:start]
            # A match that continues one already returned belongs to the same stretch and gets no second mask.
            if start >= masked:
                result += MASK
            at = masked = end
        result += data[at:cut]
        at = max(at, cut)
        self._held, self._shown, self._masked = data[keep:], at - keep, max(masked - keep, 0)
        return bytes(result)


def _texts_in(value: Any) -> Iterator[str]:
    waiting = [value]
    while waiting:
        match waiting.pop():
            case str() as text:
                yield text
            case dict() as items:
                waiting += map(str, items)
                waiting += items.values()
            case list() | tuple() as items:
                waiting += items
            case bool() | None:
                pass
            case number:
                yield str(number)
