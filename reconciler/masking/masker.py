"""Secret values out of everything that is stored or shown, also where a value straddles two pieces of output."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from reconciler.masking.finding import Finder

MASK = b"***"
_REMEMBERED = 1000
_SHORT = 200
"""How many texts without a secret are remembered, and how long they are at most: a plan has some again and again."""


class Masker:
    """Replaces the given values, and the forms in which tools print them, by `***`. Empty values are left out."""

    def __init__(self, values: Iterable[str]) -> None:
        self._values: set[str] = set()
        self._finder: Finder | None = None
        self._clean: set[str] = set()
        self.overlap = 0
        """How many bytes of output may have to be held back, in case a value begins in them."""
        self._held = b""
        self._shown = 0
        """How much of what is held was given already."""
        self._masked = 0
        """How much of that was given as a mask."""
        self.learn(values)

    def learn(self, values: Iterable[str]) -> None:
        """Mask these values, too, from here on."""
        more = {value for value in values if value} - self._values
        if not more:
            return
        # Most runs have no secrets, and their processes have to start quickly.
        from reconciler.masking.finding import Finder  # noqa: PLC0415
        from reconciler.masking.forms import forms  # noqa: PLC0415

        self._values |= more
        self._clean.clear()
        self._finder = Finder({form for value in self._values for form in forms(value)})
        self.overlap = self._finder.reach

    def mask(self, data: bytes, skip: int = 0) -> bytes:
        """Mask a whole. What stems from the first `skip` bytes is left out of the result."""
        result, at = bytearray(), skip
        for start, end in self._finder.spans(data) if self._finder else ():
            if end > at:
                result += data[at:start]
                result += MASK
                at = end
        result += data[at:]
        return bytes(result)

    def text(self, text: str) -> str:
        """Mask a whole text."""
        if self._finder is None or text in self._clean:
            return text
        data = text.encode(errors="surrogateescape")
        if self._finder.spans(data):
            return self.mask(data).decode(errors="replace")
        if len(text) <= _SHORT and len(self._clean) < _REMEMBERED:
            self._clean.add(text)
        return text

    def value(self, value: Any) -> Any:
        """Mask every text in a JSON value, keys and numbers included."""
        if self._finder is None:
            return value
        match value:
            case str():
                return self.text(value)
            case dict():
                return {self.text(str(key)): self.value(each) for key, each in value.items()}
            case list() | tuple():
                return [self.value(each) for each in value]
            case bool() | None:
                return value
            case _:
                written = str(value)
                masked = self.text(written)
                return value if masked == written else masked

    def feed(self, data: bytes) -> bytes:
        """Mask a stream piece by piece: gives what is certain by now, and holds back what may begin a value."""
        if self._finder is None:
            return data
        data = self._held + data
        return self._emit(data, *self._finder.beginning(data))

    def flush(self) -> bytes:
        """Give what was held back: the stream ends here."""
        return self._emit(self._held, len(self._held), len(self._held))

    def take(self) -> bytes:
        """Take what was held back as it is, not masked (a part of it may already be shown as a mask)."""
        held, self._held, self._shown, self._masked = self._held[self._shown :], b"", 0, 0
        return held

    def _emit(self, data: bytes, keep: int, cut: int) -> bytes:
        """Give what comes before `cut` and was not given yet; from `keep` on it is looked at again."""
        result, at, masked = bytearray(), self._shown, self._masked
        for start, end in self._finder.spans(data) if self._finder else ():
            if start >= cut:
                break
            if end <= at:
                continue
            result += data[at:start]
            # A match that goes on from one already shown is the same stretch of secrets: no second mask.
            if start >= masked:
                result += MASK
            at = masked = end
        result += data[at:cut]
        at = max(at, cut)
        self._held, self._shown, self._masked = data[keep:], at - keep, max(masked - keep, 0)
        return bytes(result)
