"""Finds many byte strings at once, even where white space was put between their characters, as line wrapping does.

`Masker` asks a `Finder` for the spans of secrets in a text. Long forms are found by words of four bytes: for each of
the four ways to cut a text into such words, one word of each form is known, so a text without any of these words
contains none of the forms. A set intersection over a whole array is fast, and only around a known word are forms
compared.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterable, Iterator, Sequence

Span = tuple[int, int]

_BLANK = b" \t\r\n\v\f"
_WORD = 4
_FOLDED = 2 * _WORD - 1
"""The length of the shortest form that always contains a whole word. Shorter forms are searched one by one."""
_GAPS = 256
"""The white space within a value that is followed across pieces of a stream, on top of one for each character."""
_WINDOW = 16 * 1024
_BLOCKS = (2048, 256, 32)
"""The step sizes of the search for a character by its number."""
_TRIED = 8
"""How many words of a form are compared to take the rarest."""
_RARITIES = bytes(3 if 65 <= byte < 91 else 2 if 48 <= byte < 58 else byte > 127 for byte in range(256))
"""How rare each byte is in logs; higher is rarer."""


class Finder:
    """Finds the given forms. Its spans refer to the original text, ordered and without overlaps."""

    def __init__(self, forms: Iterable[bytes]) -> None:
        exact, folded = set(), set()
        for form in forms:
            packed = form.translate(None, _BLANK)
            if len(packed) >= _FOLDED:
                folded.add(packed)
            elif form:
                exact.add(form)
        self._exact = sorted(exact, key=len, reverse=True)
        self._words: dict[int, list[tuple[bytes, int]]] = {}
        self._starts: dict[bytes, list[bytes]] = {}
        self._few: set[bytes] = set()
        for form in folded:
            for offset in _places_of_words(form):
                self._words.setdefault(_word(form[offset : offset + _WORD]), []).append((form, offset))
            self._starts.setdefault(form[:_WORD], []).append(form)
            self._few.update(form[:count] for count in range(1, _WORD))
        self._all = b"\n".join(folded)
        self._known = frozenset(self._words)
        self._longest = max(map(len, folded), default=0)
        longest_exact = max(map(len, exact), default=1)
        self.reach = max(longest_exact - 1, 2 * self._longest + _GAPS if folded else 0)
        """How many bytes before the end of a text a form can begin that continues after it."""

    def __bool__(self) -> bool:
        """Whether there is any form to find."""
        return bool(self._exact or self._words)

    def spans(self, data: bytes) -> list[Span]:
        """Return the spans of all forms, with overlapping ones merged."""
        spans = list(self._exactly(data))
        packed = data.translate(None, _BLANK)
        hidden = _merged(list(self._packed(packed)))
        spans += hidden if len(packed) == len(data) else _unpacked(data, hidden)
        return _merged(spans)

    def beginning(self, data: bytes) -> tuple[int, int]:
        """Return two offsets; from either one a form may begin and continue after the end of `data`.

        Between the two lie at most three characters before white space, too few to hold output back for.
        """
        cut = min((self._exact_beginning(data, form) for form in self._exact), default=len(data))
        if not self._words:
            return cut, cut
        first = max(0, len(data) - self.reach)
        tail = data[first:]
        packed = tail.translate(None, _BLANK)
        begins = self._packed_beginning(packed)
        if begins is None:
            return cut, cut
        place = next(_places(tail, (begins,)))
        keep = first + place
        few = len(packed) - begins < _WORD
        if not few or len(tail) - place == len(packed) - begins:
            cut = min(cut, keep)
        return min(keep, cut), cut

    def _exactly(self, data: bytes) -> Iterator[Span]:
        for form in self._exact:
            at = data.find(form)
            while at >= 0:
                yield at, at + len(form)
                at = data.find(form, at + 1)

    def _packed(self, packed: bytes) -> Iterator[Span]:
        for begin in range(0, len(packed) - _WORD + 1 if self._words else 0, _WINDOW):
            window = packed[begin : begin + _WINDOW]
            words = array("I")
            words.frombytes(window[: len(window) - len(window) % _WORD])
            for word in self._known.intersection(words):
                yield from self._around(word.to_bytes(_WORD, sys.byteorder), packed, begin)

    def _around(self, word: bytes, packed: bytes, begin: int) -> Iterator[Span]:
        """Yield the spans of the forms that a word belongs to, for each place of the word in a window."""
        forms = self._words[_word(word)]
        index = packed.find(word, begin, begin + _WINDOW)
        while index >= 0:
            for form, offset in forms:
                if index >= offset and packed.startswith(form, index - offset):
                    yield index - offset, index - offset + len(form)
            index = packed.find(word, index + 1, begin + _WINDOW)

    @staticmethod
    def _exact_beginning(data: bytes, form: bytes) -> int:
        at = data.find(form[:1], max(0, len(data) - len(form) + 1))
        while at >= 0:
            if form.startswith(data[at:]):
                return at
            at = data.find(form[:1], at + 1)
        return len(data)

    def _packed_beginning(self, packed: bytes) -> int | None:
        count = len(packed)
        # If no form contains the last word, none can have begun before it.
        begun = count >= _WORD and packed[-_WORD:] in self._all
        for at in range(max(0, count - self._longest + 1), count - _WORD + 1) if begun else ():
            if packed[at : at + _WORD] in self._starts:
                rest = packed[at:]
                if any(len(form) > len(rest) and form.startswith(rest) for form in self._starts[rest[:_WORD]]):
                    return at
        return next((at for at in range(max(0, count - _WORD + 1), count) if packed[at:] in self._few), None)


def _word(four: bytes) -> int:
    return int.from_bytes(four, sys.byteorder)


def _places_of_words(form: bytes) -> Iterator[int]:
    """Yield the offset of one word for each way to cut: one from the middle that is rare in other text."""
    for phase in range(_WORD):
        places = range(phase, len(form) - _WORD + 1, _WORD)
        first = max(0, (len(places) - _TRIED) // 2)
        yield max(places[first : first + _TRIED], key=lambda at: _rarity(form[at : at + _WORD]))


def _rarity(four: bytes) -> int:
    # The first two bytes count twice: a set hashes a word by them, and common ones would collide.
    return sum((four + four[:2]).translate(_RARITIES)) + len(set(four))


def _merged(spans: list[Span]) -> list[Span]:
    if len(spans) < 2:
        return spans
    spans.sort()
    merged = [spans[0]]
    for start, end in spans[1:]:
        if start < merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def _unpacked(data: bytes, spans: Sequence[Span]) -> Iterator[Span]:
    """Yield the spans in the original text of spans in the packed text."""
    places = _places(data, [at for start, end in spans for at in (start, end - 1)])
    return ((start, last + 1) for start, last in zip(places, places, strict=True))


def _places(data: bytes, indices: Iterable[int]) -> Iterator[int]:
    """Yield the offsets of the characters with these numbers, in ascending order, when white space is not counted."""
    begin, before = 0, 0
    for index in indices:
        for size in _BLOCKS:
            while (count := len(data[begin : begin + size].translate(None, _BLANK))) <= index - before:
                before += count
                begin += size
        at, left = begin, index - before
        while left or data[at] in _BLANK:
            left -= data[at] not in _BLANK
            at += 1
        yield at
